"""What a cgroup may use, and the files that say so: the same limits in the words of cgroup v1 and of v2.

Pure: `writes` turns Limits into an ordered list of (controller, file, value) for one version; cgroups.py carries it
out. See Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/ of the kernel, and cgroups(7).
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import BadInput

#: Takes a limit away again; None leaves it as it is.
UNLIMITED = -1

#: The kernel's usual period: a quota of 50 ms in each 100 ms is half a CPU.
CPU_PERIOD_US = 100_000
_CPU_QUOTA_MIN_US = 1_000  # the kernel refuses less


@dataclass(frozen=True)
class Limits:
    """Limits of one group; None leaves what is there, UNLIMITED (-1) lifts a limit.

    Attributes:
        memory_bytes: memory, page cache included. A process that cannot be helped by reclaim is killed.
        swap_bytes: swap beyond the memory; 0 forbids it. On v1 it needs memory_bytes, since v1 limits the sum.
        oom_group: kill all of the group when one must be killed (v2 only; v1 has no such thing).
        cpus: how many CPUs' time, 0.5 being half of one: a quota, reached even when other CPUs are idle.
        cpu_weight: share when CPUs are contended, 1 to 10000, 100 being usual.
        pids: processes and threads.
        descendants: groups below this one (v2 tree, also the empty one of a hybrid host; v1 has no such limit).
    """

    memory_bytes: int | None = None
    swap_bytes: int | None = None
    oom_group: bool = False
    cpus: float | None = None
    cpu_weight: int | None = None
    pids: int | None = None
    descendants: int | None = None

    def __post_init__(self) -> None:
        for name in ("memory_bytes", "swap_bytes", "pids", "descendants"):
            value = getattr(self, name)
            if value is not None and value < UNLIMITED:
                raise BadInput(f"{name} is {value}; it is a count, or -1 for no limit.")
        if self.cpus is not None and not (self.cpus == UNLIMITED or 0.01 <= self.cpus <= 100_000):
            raise BadInput(f"cpus is {self.cpus}; the least the kernel can give is 0.01 of a CPU.")
        if self.cpu_weight is not None and not 1 <= self.cpu_weight <= 10_000:
            raise BadInput(f"cpu_weight is {self.cpu_weight}; it goes from 1 to 10000, 100 being usual.")


@dataclass(frozen=True)
class Write:
    """One value for one file of a group.

    Attributes:
        controller: whose file it is; "" for the v2 tree itself.
        optional: the file may be missing on this kernel, and the limit is then given up silently.
    """

    controller: str
    file: str
    value: str
    optional: bool = False


def controllers(limits: Limits) -> tuple[str, ...]:
    """The controllers these limits need."""
    need = []
    if limits.memory_bytes is not None or limits.swap_bytes is not None or limits.oom_group:
        need.append("memory")
    if limits.cpus is not None or limits.cpu_weight is not None:
        need.append("cpu")
    if limits.pids is not None:
        need.append("pids")
    return tuple(need)


def writes_v2(limits: Limits, controller: str) -> list[Write]:
    """The writes for one controller of a v2 tree ("" for the tree's own)."""
    if controller == "memory":
        return [
            *_number("memory", "memory.max", limits.memory_bytes, "max"),
            # Absent where the kernel has no swap accounting; without swap on the machine nothing is lost.
            *_number("memory", "memory.swap.max", limits.swap_bytes, "max", optional=True),
            *([Write("memory", "memory.oom.group", "1")] if limits.oom_group else []),
        ]
    if controller == "cpu":
        quota = (
            [] if limits.cpus is None else [Write("cpu", "cpu.max", f"{_quota(limits.cpus, 'max')} {CPU_PERIOD_US}")]
        )
        return [*quota, *_number("cpu", "cpu.weight", limits.cpu_weight, "100")]
    if controller == "pids":
        return _number("pids", "pids.max", limits.pids, "max")
    if controller == "":
        return _number("", "cgroup.max.descendants", limits.descendants, "max", optional=True)
    return []


def writes_v1(limits: Limits, controller: str) -> list[Write]:
    """The writes for one controller's v1 hierarchy."""
    if controller == "memory":
        writes = _number("memory", "memory.limit_in_bytes", limits.memory_bytes, "-1")
        if limits.swap_bytes is not None:
            writes.append(Write("memory", "memory.memsw.limit_in_bytes", _memory_and_swap(limits), optional=True))
        return writes
    if controller == "cpu":
        writes = []
        if limits.cpus is not None:
            writes.append(Write("cpu", "cpu.cfs_period_us", str(CPU_PERIOD_US)))
            writes.append(Write("cpu", "cpu.cfs_quota_us", _quota(limits.cpus, "-1")))
        if limits.cpu_weight is not None:
            # v1's usual 1024 shares are v2's usual weight of 100; the kernel takes 2 as the least.
            writes.append(Write("cpu", "cpu.shares", str(max(2, limits.cpu_weight * 1024 // 100))))
        return writes
    if controller == "pids":
        return _number("pids", "pids.max", limits.pids, "max")
    return []


def _memory_and_swap(limits: Limits) -> str:
    if limits.swap_bytes == UNLIMITED or limits.memory_bytes == UNLIMITED:
        return "-1"
    if limits.memory_bytes is None or limits.swap_bytes is None:
        raise BadInput("swap_bytes was given without memory_bytes.", "cgroup v1 limits their sum: give both.")
    return str(limits.memory_bytes + limits.swap_bytes)


def _number(controller: str, file: str, value: int | None, unlimited: str, *, optional: bool = False) -> list[Write]:
    if value is None:
        return []
    return [Write(controller, file, unlimited if value == UNLIMITED else str(value), optional)]


def _quota(cpus: float, unlimited: str) -> str:
    return unlimited if cpus == UNLIMITED else str(max(_CPU_QUOTA_MIN_US, round(cpus * CPU_PERIOD_US)))
