"""The plan of a lab host: a container whose root is root in it and nobody outside.

Two user namespaces, one in the other. The outer one maps the lab's block of ids and holds limits that the learner
cannot lift, since the kernel counts what is made below against it too; the inner one is the learner's, with all eight
namespaces in it. The steps follow the order that a prototype proved: groups, disk, devices; a first process that enters
the groups, leaves for the outer namespace and is mapped; its child, born into the rest, that lays out the layers,
stacks them, mounts what a machine has, changes its root and becomes a small static reaper.

Pure; lab.py takes the engine's steps. See user_namespaces(7), cgroups(7), loop(4).
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.linux import capabilities
from engine.runtime import plan as plans
from engine.runtime.plan import Plan, Step
from engine.runtime.spec import Config

BLOCK = 65536
KINDS = ("user", "pid", "mnt", "net", "uts", "ipc", "cgroup", "time")
INIT = ["/usr/libexec/hako/init", "-P"]

#: What a lesson can need several times over, and a hostile loop cannot make the machine feel.
NAMESPACE_LIMITS = [
    ("max_user_namespaces", 32), ("max_mnt_namespaces", 128), ("max_pid_namespaces", 64), ("max_uts_namespaces", 128),
    ("max_ipc_namespaces", 64), ("max_net_namespaces", 32), ("max_cgroup_namespaces", 32), ("max_time_namespaces", 16),
    ("max_inotify_instances", 128), ("max_inotify_watches", 65536), ("max_fanotify_groups", 16),
    ("max_fanotify_marks", 1024),
]  # fmt: skip

#: (name, major, minor): those of every container, and what FUSE and tunnels need.
NODES = [*plans.NODES, ("fuse", 10, 229), ("net/tun", 10, 200)]

#: What it may open: in a user namespace no node can be made, so this guards against the day when one can.
DEVICES = [*plans.DEVICES, *(("c", major, minor) for _, major, minor in NODES if major == 10)]

#: Where the lab's own engine listens, and finds the layers it shares with every other.
SOCKET, LAYERS = "/run/hako/engine.sock", "/run/hako/layers"

#: Where the disc of a live CD lies.
DISC = "/cdrom"

_PLAIN = ["nosuid", "nodev", "noexec"]


@dataclass(frozen=True)
class LabSpec:
    """What decides a lab's plan.

    Attributes:
        lab: its id, which names its groups.
        layers: directories of its image, lowest first.
        first_id: the first id of its block on the machine.
        hostname: what it calls itself.
        memory_bytes, cpus, pids, disk_bytes: its limits.
        kinds: of namespaces; all that the kernel has.
        shared: layers that the lab's own engine runs containers of: (name, directory on the machine).
        disc: the files of the system that is on its live CD's disc; empty for no disc.
    """

    lab: str
    layers: tuple[str, ...]
    first_id: int
    hostname: str
    memory_bytes: int
    cpus: float
    pids: int
    disk_bytes: int
    kinds: tuple[str, ...] = KINDS
    shared: tuple[tuple[str, str], ...] = ()
    disc: str = ""


def build(spec: LabSpec) -> Plan:
    """The plan of a lab host."""
    names = [f"layer{number}" for number in range(len(spec.layers))]
    shown = [*names, *(name for name, _ in spec.shared), "disk"]
    block = f"0 {spec.first_id} {BLOCK}"
    limits = {"memory_bytes": spec.memory_bytes, "swap_bytes": 0, "cpus": spec.cpus, "pids": spec.pids}
    group = f"labs/{spec.lab}"
    return Plan(
        (
            Step("create_cgroup", "engine", {"path": group, "limits": limits, "devices": DEVICES}),
            Step("create_disk", "engine", {"size_bytes": spec.disk_bytes}),
            *([Step("insert_disc", "engine", {"system": spec.disc})] if spec.disc else []),
            Step("create_devices", "engine", {"nodes": NODES, "owner": spec.first_id}),
            Step("open_layers", "engine", {"lower": list(spec.layers), "shared": list(spec.shared)}),
            Step("clone", "zygote", {"kinds": []}),
            Step("join_cgroup", "child"),
            Step("unshare", "child", {"kinds": ["user"]}),
            Step("map_ids", "child", {"uid_map": block, "gid_map": block, "idmap": shown}),
            Step("limit_namespaces", "child", {"limits": NAMESPACE_LIMITS}),
            Step("clone", "child", {"kinds": list(spec.kinds), "identity": BLOCK}),
            Step("session", "child", {"keyring": keyring(spec.lab)}),
            Step("propagation", "child"),
            Step("stage", "child", {"attach": _places(names)}),
            Step("overlay", "child", {"options": _overlay(names), "binds": [("/layers/disk/lab", "/var/lib/lab")]}),
            Step("devices", "child", {"fd": "dev", "links": plans.LINKS, "devpts": [*plans.DEVPTS, "max=64"]}),
            *(Step("mount", "child", {"destination": where, "type": fstype, "options": options})
              for where, fstype, options in _mounts()),
            Step("cgroups", "child", {"destination": "/sys/fs/cgroup"}),
            *(Step("mount", "child", {"destination": f"{LAYERS}/{name}/fs", "type": "layer", "fd": name,
                                      "options": ["ro", "nosuid", "nodev"]}) for name, _ in spec.shared),
            *([Step("mount", "child", {"destination": DISC, "type": "disc", "fd": "disc",
                                       "options": ["ro", "nosuid", "nodev"]})] if spec.disc else []),
            Step("pivot_root", "child"),
            Step("listen", "child", {"path": SOCKET}),
            Step("keep", "child", {"names": ["ptmx", "listener"]}),
            Step("hostname", "child", {"hostname": spec.hostname}),
            Step("loopback", "child"),
            *plans.privileges(process(INIT, {}), "lab"),
            Step("exec", "child", {"args": INIT, "env": {"PATH": "/usr/bin:/bin"}}),
        )
    )  # fmt: skip


def process(args: list[str], env: dict[str, str], *, rows: int = 0, cols: int = 0, cwd: str = "/") -> Config:
    """The OCI `process` of a program in a lab; with a size it gets a terminal."""
    return {
        "terminal": rows > 0,
        "consoleSize": {"height": rows, "width": cols},
        "user": {"username": "0"},
        "args": args,
        "env": env,
        "cwd": cwd,
        "capabilities": {"bounding": list(capabilities.names(capabilities.LAB))},
        "noNewPrivileges": False,
    }


def keyring(lab: str) -> str:
    """The session keyring that all of a lab's programs share; without it they had that of who started the engine."""
    return f"hako-{lab}"


