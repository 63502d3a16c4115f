"""What /proc says about a process: pure parsers, and thin readers that open one file each. See proc(5).

Parsers take bytes and give typed values; readers take a host pid and, for tests, another place than /proc. Text that
is not UTF-8 (comm, paths, mount options belong to whoever made them) is kept by surrogateescape, as in os.fsdecode.

A process can end between any two calls: readers then raise FileNotFoundError or ProcessLookupError, both `Gone`.
What a whole lab looks like is the business of engine/observe/.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from engine.linux.idmap import IdMap, parse_map

#: What a reader raises when the process (or its last thread) is no more.
Gone = (FileNotFoundError, ProcessLookupError)

#: Names of the links in /proc/PID/ns that say where a process itself is; see namespaces(7).
KINDS: tuple[str, ...] = ("user", "pid", "mnt", "net", "uts", "ipc", "cgroup", "time")

# procfs gives at most a page for most files; mountinfo, cmdline and maps may be longer and are read to the end.
_CHUNK = 65_536
# A learner can make 100,000 mounts (fs.mount-max) and argv can be megabytes: nobody looks at more than this.
_LIMIT = 4 * 1024 * 1024

_OCTAL = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Status:
    """/proc/PID/status, as far as it is used. Ids are real, effective, saved, file system, seen from the reader.

    `nspid` has one number for each pid namespace, from the reader's to the process's own. Cap sets are bit masks
    (capabilities.names), `seccomp` is 0 none, 1 strict, 2 filter.
    """

    name: str
    state: str
    ppid: int
    uids: tuple[int, int, int, int]
    gids: tuple[int, int, int, int]
    nspid: tuple[int, ...]
    cap_permitted: int
    cap_effective: int
    cap_bounding: int
    no_new_privs: bool
    seccomp: int


@dataclass(frozen=True, slots=True)
class Stat:
    """/proc/PID/stat, as far as it is used. `starttime` is in clock ticks since boot and tells pids apart for good.

    `cpu_ticks` is the time spent so far by all its threads, in user and in kernel mode, in clock ticks.
    """

    pid: int
    comm: str
    state: str
    ppid: int
    pgrp: int
    session: int
    tty_nr: int
    tpgid: int
    starttime: int
    cpu_ticks: int = 0


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of /proc/PID/mountinfo; paths are as the process whose file it is would see them.

    `shared` and `master` are peer group numbers (mount_namespaces(7)), None where the mount is not shared, not a slave.
    """

    id: int
    parent: int
    device: str
    root: str
    target: str
    options: tuple[str, ...]
    shared: int | None
    master: int | None
    unbindable: bool
    type: str
    source: str
    super_options: tuple[str, ...]


def parse_status(text: bytes) -> Status:
    """The fields of /proc/PID/status; a field the kernel was built without is 0 or empty."""
    # Looked up one by one: taking all sixty lines apart costs twice as much, fifty times a second for each lab.
    uids, gids = (tuple(map(int, (_field(text, key) or b"0 0 0 0").split())) for key in (b"Uid", b"Gid"))
    return Status(
        name=os.fsdecode(_field(text, b"Name")),
        state=chr((_field(text, b"State") or b"?")[0]),
        ppid=int(_field(text, b"PPid") or 0),
        uids=uids,  # type: ignore[arg-type]
        gids=gids,  # type: ignore[arg-type]
        nspid=tuple(map(int, _field(text, b"NSpid").split())),
        cap_permitted=int(_field(text, b"CapPrm") or b"0", 16),
        cap_effective=int(_field(text, b"CapEff") or b"0", 16),
        cap_bounding=int(_field(text, b"CapBnd") or b"0", 16),
        no_new_privs=_field(text, b"NoNewPrivs") == b"1",
        seccomp=int(_field(text, b"Seccomp") or 0),
    )


def _field(text: bytes, key: bytes) -> bytes:
    """The value of `key` in lines of "key:\\tvalue"; the kernel escapes a newline in a name, so none can be forged."""
    start = 0 if text.startswith(key + b":\t") else text.find(b"\n" + key + b":\t") + 1
    if start == 0 and not text.startswith(key + b":\t"):
        return b""
    end = text.find(b"\n", start)
    return text[start + len(key) + 2 : end if end >= 0 else None]


def parse_stat(text: bytes) -> Stat:
    """The fields of /proc/PID/stat. comm may hold blanks and brackets, so it ends at the last bracket."""
    opening, closing = text.index(b"("), text.rindex(b")")
    fields = text[closing + 2 :].split()
    return Stat(
        pid=int(text[:opening]),
        comm=os.fsdecode(text[opening + 1 : closing]),
        state=chr(fields[0][0]),
        ppid=int(fields[1]),
        pgrp=int(fields[2]),
        session=int(fields[3]),
        tty_nr=int(fields[4]),
        tpgid=int(fields[5]),
        starttime=int(fields[19]),
        cpu_ticks=int(fields[11]) + int(fields[12]),
    )


