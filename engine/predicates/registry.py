"""All predicates by name, and their evaluation.

A check is a list of predicates, each a map with one key: `{hostname: {name: box}}`. They are evaluated purely on an
Observation; only `command` is not: it is run by the caller in the lab and its end turned into a Result here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import BadInput
from engine.observe.model import Observation, Process
from engine.predicates import arguments as arg
from engine.predicates import groups, processes, things, unions
from engine.predicates.arguments import Argument
from engine.predicates.codes import Result, fails, holds
from engine.predicates.world import World

#: Output of a check's command that a result carries.
_OUTPUT = 400

_PIDS = ("lab_pid", "inside_pid")


@dataclass(frozen=True)
class Predicate:
    """One predicate.

    Attributes:
        schema: its arguments.
        function: (world, checked arguments, the learner's answers) -> Result; None for what the caller must run.
        some_of: of these arguments at least one must be given: ("uid", "gid").
    """

    schema: Mapping[str, Argument]
    function: Callable[[World, Mapping[str, Any], Mapping[str, Any]], Result] | None
    some_of: tuple[str, ...] = ()


def _pure(function: Callable[[World, Mapping[str, Any]], Result]) -> Callable[..., Result]:
    # With its docstring: the reference of predicates in docs/lessons.md is made from those (reference.py).
    return functools.wraps(function)(lambda world, args, answers: function(world, args))


def answer(world: World, args: Mapping[str, Any], answers: Mapping[str, Any]) -> Result:
    """The learner's answer to a question is right, going by the kernel.

    Arguments: name: of the question; equals: the answer; or is: lab_pid (the number the lab host knows a process by),
    inside_pid (what it calls itself), inode (of its namespace of `kind`) or hostname, of: conditions as in
    process_in_ns that say which process.

    Example:
        {answer: {name: pid, is: lab_pid, of: {differs: [pid], nspid: 1}}}
    """
    name = args["name"]
    given = str(answers.get(name, "")).strip()
    if not given:
        return fails("answer_missing", name=name)
    if "equals" in args:
        right = given.casefold() == str(args["equals"]).strip().casefold()
        return holds() if right else fails("answer_wrong", name=name, given=given)
    fitting = [process for process in world.processes if not processes.unmet(world, process, args.get("of", {}))]
    if not fitting:
        return fails("no_process")
    for process in fitting:
        if given in _right_answers(world, process, args):
            return holds(pid=process.nspid[0], comm=process.comm)
    if args["is"] == "lab_pid" and given in {str(process.nspid[-1]) for process in fitting}:
        return fails("answer_inside", name=name, given=given)
    return fails("answer_wrong", name=name, given=given)


def _right_answers(world: World, process: Process, args: Mapping[str, Any]) -> set[str]:
    if args["is"] in _PIDS:
        return {str(process.nspid[0 if args["is"] == "lab_pid" else -1])}
    if args["is"] == "hostname":
        return {str(world.hostname(process))}
    kind = args.get("kind", "uts")
    inode = process.ns.get(kind)
    return {str(inode), f"{kind}:[{inode}]"}


def any_of(world: World, args: Mapping[str, Any], answers: Mapping[str, Any]) -> Result:
    """One of several predicates holds; if none does, the last one says why.

    Example:
        {any_of: [{hostname: {name: box}}, {hostname: {name: hako}}]}
    """
    result = fails("no_process")
    for name, values in args["predicates"]:
        function = PREDICATES[name].function
        if function is not None:
            result = function(world, values, answers)
        if result.ok:
            break
    return result


def _conditions(value: Any) -> dict[str, Any]:
    return arg.checked("of", value, processes.CONDITIONS)


def _words(value: Any) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(word, str) for word in value):
        raise ValueError("a list of words")
    return value


_PLACE = Argument(arg.one_of(*things.PLACES), required=True)
_NAME = Argument(arg.text, required=True)
_GROUP = Argument(arg.path, required=True)
_MIN = Argument(arg.number)
_TARGET = Argument(arg.path)
_IN_UNION = {"target": _TARGET, "path": Argument(arg.path, required=True), "layer": Argument(arg.path)}

#: name -> predicate.
PREDICATES: dict[str, Predicate] = {
    "process_in_ns": Predicate(processes.CONDITIONS, _pure(processes.process_in_ns), tuple(processes.CONDITIONS)),
    "process_gone": Predicate(processes.CONDITIONS, _pure(processes.process_gone), tuple(processes.CONDITIONS)),
    "hostname": Predicate({"name": _NAME}, _pure(processes.hostname)),
    "lab_hostname": Predicate({"name": _NAME}, _pure(processes.lab_hostname)),
    "first_process": Predicate({"comm": Argument(arg.text)}, _pure(processes.first_process)),
    "own_proc": Predicate({}, _pure(processes.own_proc)),
    "lab_proc_intact": Predicate({}, _pure(processes.lab_proc_intact)),
    "id_map": Predicate(
        {"uid": Argument(arg.id_map), "gid": Argument(arg.id_map)}, _pure(processes.id_map), ("uid", "gid")
    ),
    "time_offset": Predicate(
        {
            "clock": Argument(arg.one_of("boottime", "monotonic"), required=True),
            **{name: Argument(arg.number) for name in ("min", "max", "equals")},
        },
        _pure(processes.time_offset),
        ("min", "max", "equals"),
    ),
    "kept_namespace": Predicate(
        {
            "kind": Argument(arg.kind, required=True),
            "by": Argument(arg.one_of("mount", "fd"), required=True),
            "hostname": Argument(arg.text),
        },
        _pure(processes.kept_namespace),
    ),
    "mount": Predicate(
        {"target": Argument(arg.path, required=True), "type": Argument(arg.text), "where": _PLACE}, _pure(things.mount)
    ),
    "mount_shared": Predicate({"target": Argument(arg.path, required=True)}, _pure(things.mount_shared)),
    "ipc_object": Predicate(
        {"object": Argument(arg.one_of("msg", "shm", "sem"), required=True), "where": _PLACE}, _pure(things.ipc_object)
    ),
    "link": Predicate(
        {
            "name": _NAME,
            "up": Argument(arg.flag),
            "where": Argument(arg.one_of("own", "lab")),
            "only": Argument(arg.flag),
        },
        _pure(things.link),
    ),
    "process_in_cgroup": Predicate(
        {
            "group": _GROUP,
            "controller": Argument(arg.one_of(*groups.CONTROLLERS)),
            "comm": Argument(arg.text),
        },
        _pure(groups.process_in_cgroup),
    ),
    "cgroup_limit": Predicate(
        {"group": _GROUP, "what": Argument(arg.one_of(*groups.LIMITS), required=True), "min": _MIN, "max": _MIN},
        _pure(groups.cgroup_limit),
    ),
    "cgroup_throttled": Predicate({"group": _GROUP, "min": _MIN}, _pure(groups.cgroup_throttled)),
    "oom_killed": Predicate({"group": _GROUP, "min": _MIN}, _pure(groups.oom_killed)),
    "pids_refused": Predicate({"group": _GROUP, "min": _MIN}, _pure(groups.pids_refused)),
    "cgroup_frozen": Predicate({"group": _GROUP, "frozen": Argument(arg.flag)}, _pure(groups.cgroup_frozen)),
    "cpu_ratio": Predicate({"group": _GROUP, "than": _GROUP, "min": _MIN, "max": _MIN}, _pure(groups.cpu_ratio)),
    "io_written": Predicate({"group": _GROUP, "min": _MIN}, _pure(groups.io_written)),
    "overlay_mount": Predicate(
        {"target": _TARGET, "lower": Argument(arg.number), "upper": Argument(arg.flag)}, _pure(unions.overlay_mount)
    ),
    "overlay_layers": Predicate(
        {"target": _TARGET, "layers": Argument(_words, required=True)}, _pure(unions.overlay_layers)
    ),
    "layer_shared": Predicate({"min": Argument(arg.number, required=True)}, _pure(unions.layer_shared)),
    "aufs_mount": Predicate(
        {"target": _TARGET, "branches": Argument(arg.number), "by": Argument(arg.one_of("kernel", "fuse"))},
        _pure(unions.aufs_mount),
    ),
    "aufs_branches": Predicate(
        {"target": _TARGET, "branches": Argument(_words, required=True)}, _pure(unions.aufs_branches)
    ),
    "copied_up": Predicate(_IN_UNION, _pure(unions.copied_up)),
    "added_file": Predicate(_IN_UNION, _pure(unions.added_file)),
    "whiteout": Predicate(_IN_UNION, _pure(unions.whiteout)),
    "opaque": Predicate(_IN_UNION, _pure(unions.opaque)),
    "answer": Predicate(
        {
            "name": _NAME,
            "equals": Argument(arg.anything),
            "is": Argument(arg.one_of(*_PIDS, "inode", "hostname")),
            "kind": Argument(arg.kind),
            "of": Argument(_conditions),
        },
        answer,
        ("equals", "is"),
    ),
    "command": Predicate(
        {
            "script": Argument(arg.text),
            "argv": Argument(_words),
            "timeout_s": Argument(arg.number),
            "status": Argument(arg.number),
            "contains": Argument(arg.text),
        },
        None,
        ("script", "argv"),
    ),
}


def checked(predicate: Any) -> tuple[str, dict[str, Any]]:
    """A predicate's name and its arguments in working form.

    Raises:
        BadInput: it is no map with one key, there is none of that name, or an argument is wrong.
    """
    if not isinstance(predicate, dict) or len(predicate) != 1:
        raise BadInput(f"A predicate is a map with one key, not {predicate!r}.", "Write {hostname: {name: box}}.")
    ((name, given),) = predicate.items()
    if name == "any_of":
        if not isinstance(given, list) or not given:
            raise BadInput("any_of takes a list of predicates.", "Write {any_of: [{…}, {…}]}.")
        inner = [checked(one) for one in given]
        if any(is_external({inner_name: {}}) or inner_name == "any_of" for inner_name, _ in inner):
            raise BadInput("any_of cannot hold `command` or another any_of.", "Put it beside any_of.")
        return name, {"predicates": inner}
    found = PREDICATES.get(name)
    if found is None:
        raise BadInput(f"There is no predicate {name!r}.", arg.nearest(name, [*PREDICATES, "any_of"]))
    values = arg.checked(name, given, found.schema)
    if found.some_of and not any(word in values for word in found.some_of):
        raise BadInput(f"{name} needs one of the arguments {', '.join(found.some_of)}.")
    return name, values


def validate(predicates: Any) -> None:
    """Look a check's predicates through without evaluating them. Raises BadInput at the first mistake."""
    if not isinstance(predicates, (list, tuple)) or not predicates:
        raise BadInput("A check is a list of predicates.", "Write [{hostname: {name: box}}].")
    for predicate in predicates:
        checked(predicate)


def is_external(predicate: Mapping[str, Any]) -> bool:
    """Whether the caller must run it (`command`)."""
    return set(predicate) == {"command"}


def evaluate(
    observation: Observation, predicates: Sequence[Mapping[str, Any]], answers: Mapping[str, Any] | None = None
) -> list[Result]:
    """One Result for each predicate, in order.

    Args:
        observation: the lab as it is.
        predicates: each a map with one key; none of them external.
        answers: what the learner answered, by the name of the question.

    Raises:
        BadInput: as `checked`; or an external predicate is among them.
    """
    world = World(observation)
    return [_evaluate(world, predicate, answers or {}) for predicate in predicates]


def _evaluate(world: World, predicate: Mapping[str, Any], answers: Mapping[str, Any]) -> Result:
    name, values = checked(predicate)
    if name == "any_of":
        return any_of(world, values, answers)
    function = PREDICATES[name].function
    if function is None:
        raise BadInput(f"{name} cannot be evaluated on an observation.", "It is to be run in the lab by the caller.")
    return function(world, values, answers)


def command_result(predicate: Mapping[str, Any], status: int, output: str) -> Result:
    """What became of a `command` that the caller ran: it holds if it ended with `status` (0) and printed `contains`.

    Example:
        {command: {script: "test -e /root/done"}}
    """
    _, args = checked(predicate)
    if status == args.get("status", 0) and args.get("contains", "") in output:
        return holds()
    return fails("command_failed", status=status, output=output[-_OUTPUT:].strip())
