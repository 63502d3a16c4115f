"""Predicates about processes and the namespaces they are in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.linux import capabilities
from engine.observe.model import Process
from engine.predicates import arguments as arg
from engine.predicates.arguments import Argument, Pattern
from engine.predicates.codes import Result, fails, holds
from engine.predicates.world import World

Args = Mapping[str, Any]

#: The conditions on one process; `process_in_ns`, `process_gone` and `answer` share them.
CONDITIONS: dict[str, Argument] = {
    "differs": Argument(arg.kinds),
    "same": Argument(arg.kinds),
    "nspid": Argument(arg.number),
    "hostname": Argument(arg.text),
    "own_proc": Argument(arg.flag),
    "uid_map": Argument(arg.id_map),
    "cgroup": Argument(arg.path),
    "link_up": Argument(arg.text),
    "comm": Argument(arg.text),
    "state": Argument(arg.text),
    "caps": Argument(arg.capabilities),
    "own_root": Argument(arg.flag),
}


def process_in_ns(world: World, args: Args) -> Result:
    """One process for which all given conditions hold.

    Arguments: differs, same: kinds in which it is (not) in another namespace than the lab; nspid: what it calls itself;
    hostname: of its uts namespace; own_proc: its /proc shows its own pid namespace; uid_map: lines, `*` for any number;
    cgroup: below the learner's; link_up: a link of its network namespace that is up; comm: the program; state: a letter
    of ps(1), T being stopped; caps: its effective capabilities, these and no others; own_root: the root of its mount
    namespace is not the lab's (chroot alone changes no mount namespace).

    Example:
        {process_in_ns: {differs: [uts, pid, mnt, ipc, net, user], hostname: box, nspid: 1, own_proc: true}}
    """
    candidates = [(unmet(world, process, args), process) for process in world.processes]
    for missing, process in candidates:
        if not missing:
            return _found(process, args)
    differs: tuple[str, ...] = args.get("differs", ())
    nobody = next((kind for kind in differs if not world.owners(kind)), None)
    if nobody is not None and not any(world.owners(kind) for kind in differs):
        return _nobody(world, args, nobody)
    if not candidates:
        return fails("no_process")
    return min(candidates, key=lambda candidate: sum(weight for weight, _ in candidate[0]))[0][0][1]


def _found(process: Process, args: Args) -> Result:
    seen: dict[str, Any] = {"pid": process.nspid[0], "comm": process.comm}
    for kind in args.get("differs", ())[:1]:
        seen["inode"] = process.ns[kind]
    return holds(**seen)


def _nobody(world: World, args: Args, kind: str) -> Result:
    """Nobody has a namespace of their own: say so, or which near miss it was."""
    differs = args.get("differs", ())
    if "hostname" in args and world.lab_hostname == args["hostname"]:
        return fails("lab_renamed", hostname=args["hostname"])
    outside = next((process for process in world.processes if world.left_outside(process)), None)
    if "pid" in differs and outside is not None:
        return _child_outside(outside)
    return fails("no_own_ns", kind=kind)


def _child_outside(process: Process) -> Result:
    return fails("child_outside", pid=process.nspid[0], comm=process.comm, started=process.children_pid_ns != 0)


def unmet(world: World, process: Process, args: Args) -> list[tuple[int, Result]]:
    """What keeps a process from fitting, each with how far off it is, in the order in which one would mend it."""
    found = []
    for name, condition in _CONDITIONS.items():
        if name in args:
            result = condition(world, process, args[name])
            if result is not None:
                found.append(result)
    return found


def _differs(world: World, process: Process, wanted: tuple[str, ...]) -> tuple[int, Result] | None:
    have = [kind for kind in wanted if world.own(process, kind)]
    missing = [kind for kind in wanted if kind not in have]
    if not missing:
        return None
    if "pid" in missing and world.left_outside(process):
        result = _child_outside(process)
    else:
        result = fails("kinds_missing", missing=missing, have=have, pid=process.nspid[0], comm=process.comm)
    return 10 * len(missing), result  # nearer by one kind beats everything else


def _same(world: World, process: Process, wanted: tuple[str, ...]) -> tuple[int, Result] | None:
    extra = [kind for kind in wanted if world.own(process, kind)]
    return (len(extra), fails("kinds_extra", extra=extra, pid=process.nspid[0], comm=process.comm)) if extra else None


def _nspid(world: World, process: Process, wanted: int) -> tuple[int, Result] | None:
    nspid = process.nspid[-1]
    if nspid == wanted:
        return None
    return 1, fails("nspid_other", nspid=nspid, wanted=wanted, pid=process.nspid[0], comm=process.comm)


def _hostname(world: World, process: Process, wanted: str) -> tuple[int, Result] | None:
    hostname = world.hostname(process)
    if hostname == wanted:
        return None
    return 1, fails("hostname_other", hostname=hostname, wanted=wanted, pid=process.nspid[0], comm=process.comm)


def _own_proc(world: World, process: Process, wanted: bool) -> tuple[int, Result] | None:
    if (world.shown_pid_ns(process.ns["mnt"]) == process.ns.get("pid")) == wanted:
        return None
    if world.lab_proc_covered:
        return 1, fails("lab_proc_covered")
    have = [kind for kind in ("pid", "mnt") if world.own(process, kind)]
    return 1, fails("old_proc", have=have, pid=process.nspid[0], comm=process.comm)


def map_unmet(world: World, process: Process, file: str, wanted: Pattern) -> Result | None:
    """Why the process's uid_map or gid_map does not fit a pattern; None if it does."""
    namespace = world.namespace_of(process, "user")
    lines = getattr(namespace, file, None) or ()
    if len(lines) == len(wanted) and all(
        all(want is None or want == value for want, value in zip(pattern, line, strict=True))
        for pattern, line in zip(wanted, lines, strict=True)
    ):
        return None
    if not lines:
        return fails("map_empty", file=file, pid=process.nspid[0], comm=process.comm)
    return fails(
        "map_other",
        file=file,
        map=[" ".join(map(str, line)) for line in lines],
        wanted=[" ".join("*" if want is None else str(want) for want in pattern) for pattern in wanted],
        pid=process.nspid[0],
        comm=process.comm,
    )


