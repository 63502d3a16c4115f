"""What a lab's storage costs, step by step: `.venv/bin/python -m tests.bench.storage [ROUNDS]`, as root.

Prints the median and the 95th percentile in milliseconds of: the sparse copy of the template, binding the loop device,
the detached mount, the overlay above it, and taking all away. Uses a directory of its own and leaves nothing.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.storage import disk, loop, overlay_mount, template
from engine.storage.overlay import OverlayDriver

SIZE_BYTES = 2 * 1024**3


class Clock:
    """Collects durations by name."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one block."""
        began = time.perf_counter()
        yield
        self.taken[name].append((time.perf_counter() - began) * 1000)


def one_round(clock: Clock, folder: Path, layers: list[Path], number: int) -> None:
    """One lab's storage, there and back."""
    image = folder / f"b{number}" / disk.IMAGE
    source = template.ensure(folder, SIZE_BYTES)
    with clock.step("copy"):
        image.parent.mkdir()
        with source.open("rb", buffering=0) as old, image.open("xb", buffering=0) as new:
            template.copy_sparse(old.fileno(), new.fileno())
    with clock.step("attach"):
        file_fd = disk.open_nameless(image)
        device, device_fd = loop.attach(file_fd, "bench")
        os.close(file_fd)
    with clock.step("mount"):
        mount_fd = disk.mount_device(device.device)
        os.close(device_fd)
    places = [os.open(name, os.O_PATH, dir_fd=mount_fd) for name in ("up", "wk")]
    for form in overlay_mount.FORMS[overlay_mount.FORMS.index(overlay_mount.form()) :]:
        with clock.step(f"overlay ({form})"):
            fd = OverlayDriver(form).mount(layers, *places)
        os.close(fd)
    for place in places:
        os.close(place)
    with clock.step("destroy"):
        os.close(mount_fd)
        shutil.rmtree(image.parent)


def main() -> None:
    """Run the rounds and print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="hako-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        layers = [folder / "layer0", folder / "layer1"]
        for layer in layers:
            layer.mkdir()
        for number in range(rounds):
            one_round(clock, folder, layers, number)
    print(f"{'step':<20} {'p50 ms':>8} {'p95 ms':>8}   ({rounds} rounds)")
    for step, taken in clock.taken.items():
        print(f"{step:<20} {statistics.median(taken):8.2f} {sorted(taken)[int(len(taken) * 0.95)]:8.2f}")


if __name__ == "__main__":
    main()