def parse_mountinfo(text: bytes) -> list[Mount]:
    """The lines of /proc/PID/mountinfo, in order. A last line cut short by a size limit is left out."""
    mounts = []
    for line in text.split(b"\n"):
        before, separator, after = line.partition(b" - ")
        fields, rest = before.split(b" "), after.split(b" ")
        if not separator or len(fields) < 6 or len(rest) < 3:
            continue
        tags = dict(tag.partition(b":")[::2] for tag in fields[6:])
        mounts.append(
            Mount(
                id=int(fields[0]),
                parent=int(fields[1]),
                device=fields[2].decode("ascii"),
                root=_unescape(fields[3]),
                target=_unescape(fields[4]),
                options=tuple(os.fsdecode(fields[5]).split(",")),
                shared=int(tags[b"shared"]) if b"shared" in tags else None,
                master=int(tags[b"master"]) if b"master" in tags else None,
                unbindable=b"unbindable" in tags,
                type=_unescape(rest[0]),
                source=_unescape(rest[1]),
                super_options=tuple(_unescape(option) for option in rest[2].split(b",")),  # a comma in one is \054
            )
        )
    return mounts


def _unescape(field: bytes) -> str:
    if b"\\" in field:
        field = _OCTAL.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), field)
    return os.fsdecode(field)


def parse_cgroup(text: bytes) -> dict[str, str]:
    """/proc/PID/cgroup: controller (v1), `name=…` (v1 without a controller) or "" (v2) -> path. See cgroups(7)."""
    groups: dict[str, str] = {}
    for line in text.split(b"\n"):
        fields = line.split(b":", 2)
        if len(fields) == 3:
            for controller in os.fsdecode(fields[1]).split(","):
                groups[controller] = os.fsdecode(fields[2])
    return groups


def parse_timens_offsets(text: bytes) -> dict[str, int]:
    """/proc/PID/timens_offsets: clock -> whole seconds added. See time_namespaces(7)."""
    offsets = {}
    for line in text.split(b"\n"):
        fields = line.split()
        if len(fields) == 3:
            offsets[fields[0].decode("ascii", "replace")] = int(fields[1])
    return offsets


def read(path: str, limit: int = _LIMIT) -> bytes:
    """A whole small file, read to the end or to `limit` bytes, without the cost of a Python file object."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(fd, _CHUNK)
        while data and len(data) < limit:
            more = os.read(fd, _CHUNK)
            if not more:
                break
            data += more
        return data[:limit]
    finally:
        os.close(fd)


def read_page(path: str, limit: int = 8192) -> bytes:
    """A file of less than 4 KiB in one read(2): stat, status, cgroup, the beginning of cmdline. Half of `read`."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, limit)
    finally:
        os.close(fd)


def status(pid: int, proc: str = "/proc") -> Status:
    """See Status. Raises `Gone`."""
    return parse_status(read_page(f"{proc}/{pid}/status"))


def stat(pid: int, proc: str = "/proc") -> Stat:
    """See Stat. Raises `Gone`."""
    return parse_stat(read_page(f"{proc}/{pid}/stat"))


def cmdline(pid: int, proc: str = "/proc", limit: int = 4096) -> tuple[str, ...]:
    """argv, as the process last left it; empty for a kernel thread and a zombie. At most `limit` bytes."""
    return parse_cmdline(read(f"{proc}/{pid}/cmdline", limit))


def parse_cmdline(text: bytes) -> tuple[str, ...]:
    """The words of /proc/PID/cmdline."""
    return tuple(os.fsdecode(word) for word in text.removesuffix(b"\0").split(b"\0")) if text else ()


def mountinfo(pid: int | str, proc: str = "/proc") -> list[Mount]:
    """The mounts a process sees; "self" is allowed. Raises `Gone`, and EINVAL for a zombie."""
    return parse_mountinfo(read(f"{proc}/{pid}/mountinfo"))


def cgroup(pid: int | str, proc: str = "/proc") -> dict[str, str]:
    """The groups of a process, relative to the reader's cgroup namespace."""
    return parse_cgroup(read(f"{proc}/{pid}/cgroup"))


def namespace(pid: int, link: str, proc: str = "/proc") -> int:
    """The inode of one namespace, from a link in /proc/PID/ns such as `uts` or `pid_for_children`.

    Raises `Gone`; also for a kind this kernel does not have, and for `pid_for_children` before its first process.
    """
    return parse_ns_link(os.readlink(f"{proc}/{pid}/ns/{link}"))


def parse_ns_link(target: str) -> int:
    """The inode in `uts:[4026531838]`."""
    return int(target[target.index("[") + 1 : -1])


def namespaces(pid: int, proc: str = "/proc", kinds: tuple[str, ...] = KINDS) -> dict[str, int]:
    """kind -> inode for each kind this kernel has. Raises `Gone` only if the process itself is."""
    found: dict[str, int] = {}
    folder = f"{proc}/{pid}/ns/"
    for kind in kinds:
        try:
            target = os.readlink(folder + kind)
        except FileNotFoundError:
            if not os.path.isdir(f"{proc}/{pid}"):
                raise
        else:
            found[kind] = int(target[len(kind) + 2 : -1])  # uts:[4026531838]
    return found


def uid_map(pid: int, proc: str = "/proc") -> tuple[IdMap, ...]:
    """The uid map of the process's user namespace, as seen from the reader's; empty while none is written."""
    return parse_map(read(f"{proc}/{pid}/uid_map"))


def gid_map(pid: int, proc: str = "/proc") -> tuple[IdMap, ...]:
    """The gid map; see `uid_map`."""
    return parse_map(read(f"{proc}/{pid}/gid_map"))


def timens_offsets(pid: int, proc: str = "/proc") -> dict[str, int]:
    """The clock offsets of the time namespace the process's *children* get; empty on kernels without (before 5.6)."""
    try:
        return parse_timens_offsets(read_page(f"{proc}/{pid}/timens_offsets"))
    except FileNotFoundError:
        if not os.path.isdir(f"{proc}/{pid}"):
            raise
        return {}