def _uid_map(world: World, process: Process, wanted: Pattern) -> tuple[int, Result] | None:
    result = map_unmet(world, process, "uid_map", wanted)
    return (1, result) if result else None


def _cgroup(world: World, process: Process, wanted: str) -> tuple[int, Result] | None:
    if process.cgroup == wanted or process.cgroup.startswith(wanted.rstrip("/") + "/"):
        return None
    return 1, fails("cgroup_other", cgroup=process.cgroup, wanted=wanted, pid=process.nspid[0], comm=process.comm)


def _link_up(world: World, process: Process, wanted: str) -> tuple[int, Result] | None:
    link = next((link for link in world.links(process.ns.get("net", 0)) if link.name == wanted), None)
    if link is not None and link.up:
        return None
    return 1, fails("link_absent" if link is None else "link_down", name=wanted)


def _comm(world: World, process: Process, wanted: str) -> tuple[int, Result] | None:
    if process.comm == wanted:
        return None
    return 1, fails("comm_other", comm=process.comm, wanted=wanted, pid=process.nspid[0])


def _state(world: World, process: Process, wanted: str) -> tuple[int, Result] | None:
    if process.state == wanted:
        return None
    return 1, fails("state_other", state=process.state, wanted=wanted, pid=process.nspid[0], comm=process.comm)


def _caps(world: World, process: Process, wanted: int) -> tuple[int, Result] | None:
    if process.cap_eff == wanted:
        return None
    extra = [name.removeprefix("CAP_") for name in capabilities.names(process.cap_eff & ~wanted)]
    missing = [name.removeprefix("CAP_") for name in capabilities.names(wanted & ~process.cap_eff)]
    return 1, fails("caps_other", extra=extra, missing=missing, pid=process.nspid[0], comm=process.comm)


def _own_root(world: World, process: Process, wanted: bool) -> tuple[int, Result] | None:
    here, lab = (world.uppermost(mnt, "/") for mnt in (process.ns["mnt"], world.lab.get("mnt", 0)))
    if (here is not None and (lab is None or here.device != lab.device)) == wanted:
        return None
    return 1, fails("root_of_lab", pid=process.nspid[0], comm=process.comm)


_CONDITIONS: dict[str, Callable[[World, Process, Any], tuple[int, Result] | None]] = {
    "differs": _differs,
    "same": _same,
    "nspid": _nspid,
    "hostname": _hostname,
    "own_root": _own_root,
    "own_proc": _own_proc,
    "uid_map": _uid_map,
    "cgroup": _cgroup,
    "link_up": _link_up,
    "comm": _comm,
    "state": _state,
    "caps": _caps,
}


