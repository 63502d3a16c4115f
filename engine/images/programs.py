"""Which programs `hako/lab` is made of, and which system packages bring them. Data only; the standard library only.

`images/base.py` copies these programs with their shared libraries; the launcher asks here for the packages that a bare
machine lacks, before there is any virtual environment:

    python3 engine/images/programs.py debian            # every package
    python3 engine/images/programs.py fedora --missing  # only those that are not on this machine

This module copies and installs nothing.
"""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

# The machine's own program folders and nothing else: no PATH, so that no home directory or version manager gets in.
FOLDERS = ("/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin", "/usr/local/sbin", "/usr/libexec/catatonit")


class Package(NamedTuple):
    """One system package and what we take from it.

    Args:
        debian: its name on Debian and Ubuntu; "" where none is needed.
        fedora: its name on Fedora; "" where none is needed.
        programs: names, separated by spaces; one that the machine lacks is left out and listed in the image.
        lab: copied into `hako/lab` (True) or run by the engine on the machine itself (False).
        optional: nice to have; the launcher does not install it.
    """

    debian: str
    fedora: str
    programs: str
    lab: bool = True
    optional: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The programs as a tuple."""
        return tuple(self.programs.split())


# Without these there is no lab worth the name: `base.py` refuses to build it and says which package to install.
_NEEDED = "bash cat ls mkdir rm sleep hostname mount umount unshare nsenter lsns ps ip grep sed awk chroot catatonit"
NEEDED = frozenset(_NEEDED.split())

PACKAGES: tuple[Package, ...] = (
    Package("bash", "bash", "bash"),
    Package(
        "coreutils",
        "coreutils",
        "[ arch b2sum base32 base64 basename cat chgrp chmod chown chroot cksum comm cp csplit cut date dd df dir "
        "dircolors dirname du echo env expand expr factor false fmt fold groups head hostid id install join link ln "
        "logname ls md5sum mkdir mkfifo mknod mktemp mv nice nl nohup nproc numfmt od paste pathchk pr printenv printf "
        "pwd readlink realpath rm rmdir seq sha1sum sha256sum sha512sum shred shuf sleep sort split stat stdbuf stty "
        "sum sync tac tail tee test timeout touch tr true truncate tsort tty uname unexpand uniq unlink uptime users "
        "vdir wc who whoami yes",
    ),
    Package(
        "util-linux",
        "util-linux",
        "blkid blockdev choom chrt dmesg fallocate findfs findmnt flock fstrim getopt ionice ipcmk ipcrm ipcs isosize "
        "lsblk lscpu lsipc lslocks lsmem lsns mcookie more mountpoint namei nsenter pivot_root prlimit setarch "
        "setpriv setsid setterm switch_root taskset unshare whereis wipefs",
    ),
    Package("mount", "util-linux", "mount umount losetup"),
    Package("bsdextrautils", "util-linux", "column hexdump look"),
    Package("bsdutils", "util-linux", "logger renice script scriptreplay"),
    Package("util-linux-extra", "util-linux", "fincore lsfd"),
    Package("iproute2", "iproute", "ip ss bridge nstat"),
    Package("iproute2", "iproute-tc", "tc"),
    Package("nftables", "nftables", "nft"),
    Package("procps", "procps-ng", "ps pgrep pkill kill pidwait pmap pwdx free top vmstat w watch sysctl slabtop"),
    Package("psmisc", "psmisc", "pstree killall fuser prtstat"),
    Package("iputils-ping", "iputils", "ping"),
    Package("hostname", "hostname", "hostname"),
    Package("findutils", "findutils", "find xargs"),
    Package("diffutils", "diffutils", "cmp diff"),
    Package("grep", "grep", "grep egrep fgrep"),
    Package("sed", "sed", "sed"),
    Package("mawk", "gawk", "awk"),
    Package("tar", "tar", "tar"),
    Package("gzip", "gzip", "gzip gunzip zcat"),
    Package("less", "less", "less"),
    Package("nano", "nano", "nano"),
    Package("curl", "curl", "curl"),
    Package("strace", "strace", "strace"),
    Package("tcpdump", "tcpdump", "tcpdump"),
    Package("attr", "attr", "getfattr setfattr"),
    Package("libcap2-bin", "libcap", "capsh getcap getpcaps setcap"),
    Package("e2fsprogs", "e2fsprogs", "lsattr chattr filefrag"),
    Package("fuse3", "fuse3", "fusermount3"),
    Package("ncurses-bin", "ncurses", "clear infocmp reset tabs tput tset"),
    Package("libc-bin", "glibc-common", "getconf getent ldd locale"),
    Package("libc-bin", "glibc", "ldconfig"),
    Package("debianutils", "which", "which"),
    Package("python3", "python3", "python3"),
    Package("busybox-static", "busybox", "busybox"),
    Package("catatonit", "catatonit", "catatonit"),
    Package("jq", "jq", "jq", optional=True),
    Package("xxd", "vim-common", "xxd", optional=True),
    Package("tree", "tree", "tree", optional=True),
    Package("lsof", "lsof", "lsof", optional=True),
    # What the engine runs on the machine itself: the lab disk's template and its check (storage/disk.py).
    Package("e2fsprogs", "e2fsprogs", "mkfs.ext4 e2fsck", lab=False),
    # The live CD's disc (storage/disc.py).
    Package("squashfs-tools", "squashfs-tools", "mksquashfs", lab=False),
)

# Files without a program of ours: read by path. (package on Debian, package on Fedora, a path that shows it is there)
DATA: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("ca-certificates", "ca-certificates", ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")),
    ("ncurses-base", "ncurses-base", ("/lib/terminfo/x/xterm-256color", "/usr/share/terminfo/x/xterm-256color")),
    ("libseccomp2", "libseccomp", ("/usr/lib/x86_64-linux-gnu/libseccomp.so.2", "/usr/lib64/libseccomp.so.2",
                                   "/usr/lib/aarch64-linux-gnu/libseccomp.so.2")),
)  # fmt: skip


def find(program: str, folders: tuple[str, ...] = FOLDERS) -> str | None:
    """The path of a program in the machine's own folders, or None. A link without a target counts as absent."""
    for folder in folders:
        path = os.path.join(folder, program)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def packages(family: str, *, missing: bool = False) -> list[str]:
    """Names of the system packages for `family` ("debian" or "fedora"), sorted, each once.

    Args:
        missing: only those of which nothing (no program, no file of DATA) is on this machine.

    Raises:
        ValueError: a family we have no names for.
    """
    if family not in ("debian", "fedora"):
        raise ValueError(f"no package names for {family!r}: choose debian or fedora")
    names = set()
    for package in PACKAGES:
        # One program of a long list may be absent by design (Debian builds coreutils without some): only when none
        # of them is there is the package itself missing.
        if package.optional or (missing and any(find(name) for name in package.names)):
            continue
        names.add(getattr(package, family))
    for debian, fedora, paths in DATA:
        if not (missing and any(os.path.exists(path) for path in paths)):
            names.add(debian if family == "debian" else fedora)
    return sorted(names - {""})


def package_of(program: str) -> Package | None:
    """The table's row that brings a program."""
    return next((package for package in PACKAGES if program in package.names), None)


def main(argv: list[str]) -> int:
    """Print package names, one a line. 0, or 2 for words it does not know."""
    words = [word for word in argv if word != "--missing"]
    if len(words) != 1 or words[0] not in ("debian", "fedora"):
        print("usage: programs.py debian|fedora [--missing]", file=sys.stderr)
        return 2
    print("\n".join(packages(words[0], missing="--missing" in argv)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
