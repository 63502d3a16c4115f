"""The plan: everything that makes a container, as an ordered list of small steps, before any of them is taken.

A `Step` is a word, who takes it, and its arguments. `container` builds the plan of a container from its OCI config
and a lab's plan is built in lab.py by the same means. The engine takes the `engine` steps and learns what only they
can tell (the cgroup's files, a descriptor); the zygote takes the `zygote` step, a clone; the child takes the rest
(init.py, rootfs.py). The same list is run, printed by `--explain`, timed step by step, and undone from what was
really done.

Why this order, which is not ours to choose:
- limits are written before any process is in the group; the process enters before it does anything that costs;
- the cgroup namespace is made after entering the group, else the group's path would show (cgroup_namespaces(7));
- the root file system is complete before pivot_root, since afterwards nothing of the machine can be reached;
- masks come after the mounts they cover, the terminal before the masks (it needs /proc/self/fd);
- seccomp comes before the capabilities go, since installing it needs CAP_SYS_ADMIN, or after all if no_new_privs is
set.

Pure: property tests build plans by the thousand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.linux import capabilities
from engine.runtime.spec import Config

WHERE = ("engine", "zygote", "child")

#: (name, major, minor) of the nodes every container gets: null(4), full(4), random(4), tty(4).
NODES = [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)]
LINKS = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
]
#: (kind, major, minor) of what a container may open, whatever nodes its root makes: those, its console and ptys.
DEVICES = [*(("c", major, minor) for _, major, minor in NODES), ("c", 5, 1), ("c", 5, 2), ("c", 136, None)]
DEVPTS = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]


@dataclass(frozen=True)
class Step:
    """One thing to do: `kind` is the word (words.py explains it), `where` one of WHERE, `args` plain data."""

    kind: str
    where: str
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """The steps in order. Exactly one is the zygote's; the engine's come before it, the child's after."""

    steps: tuple[Step, ...]

    def numbered(self, where: str) -> Iterator[tuple[int, Step]]:
        """The steps somebody takes, each with its number in the whole."""
        return ((number, step) for number, step in enumerate(self.steps) if step.where == where)

    @property
    def clone(self) -> tuple[int, Step]:
        """The zygote's step."""
        return next(self.numbered("zygote"))


@dataclass(frozen=True)
class Storage:
    """Where a container's files are: `lower` from the lowest layer up, `upper` and `work` on a writable disk."""

    lower: tuple[str, ...]
    upper: str
    work: str


def container(config: Config, storage: Storage, files: dict[str, str], *, inside: bool = False) -> Plan:
    """The plan of a container.

    Args:
        config: the OCI runtime-spec document of spec.config.
        storage: its layers.
        files: what the engine writes for it, by destination (/etc/hosts, …): paths on the machine, bound read-write.
        inside: the engine is itself in a user namespace, where no node can be made and none need be forbidden.
    """
    process, linux = config["process"], config["linux"]
    kinds = [entry["type"] for entry in linux["namespaces"]]
    group = {"path": linux["cgroupsPath"], "limits": linux["resources"], "devices": [] if inside else DEVICES}
    steps = [
        Step("create_cgroup", "engine", group),
        Step("union_mount", "engine", {"lower": storage.lower, "upper": storage.upper, "work": storage.work}),
        *([Step("network", "engine", {})] if "net" in kinds and config.get("network", "bridge") == "bridge" else []),
        Step("clone", "zygote", {"kinds": [kind for kind in kinds if kind in ("pid", "mnt", "uts", "ipc")]}),
        Step("session", "child", {"keyring": linux["cgroupsPath"].rpartition("/")[2]}),
        Step("join_cgroup", "child"),
        *_network(config, kinds),
        *([Step("unshare", "child", {"kinds": ["cgroup"]})] if "cgroup" in kinds else []),
        Step("propagation", "child"),
        Step("rootfs", "child", {"fd": "rootfs"}),
        *_mounts(config, files, inside),
        *_terminal(process),
        Step("mask", "child", {"paths": linux["maskedPaths"]}),
        Step("readonly", "child", {"paths": linux["readonlyPaths"]}),
        *([Step("readonly_rootfs", "child")] if config["root"]["readonly"] else []),
        Step("pivot_root", "child"),
        Step("hostname", "child", {"hostname": config["hostname"]}),
        *privileges(process, linux["seccomp"]),
        Step("exec", "child", {"args": process["args"], "env": process["env"]}),
    ]
    return Plan(tuple(steps))


