"""A guest under QEMU, its processor emulated: booted from two disks, watched over two serial ports, bounded in time.

Nothing that the guest writes is kept (-snapshot), it has no network card, and it ends with this process: see qemu(1).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.vm import initramfs, project_disk
from tests.vm.guest_root import GuestRoot

QEMU = "qemu-system-x86_64"
UNIT = "hako-tests.service"
#: mitigations=off: they cost much in an emulated processor and guard nothing here. panic=-1 with -no-reboot ends QEMU.
COMMAND_LINE = f"console=ttyS0 panic=-1 quiet mitigations=off random.trust_cpu=on systemd.unit={UNIT}"
V2_ONLY = "cgroup_no_v1=all"


@dataclass(frozen=True)
class Outcome:
    """How one test in the guest ended: see in_guest.py."""

    test: str
    outcome: str
    seconds: float
    text: str

    @property
    def file(self) -> str:
        return self.test.split("::")[0]


@dataclass(frozen=True)
class Run:
    """A guest's whole life: what each test said, pytest's exit status (None if it never ended) and the console."""

    outcomes: list[Outcome] = field(default_factory=list)
    status: int | None = None
    console: str = ""

    def failures(self, file: str = "") -> str:
        """What failed, in the guest's words; of one file if named."""
        failed = [each for each in self.outcomes if each.outcome == "failed" and each.test.startswith(file)]
        return "\n\n".join(f"in the guest: {each.test}\n{each.text}" for each in failed)


def run(root: GuestRoot, folder: Path, arguments: Sequence[str], deadline_s: float, *, kernel: str = V2_ONLY) -> Run:
    """Boot a guest, run pytest in it with these arguments, and give back what it said.

    Args:
        folder: a place of the test's own for the disk and the logs.
        deadline_s: after which the guest is switched off; what it has said so far counts.
        kernel: more words for the kernel's command line.
    """
    disk = project_disk.make(root, folder, arguments)
    archive = folder / "initramfs"
    archive.write_bytes(initramfs.build(root, f"/srv/hako/tests/vm/{UNIT}"))
    console, report = folder / "console.log", folder / "report.jsonl"
    command = [
        QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-machine", "q35",
        "-accel", "tcg,thread=multi", "-cpu", "max,la57=off", "-smp", "2", "-m", "2048",
        "-kernel", str(root.kernel), "-initrd", str(archive), "-append", f"{COMMAND_LINE} {kernel}",
        "-serial", f"file:{console}", "-serial", f"file:{report}", "-snapshot",
        *(word for path in (root.disk, disk) for word in ("-drive", f"file={path},format=raw,if=virtio")),
    ]  # fmt: skip
    with subprocess.Popen(command) as process:
        try:
            process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            pass  # the report says how far it came
        finally:
            process.kill()
    return read_report(report.read_text(errors="replace"), console.read_text(errors="replace"))


def run_files(root: GuestRoot, folder: Path, files: Sequence[str], left_out: Sequence[str], deadline_s: float) -> Run:
    """Boot a guest that runs these files of tests, in this order, but for the tests named in `left_out`."""
    deselected = [f"--deselect={test}" for test in left_out]
    return run(root, folder, ["-q", "--randomly-dont-reorganize", *files, *deselected], deadline_s)


def read_report(report: str, console: str) -> Run:
    """The lines of in_guest.py; one that was cut off when the guest was switched off is left out."""
    outcomes: list[Outcome] = []
    status: int | None = None
    for line in report.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if "status" in said:
            status = said["status"]
        else:
            outcomes.append(Outcome(**said))
    return Run(outcomes, status, console)
