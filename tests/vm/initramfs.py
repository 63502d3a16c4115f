"""An initramfs with one task: load the modules that reach the disks, mount them, and make systemd the first program.

A cpio archive of the form "newc" (Documentation/driver-api/early-userspace/buffer-format.rst of the kernel), not
compressed: unpacking would be slow in an emulated processor.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

from tests.vm.guest_root import GuestRoot

#: What the disks hang on. Everything else is loaded when the kernel asks for it, as on any machine.
MODULES = ("virtio_pci", "virtio_blk")

INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in {modules}; do /bin/busybox insmod /modules/$module; done
/bin/busybox mount -t ext4 -o noatime /dev/vda /root
/bin/busybox mount -t ext4 -o noatime /dev/vdb /root/srv
/bin/busybox mount -t tmpfs -o nosuid,nodev,mode=755 run /root/run
/bin/busybox mkdir -p /root/run/systemd/system
/bin/busybox cp {unit} /root/run/systemd/system/
/bin/busybox umount /dev
exec /bin/busybox switch_root /root /sbin/init
"""


def with_dependencies(names: Iterable[str], modules_dep: str) -> list[str]:
    """Paths of modules in an order in which insmod(8) can load them: each after those it needs.

    Args:
        names: modules as lsmod(8) calls them.
        modules_dep: text of modules.dep(5).
    """
    needs = {line.split(":")[0]: line.split(":")[1].split() for line in modules_dep.splitlines() if ":" in line}
    paths = {Path(path).name.split(".")[0].replace("-", "_"): path for path in needs}
    found: list[str] = []
    for name in names:
        path = paths[name]
        # modules.dep lists a module's needs from the nearest to the farthest.
        found += [each for each in [*reversed(needs[path]), path] if each not in found]
    return found


def member(name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    """One file of a cpio archive: header of 13 fields in hexadecimal, name, contents, each padded to four bytes."""
    path = name.encode() + b"\0"
    # ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + path) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def build(root: GuestRoot, unit: str) -> bytes:
    """The archive.

    Args:
        root: the guest's Debian.
        unit: a systemd unit on its second disk, below /srv, to be there beside those of Debian.
    """
    paths = with_dependencies(MODULES, (root.modules / "modules.dep").read_text())
    init = INIT.format(modules=" ".join(Path(path).name for path in paths), unit=f"/root{unit}")
    members = [member(name, stat.S_IFDIR | 0o755) for name in ("bin", "dev", "modules", "root")]
    members.append(member("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)))
    members.append(member("bin/busybox", stat.S_IFREG | 0o755, root.busybox.read_bytes()))
    members += [
        member(f"modules/{Path(path).name}", stat.S_IFREG | 0o644, (root.modules / path).read_bytes()) for path in paths
    ]
    members.append(member("init", stat.S_IFREG | 0o755, init.encode()))
    return b"".join([*members, member("TRAILER!!!", 0)])
