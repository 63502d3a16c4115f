"""Predicates about the learner's cgroups: who is in one, what limits it, and what the limit did.

A group is named by its path below the learner's top group, "/box", on v1 and v2 alike. On v1 the same name may be there
for one controller and not for another, so each predicate asks in the tree of its own controller. See cgroups(7).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from engine.observe.model import GroupEntry, Process
from engine.predicates.codes import Result, fails, holds
from engine.predicates.world import World

Args = Mapping[str, Any]

#: What can be limited -> (controller in v1's name, controller in v2's name, the value of a group, None for no limit).
_LIMITS: dict[str, tuple[str, str, Callable[[GroupEntry], int | None]]] = {
    "cpu": ("cpu", "cpu", lambda group: _percent(group.usage.cpu_quota_us)),
    "weight": ("cpu", "cpu", lambda group: group.cpu_weight),
    "memory": ("memory", "memory", lambda group: group.usage.memory_limit_bytes),
    "pids": ("pids", "pids", lambda group: group.usage.pids_limit),
    "write": ("blkio", "io", lambda group: _least(group, "wbps")),
    "read": ("blkio", "io", lambda group: _least(group, "rbps")),
}
LIMITS = tuple(_LIMITS)
CONTROLLERS = ("cpu", "memory", "pids", "io", "freezer")

#: Ticks of CPU time below which a ratio says nothing.
_ENOUGH_TICKS = 30


def _percent(quota_us: int | None) -> int | None:
    """Of one CPU, with the usual period of 100 ms."""
    return None if quota_us is None else quota_us // 1000


def _least(group: GroupEntry, name: str) -> int | None:
    return min((device[name] for device in group.io.values() if name in device), default=None)


def _tree(world: World, controller: str) -> str:
    """The controller's name on this kernel."""
    controllers = world.observation.controllers
    return "blkio" if controller == "io" and "blkio" in controllers else controller


def _find(world: World, path: str, controller: str) -> GroupEntry | Result:
    """The group, or why it is not there for this controller."""
    name = _tree(world, controller)
    group = next((one for one in world.observation.cgroups if one.path == path), None)
    if group is None:
        return fails("cgroup_absent", group=path, controller=name)
    on_v1 = world.observation.controllers.get(name) == "v1"
    if on_v1 and name not in group.controllers:
        return fails("cgroup_other_tree", group=path, controller=name, trees=list(group.controllers))
    return group


def _place(world: World, process: Process, controller: str) -> str:
    name = _tree(world, controller)
    return process.cgroups.get(name, "/") if world.observation.controllers.get(name) == "v1" else process.cgroup


def _inside(world: World, path: str, controller: str) -> list[Process]:
    return [process for process in world.processes if _place(world, process, controller) == path]


def process_in_cgroup(world: World, args: Args) -> Result:
    """A process is right in this cgroup, for this controller; comm: and it is this program.

    Arguments: group: "/" is the learner's top group; controller: cpu, memory, pids, io or freezer; comm.

    Example:
        {process_in_cgroup: {group: /box, controller: pids, comm: bash}}
    """
    path, controller = args["group"], args.get("controller", "pids")
    group = _find(world, path, controller)
    if isinstance(group, Result):
        return group
    inside = _inside(world, path, controller)
    for process in inside:
        if args.get("comm") in (None, process.comm):
            return holds(pid=process.nspid[0], comm=process.comm)
    if inside:
        return fails("comm_other", comm=inside[0].comm, wanted=args["comm"], pid=inside[0].nspid[0])
    return fails("cgroup_empty", group=path)


def cgroup_limit(world: World, args: Args) -> Result:
    """A cgroup has a limit, and it lies within these bounds.

    Arguments: group, with `*` for any name in it: one of those; what: cpu (percent of one CPU, with the usual period),
    weight (v2's numbers, 100 being usual), memory (bytes), pids, write, read (bytes a second, of the device with the
    lowest); min, max.

    Example:
        {cgroup_limit: {group: /box, what: memory, max: 67108864}}
    """
    named = [each.path for each in world.observation.cgroups if fnmatchcase(each.path, args["group"])]
    results = [_limit(world, {**args, "group": path}) for path in named] or [_limit(world, args)]
    return next((each for each in results if each.ok), results[-1])


def _limit(world: World, args: Args) -> Result:
    v1_name, v2_name, value_of = _LIMITS[args["what"]]
    group = _find(world, args["group"], v2_name if v2_name == v1_name else "io")
    if isinstance(group, Result):
        return group
    value = value_of(group)
    if value is None:
        return fails("limit_none", group=args["group"], what=args["what"])
    low, high = args.get("min"), args.get("max")
    if (low is None or value >= low) and (high is None or value <= high):
        return holds(value=value)
    wanted = low if low is not None and value < low else high
    return fails("limit_other", group=args["group"], what=args["what"], value=value, wanted=wanted)


