"""What a cgroup has used: the counters of cgroup v1 and v2 as one typed answer. See cgroups(7).

Reads files, changes none. A counter that this kernel or this group's controllers do not have is None, never 0.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from engine.linux import procfs

#: v1 says "no limit" by a number near 2^63, a multiple of the page size.
_V1_NO_LIMIT = 1 << 62


@dataclass(frozen=True)
class Usage:
    """Counters of one group and all below it; None where they are not kept.

    Attributes:
        memory_bytes, memory_limit_bytes: used now, and the limit (None also for no limit).
        cache_bytes: the part of it that is file data and can be given back.
        oom_kills: processes killed here for want of memory.
        memory_limit_hits: how often the limit was reached.
        cpu_us: time spent, in microseconds.
        cpu_quota_us: what may be spent in each period of 100 ms, None for no limit.
        periods, throttled_periods, throttled_us: how often and how long the quota stopped it.
        pids, pids_limit, pids_refused: processes and threads, how many are allowed, and how often a fork was refused.
    """

    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    cache_bytes: int | None = None
    oom_kills: int | None = None
    memory_limit_hits: int | None = None
    cpu_us: int | None = None
    cpu_quota_us: int | None = None
    periods: int | None = None
    throttled_periods: int | None = None
    throttled_us: int | None = None
    pids: int | None = None
    pids_limit: int | None = None
    pids_refused: int | None = None

    def to_dict(self) -> dict[str, int | None]:
        """For JSON."""
        return asdict(self)


def usage_v1(paths: dict[str, Path]) -> Usage:
    """Counters from v1 hierarchies.

    Args:
        paths: controller -> the group's directory there.
    """
    memory, cpu, cpuacct, pids = (paths.get(name) for name in ("memory", "cpu", "cpuacct", "pids"))
    throttling = _pairs(cpu, "cpu.stat")
    spent = _number(cpuacct, "cpuacct.usage")
    throttled_ns = throttling.get("throttled_time")
    return Usage(
        memory_bytes=_number(memory, "memory.usage_in_bytes"),
        memory_limit_bytes=_limit(_number(memory, "memory.limit_in_bytes")),
        cache_bytes=_pairs(memory, "memory.stat").get("total_cache"),
        oom_kills=_pairs(memory, "memory.oom_control").get("oom_kill"),
        memory_limit_hits=_number(memory, "memory.failcnt"),
        cpu_us=None if spent is None else spent // 1000,
        cpu_quota_us=_limit(_number(cpu, "cpu.cfs_quota_us")),
        periods=throttling.get("nr_periods"),
        throttled_periods=throttling.get("nr_throttled"),
        throttled_us=None if throttled_ns is None else throttled_ns // 1000,
        pids=_number(pids, "pids.current"),
        pids_limit=_number(pids, "pids.max"),
        pids_refused=_pairs(pids, "pids.events").get("max"),
    )


def usage_v2(path: Path) -> Usage:
    """Counters from a group of the v2 tree."""
    spent, events = _pairs(path, "cpu.stat"), _pairs(path, "memory.events")
    quota = _text(path, "cpu.max").split()
    return Usage(
        memory_bytes=_number(path, "memory.current"),
        memory_limit_bytes=_number(path, "memory.max"),
        cache_bytes=_pairs(path, "memory.stat").get("file"),
        oom_kills=events.get("oom_kill"),
        memory_limit_hits=events.get("max"),
        cpu_us=spent.get("usage_usec"),
        cpu_quota_us=int(quota[0]) if len(quota) == 2 and quota[0].isdigit() else None,
        periods=spent.get("nr_periods"),
        throttled_periods=spent.get("nr_throttled"),
        throttled_us=spent.get("throttled_usec"),
        pids=_number(path, "pids.current"),
        pids_limit=_number(path, "pids.max"),
        pids_refused=_pairs(path, "pids.events").get("max"),
    )


def _limit(value: int | None) -> int | None:
    return None if value is None or not 0 <= value < _V1_NO_LIMIT else value


def _text(path: Path | None, file: str) -> str:
    if path is None:
        return ""
    try:
        return procfs.read_page(f"{path}/{file}").decode("ascii", "replace")
    except OSError:
        return ""  # ENOENT: not kept here; ENODEV: the group is being removed


def _number(path: Path | None, file: str) -> int | None:
    text = _text(path, file).strip()
    return int(text) if text.removeprefix("-").isdigit() else None  # "max" is no limit


def _pairs(path: Path | None, file: str) -> dict[str, int]:
    fields = [line.split() for line in _text(path, file).splitlines()]
    return {field[0]: int(field[1]) for field in fields if len(field) == 2 and field[1].isdigit()}
