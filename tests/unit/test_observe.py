"""Observing, on a /proc and a cgroup made of files: bounds, what is remembered, and a look that hangs."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import Conflict, Failed, NotFound
from engine.linux.idmap import IdMap
from engine.observe import LabView, Observation, Observer
from engine.observe.model import MAX_GROUPS, MAX_MOUNTS, MAX_PROCESSES, GroupEntry
from engine.observe.mounts import MountTables
from engine.observe.namespaces import relative_lines
from engine.observe.processes import ProcessReader, groups_of
from tests.unit.made_up_lab import KINDS, lab, process

MAP = (IdMap(0, 1000, 65536),)


class FakeProc:
    """A /proc of files."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, pid: int, *, uid: int = 1000, argv: bytes = b"sleep\x001\0", start: int = 5, mnt: int = 3) -> Path:
        folder = self.path / str(pid)
        (folder / "ns").mkdir(parents=True, exist_ok=True)
        (folder / "fd").mkdir(exist_ok=True)
        for number, kind in enumerate(KINDS):
            if not (folder / "ns" / kind).is_symlink():
                (folder / "ns" / kind).symlink_to(f"{kind}:[{mnt if kind == 'mnt' else 100 + number}]")
        numbers = " ".join(["0"] * 14)
        (folder / "stat").write_bytes(f"{pid} (sleep) S 1 {pid} 7 0 -1 {numbers[:-2]} {start} 0\n".encode())
        (folder / "status").write_text(f"State:\tS\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nNSpid:\t{pid}\t2\nCapEff:\tff\n")
        (folder / "cmdline").write_bytes(argv)
        return folder


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path / "proc")


# --- processes


def test_process_is_put_together_from_its_files(proc: FakeProc) -> None:
    """The user as the lab sees it, the pids from the lab inwards, the terminal by its session."""
    proc.add(20, uid=1007)
    ((found,), more) = ProcessReader(str(proc.path)).read_all([GroupEntry("/box", (20,))], {7: "lab"}, MAP, 20)
    assert (found.pid, found.nspid, found.uid, found.host_uid, found.tty) == (20, (2,), 7, 1007, "lab")
    assert (found.cgroup, found.argv, found.cap_eff, found.start) == ("/box", ("sleep", "1"), 0xFF, 5)
    # The fake has no pid_for_children, as the kernel before a new pid namespace's first process.
    assert found.children_pid_ns == 0 and not more


def test_stranger_in_the_lab_is_nobody(proc: FakeProc) -> None:
    """A uid that the lab's map does not have shows as the overflow id."""
    proc.add(20, uid=5)
    ((found,), _) = ProcessReader(str(proc.path)).read_all([GroupEntry("/", (20,))], {}, MAP, 20)
    assert (found.uid, found.host_uid) == (65534, 5)


def test_ended_processes_are_left_out_and_init_is_always_shown(proc: FakeProc) -> None:
    """A pid that is listed and gone is no error; init is shown even from outside the groups."""
    proc.add(20)
    found, _ = ProcessReader(str(proc.path)).read_all([GroupEntry("/", (21, 22))], {}, MAP, 20)
    assert [one.pid for one in found] == [20]


def test_too_many_processes_are_cut_with_a_mark(proc: FakeProc) -> None:
    """A fork bomb costs no more than the bound; init stays visible."""
    for pid in (*range(1000, 1000 + MAX_PROCESSES + 4), 9000):
        proc.add(pid)
    pids = tuple(range(1000, 1000 + MAX_PROCESSES + 4))
    found, more = ProcessReader(str(proc.path)).read_all([GroupEntry("/", pids)], {}, MAP, 9000)
    assert more and len(found) == MAX_PROCESSES + 1 and found[-1].pid == 9000


def test_status_is_read_when_the_program_changes_and_every_few_looks(proc: FakeProc) -> None:
    """A setuid without exec shows within four looks, an exec at once, a new process of the same number at once."""
    reader = ProcessReader(str(proc.path))

    def uid() -> int:
        ((found,), _) = reader.read_all([GroupEntry("/", (20,))], {}, MAP, 20)
        return found.uid

    proc.add(20, uid=1000)
    assert uid() == 0
    proc.add(20, uid=1001)
    assert 1 in [uid() for _ in range(4)]
    proc.add(20, uid=1002, argv=b"other\0")
    assert uid() == 2
    proc.add(20, uid=1003, argv=b"other\0", start=6)
    assert uid() == 3