def _counted(world: World, args: Args, controller: str, what: str) -> GroupEntry | Result:
    """The group, or why nothing can have been counted in it."""
    group = _find(world, args["group"], controller)
    if isinstance(group, Result):
        return group
    if _LIMITS[what][2](group) is None:
        return fails("limit_none", group=args["group"], what=what)
    return group


def cgroup_throttled(world: World, args: Args) -> Result:
    """The CPU quota of a cgroup has stopped its processes, in so many periods (min, else one).

    Example:
        {cgroup_throttled: {group: /box, min: 5}}
    """
    group = _counted(world, args, "cpu", "cpu")
    if isinstance(group, Result):
        return group
    stopped = group.usage.throttled_periods or 0
    if stopped >= args.get("min", 1):
        return holds(periods=stopped)
    return fails("throttled_none", group=args["group"], periods=group.usage.periods or 0, throttled=stopped)


def oom_killed(world: World, args: Args) -> Result:
    """A process of a cgroup was killed for want of memory below the group's limit.

    Example:
        {oom_killed: {group: /box}}
    """
    group = _counted(world, args, "memory", "memory")
    if isinstance(group, Result):
        return group
    kills = group.usage.oom_kills or 0
    if kills >= args.get("min", 1):
        return holds(kills=kills)
    return fails("oom_none", group=args["group"], hits=group.usage.memory_limit_hits or 0)


def pids_refused(world: World, args: Args) -> Result:
    """The limit of a cgroup has refused a fork.

    Example:
        {pids_refused: {group: /box}}
    """
    group = _counted(world, args, "pids", "pids")
    if isinstance(group, Result):
        return group
    refused = group.usage.pids_refused or 0
    if refused >= args.get("min", 1):
        return holds(refused=refused)
    return fails("refused_none", group=args["group"], pids=group.usage.pids or 0, limit=group.usage.pids_limit or 0)


def cgroup_frozen(world: World, args: Args) -> Result:
    """A cgroup with somebody in it is frozen; frozen: false: it is not.

    Example:
        {cgroup_frozen: {group: /box}}
    """
    wanted = args.get("frozen", True)
    controller = "freezer" if "freezer" in world.observation.controllers else "pids"
    group = _find(world, args["group"], controller)
    if isinstance(group, Result):
        return group
    if bool(group.frozen) != wanted:
        return fails("frozen_not" if wanted else "frozen_still", group=args["group"])
    inside = _inside(world, args["group"], controller)
    if wanted and not inside:
        return fails("cgroup_empty", group=args["group"])
    return holds(pids=[process.nspid[0] for process in inside])


def cpu_ratio(world: World, args: Args) -> Result:
    """The processes now in one cgroup have had so many times the CPU time of those in another.

    Arguments: group; than: the other one; min, max: hundredths (300 is three times as much).

    Example:
        {cpu_ratio: {group: /heavy, than: /light, min: 250, max: 600}}
    """
    ticks = []
    for path in (args["group"], args["than"]):
        group = _find(world, path, "cpu")
        if isinstance(group, Result):
            return group
        if not _inside(world, path, "cpu"):
            return fails("cgroup_empty", group=path)
        ticks.append(group.cpu_ticks)
    if ticks[0] < _ENOUGH_TICKS or ticks[1] < _ENOUGH_TICKS // 3:
        return fails("cpu_ratio_early", group=args["group"], than=args["than"])
    ratio = ticks[0] * 100 // ticks[1]
    if args.get("min", 0) <= ratio <= args.get("max", ratio):
        return holds(ratio=ratio / 100)
    return fails("cpu_ratio_other", group=args["group"], than=args["than"], ratio=round(ratio / 100, 1))


def io_written(world: World, args: Args) -> Result:
    """A cgroup has written so many bytes (min, else one) to a device; v1 counts what went there directly.

    What goes to a lab's disk, a loop device, is counted there and once more on the disk below it: not a sum, the most.

    Example:
        {io_written: {group: /box, min: 4194304}}
    """
    group = _find(world, args["group"], "io")
    if isinstance(group, Result):
        return group
    written = max((device.get("written", 0) for device in group.io.values()), default=0)
    if written >= args.get("min", 1):
        return holds(written=written)
    return fails("io_none", group=args["group"], written=written, wanted=args.get("min", 1))