def _network(config: Config, kinds: list[str]) -> list[Step]:
    if "net" not in kinds:
        return []
    if config.get("network", "bridge") == "bridge":
        return [Step("join_namespaces", "child", {"fd": "netns", "kinds": ["net"]})]
    return [Step("unshare", "child", {"kinds": ["net"]}), Step("loopback", "child")]


def _mounts(config: Config, files: dict[str, str], inside: bool) -> list[Step]:
    """/dev first, since others go below it; then the OCI mounts in their order; then the engine's own files."""
    bind = {"bind": True} if inside else {}
    steps = [Step("devices", "child", {"nodes": NODES, "links": LINKS, "devpts": DEVPTS, **bind})]
    for number, entry in enumerate(config["mounts"]):
        args = {"destination": entry["destination"], "options": list(entry["options"])}
        if entry["type"] == "cgroup":
            steps.append(Step("cgroups", "child", {"destination": entry["destination"], "readonly": True}))
        elif entry["type"] == "bind":
            args["options"] = [word for word in args["options"] if word != "rbind"]
            steps.append(Step("mount", "child", {**args, "fd": f"volume{number}", "source": entry["source"]}))
        else:
            steps.append(Step("mount", "child", {**args, "type": entry["type"]}))
    for destination, source in files.items():
        args = {"destination": destination, "options": [], "directory": False, "source": source}
        steps.append(Step("mount", "child", {**args, "fd": f"file:{destination}"}))
    return steps


def _terminal(process: Config) -> list[Step]:
    if not process["terminal"]:
        return [Step("keep", "child", {"names": ["ptmx"]})]
    return [
        Step("keep", "child", {"names": ["ptmx"]}),
        Step("console", "child", _size(process)),
        Step("controlling_tty", "child"),
        Step("bind_console", "child"),
    ]


def privileges(process: Config, profile: str) -> list[Step]:
    """From root to the container's user: the last steps before `exec`, for a container, a lab and an exec alike."""
    bounding = capabilities.mask(process["capabilities"]["bounding"])
    become = [
        Step("become", "child", {"user": process["user"]["username"], "bounding": bounding, "permitted": bounding}),
        Step("workdir", "child", {"cwd": process["cwd"], "create": True}),
    ]
    if profile == "unconfined":
        return become
    seccomp = Step("seccomp", "child", {"profile": profile, "bounding": bounding})
    if process["noNewPrivileges"]:
        return [*become, Step("no_new_privs", "child"), seccomp]
    return [seccomp, *become]


def enter(kinds: list[str], process: Config, profile: str, keyring: str) -> Plan:
    """The plan of one more process in a running container: `hako exec`, or a terminal in a lab.

    The first child joins; only its own child is in the pid namespace (setns(2)), so a second `clone` stands between.
    The terminal is made before joining, while /proc is still the machine's and not what a learner put there. With
    `listen` in `process`, the program gets these listening sockets.
    """
    listen = {"listen": process["listen"]} if "listen" in process else {}
    return Plan(
        (
            Step("clone", "zygote", {"kinds": []}),
            Step("join_cgroup", "child"),
            *([Step("console", "child", _size(process))] if process["terminal"] else []),
            Step("join_namespaces", "child", {"fd": "target", "pidfd": True, "kinds": kinds}),
            Step("clone", "child", {"kinds": []}),
            Step("session", "child", {"keyring": keyring}),
            *([Step("controlling_tty", "child")] if process["terminal"] else []),
            *privileges(process, profile),
            Step("exec", "child", {"args": process["args"], "env": process["env"], **listen}),
        )
    )


def _size(process: Config) -> dict[str, Any]:
    size = process["consoleSize"]
    return {"rows": size["height"], "cols": size["width"]}