def enter(program: Config, lab: str, kinds: tuple[str, ...] = KINDS) -> Plan:
    """The plan of one more program in a lab: a learner's shell, or a script of the lesson's."""
    return plans.enter(list(kinds), program, "lab", keyring(lab))


def _places(names: list[str]) -> list[tuple[str, str]]:
    """Where layers and disk lie while they are stacked; the learner reads these names in /proc/mounts."""
    return [*((name, f"/layers/{number}") for number, name in enumerate(names)), ("disk", "/layers/disk")]


def _overlay(names: list[str]) -> list[str]:
    lower = ":".join(f"/layers/{number}" for number in reversed(range(len(names))))
    return [f"lowerdir={lower}", "upperdir=/layers/disk/up", "workdir=/layers/disk/wk", "userxattr", "index=off"]


def _mounts() -> list[tuple[str, str, list[str]]]:
    """What a machine has, in order.

    The spare /proc and /sys lie uncovered at a place of their own: the kernel lets a nested user namespace mount a
    new one only if it can see one that nothing is mounted over (mount_namespaces(7)), and /sys/fs/cgroup covers ours.
    """
    return [
        ("/proc", "proc", _PLAIN),
        ("/sys", "sysfs", [*_PLAIN, "ro"]),
        ("/dev/shm", "tmpfs", ["nosuid", "nodev", "mode=1777", "size=64m"]),
        ("/dev/mqueue", "mqueue", _PLAIN),
        ("/run", "tmpfs", ["nosuid", "nodev", "mode=755", "size=32m"]),
        ("/tmp", "tmpfs", ["nosuid", "nodev", "mode=1777", "size=128m"]),
        ("/run/spare/proc", "proc", _PLAIN),
        ("/run/spare/sys", "sysfs", [*_PLAIN, "ro"]),
    ]