def hostname(world: World, args: Args) -> Result:
    """A process in its own uts namespace has this hostname, and the lab host has not.

    Example:
        {hostname: {name: box}}
    """
    if world.lab_hostname == args["name"]:
        return fails("lab_renamed", hostname=args["name"])
    return process_in_ns(world, {"differs": ("uts",), "hostname": args["name"]})


def lab_hostname(world: World, args: Args) -> Result:
    """The lab host itself has this hostname (still, or again).

    Example:
        {lab_hostname: {name: lab}}
    """
    if world.lab_hostname == args["name"]:
        return holds()
    return fails("lab_renamed", hostname=world.lab_hostname)


def first_process(world: World, args: Args) -> Result:
    """A process is PID 1 of its own pid namespace; comm: and it is this program.

    Example:
        {first_process: {comm: bash}}
    """
    return process_in_ns(world, {"differs": ("pid",), "nspid": 1, **args})


def own_proc(world: World, args: Args) -> Result:
    """A process of its own pid namespace sees that one in /proc, and the lab host's /proc is not covered.

    Example:
        {own_proc: {}}
    """
    if world.lab_proc_covered:
        return fails("lab_proc_covered")
    return process_in_ns(world, {"differs": ("pid",), "own_proc": True})


def lab_proc_intact(world: World, args: Args) -> Result:
    """Nothing lies over the lab host's /proc.

    Example:
        {lab_proc_intact: {}}
    """
    return fails("lab_proc_covered") if world.lab_proc_covered else holds()


def id_map(world: World, args: Args) -> Result:
    """A process in its own user namespace has this uid_map or gid_map, as its parent namespace reads it.

    Example:
        {id_map: {uid: "0 * 1"}}
    """
    owners = world.owners("user")
    if not owners:
        return fails("no_own_ns", kind="user")
    nearest: Result | None = None
    for process in owners:
        wanted = [(f"{name}_map", args[name]) for name in ("uid", "gid") if name in args]
        missing = [result for file, lines in wanted if (result := map_unmet(world, process, file, lines))]
        if not missing:
            return holds(pid=process.nspid[0], comm=process.comm, inode=process.ns["user"])
        # A map that is written but wrong says more than one that is not written.
        if nearest is None or (nearest.code == "map_empty" and missing[0].code == "map_other"):
            nearest = missing[0]
    return nearest or fails("no_own_ns", kind="user")


def time_offset(world: World, args: Args) -> Result:
    """A process in its own time namespace has a clock shifted by so many seconds.

    Arguments: clock: boottime or monotonic; min, max, equals: seconds.

    Example:
        {time_offset: {clock: boottime, min: 3600}}
    """
    clock = args["clock"]
    nearest: Result | None = None
    for process in world.owners("time"):
        namespace = world.namespace_of(process, "time")
        offset = dict(namespace.time_offsets or {}).get(clock, 0) if namespace else 0
        low, high = args.get("equals", args.get("min")), args.get("equals", args.get("max"))
        if (low is None or offset >= low) and (high is None or offset <= high):
            return holds(pid=process.nspid[0], comm=process.comm, inode=process.ns["time"])
        wanted = low if low is not None and offset < low else high
        nearest = nearest or fails(
            "offset_other", clock=clock, offset=offset, wanted=wanted, pid=process.nspid[0], comm=process.comm
        )
    return nearest or fails("no_own_ns", kind="time")


def kept_namespace(world: World, args: Args) -> Result:
    """A namespace of this kind has nobody inside and is kept by a bind mount or an open fd.

    Arguments: kind; by: mount or fd; hostname: for a uts namespace.

    Example:
        {kept_namespace: {kind: uts, by: mount, hostname: kept}}
    """
    kind, by = args["kind"], args["by"]
    own = [one for one in world.observation.namespaces if one.kind == kind and not one.of_lab]
    kept = [one for one in own if one.kept_by == by]
    wanted = args.get("hostname")
    for namespace in kept:
        if wanted is None or namespace.hostname == wanted:
            return holds(inode=namespace.inode)
    if kept:
        return fails("hostname_other", hostname=kept[0].hostname, wanted=wanted, pid=0, comm="")
    if own:
        return fails("kept_otherwise", kind=kind, kept_by=own[0].kept_by, wanted=by)
    return fails("not_kept", kind=kind)


def process_gone(world: World, args: Args) -> Result:
    """No process fits; conditions as in `process_in_ns`.

    Example:
        {process_gone: {differs: [pid]}}
    """
    for process in world.processes:
        if not unmet(world, process, args):
            return fails("still_there", pid=process.nspid[0], comm=process.comm)
    return holds()