def test_groups_are_listed_with_a_bound(tmp_path: Path) -> None:
    """Each with its path below the learner's own."""
    top = tmp_path / "payload"
    for number in range(MAX_GROUPS + 5):
        (top / f"g{number}").mkdir(parents=True)
    (top / "cgroup.procs").write_text("20\n21\n")
    found, more = groups_of(LabView("x", 20, (top,)))
    assert more and len(found) == MAX_GROUPS and found[0] == GroupEntry("/", (20, 21))
    assert all(entry.path.startswith("/g") for entry in found[1:])


# --- mounts


def test_mount_table_is_parsed_again_only_when_its_text_changed(proc: FakeProc) -> None:
    """And forgotten when nobody lives in the namespace any more."""
    folder = proc.add(20)
    (folder / "mountinfo").write_text(
        "1 0 0:1 / / rw shared:4 - tmpfs none rw\n2 1 0:4 uts:[77] /f rw - nsfs nsfs rw\n"
    )
    tables, who = MountTables(str(proc.path)), process(20, mnt=3)
    first, kept, cut = tables.read([who])
    again, _, _ = tables.read([who])
    assert first[3] is again[3] and not cut
    assert (first[3][0].shared, first[3][0].to_dict()["propagation"]) == (4, {"shared": 4})
    assert [(one.kind, one.inode, one.target) for one in kept] == [("uts", 77, "/f")]
    (folder / "mountinfo").write_text("1 0 0:1 / / rw - tmpfs none rw\n")
    changed, kept, _ = tables.read([who])
    assert len(changed[3]) == 1 and kept == []
    assert tables.read([])[0] == {}


def test_mount_table_without_end_is_cut_with_a_mark(proc: FakeProc) -> None:
    """A learner may make 100,000 mounts."""
    line = "{} 1 0:1 / /x rw - tmpfs none rw\n"
    (proc.add(20) / "mountinfo").write_text("".join(line.format(number) for number in range(MAX_MOUNTS + 10)))
    entries, _, cut = MountTables(str(proc.path)).read([process(20, mnt=3)])
    assert cut and len(entries[3]) == MAX_MOUNTS


def test_maps_are_told_as_the_namespace_above_reads_them() -> None:
    """Host ids become the ids of the parent; what the parent lacks stays the host's."""
    above = (IdMap(0, 1000, 100), IdMap(100, 5000, 10))
    assert relative_lines((IdMap(0, 1007, 1), IdMap(1, 5001, 2)), above) == ((0, 7, 1), (1, 101, 2))
    assert relative_lines((IdMap(0, 9, 1),), above) == ((0, 9, 1),)


# --- a look


def test_same_as_ignores_states_and_times() -> None:
    """A process that sleeps now and ran before is no change; a new hostname is."""
    one = lab(process(20, state="S"))
    assert one.same_as(replace(lab(process(20, state="R")), at=99.0, revision=7))
    assert not one.same_as(lab(process(21)))
    assert not one.same_as(lab(process(20), hostnames={104: "other"}))


class HangingObserver(Observer):
    """Its look waits for a learner's process, as a read of /proc can."""

    def __init__(self) -> None:
        super().__init__(LabView("x", 20, ()))
        self.release = threading.Event()

    def _look(self) -> Observation:
        self.release.wait(20)
        return lab()


def test_hanging_look_ends_at_the_deadline_and_is_not_piled_up() -> None:
    """The first caller gets an error in time, the next at once, and later ones an answer when it goes on."""
    observer = HangingObserver()
    before = threading.active_count()
    with pytest.raises(Failed, match="more than"):
        observer.observe(deadline_s=0.05)
    for _ in range(3):
        with pytest.raises(Conflict, match="does not answer"):
            observer.observe(deadline_s=0.05)
    assert threading.active_count() == before + 1
    observer.release.set()
    for thread in threading.enumerate():
        if thread.name == "observe-x":
            thread.join(5)
    assert observer.observe().lab == "x"


def test_error_of_a_look_reaches_the_caller() -> None:
    """Though it happens in another thread."""
    observer = Observer(LabView("x", 2**22 + 1, ()))
    with pytest.raises(NotFound, match="ended"):
        observer.observe()
