"""What to run: from the words of `docker run` to an OCI runtime-spec `config`.

`RunSpec` is what a person asked for; `config` puts it together with the image's own configuration (OCI image-spec,
config.md) into the document the runtime-spec describes: `root`, `process`, `mounts`, `hostname`, `linux.namespaces`,
`linux.resources`, `maskedPaths`, `readonlyPaths`. Defaults and precedence are Docker's. plan.py turns the document into
steps. Pure: nothing here touches the machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from engine.errors import BadInput
from engine.linux import capabilities

Config = dict[str, Any]

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: What Docker masks and makes read-only: they tell of the machine, or change it.
MASKED_PATHS = [
    *(f"/proc/{name}" for name in ("acpi", "asound", "interrupts", "kcore", "keys", "latency_stats")),
    *(f"/proc/{name}" for name in ("sched_debug", "scsi", "timer_list", "timer_stats")),
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
]
READONLY_PATHS = [f"/proc/{name}" for name in ("bus", "fs", "irq", "sys", "sysrq-trigger")]

MOUNTS: list[dict[str, Any]] = [
    {"destination": "/proc", "type": "proc", "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/sys", "type": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
    {"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["nosuid", "noexec", "nodev", "ro"]},
    {"destination": "/dev/shm", "type": "tmpfs", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=64m"]},
    {"destination": "/dev/mqueue", "type": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
]

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
_HOSTNAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,62}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,62}[a-zA-Z0-9])?)*")


@dataclass(frozen=True)
class RunSpec:
    """What `hako run` was asked for; every field has `docker run`'s meaning and default.

    `volumes` are "source:destination[:ro]"; `memory_bytes`, `cpus` and `pids` are None for no limit; `network` is
    "bridge", "none" or "host"; `user` is "name|uid[:group|gid]"; `rows` and `cols` are the terminal's first size.
    """

    image: str
    args: tuple[str, ...] = ()
    name: str = ""
    hostname: str = ""
    entrypoint: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    memory_bytes: int | None = None
    cpus: float | None = None
    pids: int | None = None
    network: str = "bridge"
    readonly: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    tty: bool = False
    interactive: bool = False
    remove: bool = False
    no_new_privs: bool = False
    rows: int = 24
    cols: int = 80
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Volume:
    """One `--volume`: a directory or file of the machine, shown in the container."""

    source: str
    destination: str
    readonly: bool


def check_name(name: str) -> str:
    """A container's name, as Docker allows it; it also names files, so nothing else is let through.

    Raises:
        BadInput: anything but letters, digits and `_.-`, or over 128 characters.
    """
    if not _NAME.fullmatch(name):
        raise BadInput(f"{name!r} is not a container name.", "Use up to 128 letters, digits and _ . -")
    return name


def check_hostname(name: str) -> str:
    """A hostname by RFC 1123, at most the 64 characters of a UTS namespace.

    Raises:
        BadInput: it is not.
    """
    if len(name) > 64 or not _HOSTNAME.fullmatch(name):
        raise BadInput(f"{name!r} is not a hostname.", "Use up to 64 letters, digits, - and dots.")
    return name


def volume(text: str) -> Volume:
    """Read "source:destination[:ro|rw]".

    Raises:
        BadInput: a relative path, a missing part, an unknown mode, or `/` as destination.
    """
    source, _, rest = text.partition(":")
    destination, _, mode = rest.partition(":")
    if not source.startswith("/") or not destination.startswith("/") or mode not in ("", "ro", "rw"):
        raise BadInput(f"{text!r} is not a volume.", "Write /on/the/machine:/in/the/container, with :ro to protect it.")
    if destination.rstrip("/") == "" or ".." in destination.split("/"):
        raise BadInput(f"{destination!r} cannot be a volume's destination.", "Name a directory below /.")
    return Volume(source, destination, mode == "ro")


def command(run: RunSpec, image: Config) -> list[str]:
    """The program and its arguments, by Docker's rule of ENTRYPOINT and CMD.

    Raises:
        BadInput: neither the image nor the person named a program.
    """
    entrypoint = list(run.entrypoint) if run.entrypoint is not None else list(image.get("Entrypoint") or [])
    args = list(run.args) or ([] if run.entrypoint is not None else list(image.get("Cmd") or []))
    if not entrypoint + args:
        raise BadInput("No command was given and the image has none.", "Name the program after the image.")
    return entrypoint + args


def environment(run: RunSpec, image: Config, hostname: str) -> dict[str, str]:
    """The environment: Docker's own four, then the image's, then the person's; later ones win."""
    env = {"PATH": DEFAULT_PATH, "HOSTNAME": hostname}
    if run.tty:
        env["TERM"] = "xterm"
    for entry in [*(image.get("Env") or []), *run.env]:
        key, equals, value = entry.partition("=")
        if not key or "\0" in entry:
            raise BadInput(f"{entry!r} is not an environment variable.", "Write NAME=value.")
        if equals:
            env[key] = value
    return env


def config(run: RunSpec, image: Config, container_id: str, held: int = capabilities.ALL) -> Config:
    """The OCI runtime-spec document for a container.

    Args:
        run: what was asked for.
        image: the `config` object of the image's configuration.
        container_id: names the cgroup and, cut to twelve characters, the host.
        held: the capabilities the engine has to give; in a container it has not every one.

    Raises:
        BadInput: an option makes no sense, or asks for more than there is; the message says which.
    """
    if run.network not in ("bridge", "none", "host"):
        raise BadInput(f"{run.network!r} is not a network.", "Use bridge, none or host.")
    hostname = check_hostname(run.hostname or container_id[:12])
    bounding = _bounding(run, held)
    cwd = run.workdir or image.get("WorkingDir") or "/"
    if not cwd.startswith("/"):
        raise BadInput(f"The working directory {cwd!r} is not absolute.", "Begin it with /.")
    kinds = ["pid", "mnt", "uts", "ipc", "cgroup", *(["net"] if run.network != "host" else [])]
    return {
        "ociVersion": "1.2.0",
        "hostname": hostname,
        "root": {"readonly": run.readonly},
        "process": {
            "terminal": run.tty,
            "consoleSize": {"height": run.rows, "width": run.cols},
            "user": {"username": run.user or image.get("User") or "0"},
            "args": command(run, image),
            "env": environment(run, image, hostname),
            "cwd": cwd,
            "capabilities": {"bounding": list(capabilities.names(bounding))},
            "noNewPrivileges": run.no_new_privs,
        },
        "mounts": [*MOUNTS, *(_volume_mount(text) for text in run.volumes)],
        "linux": {
            "cgroupsPath": f"containers/{container_id}",
            "namespaces": [{"type": kind} for kind in kinds],
            "resources": _resources(run),
            "seccomp": "default",
            "maskedPaths": MASKED_PATHS,
            "readonlyPaths": READONLY_PATHS,
        },
    }


def _bounding(run: RunSpec, held: int) -> int:
    bounding = capabilities.tweak(capabilities.DEFAULT & held, run.cap_add, run.cap_drop, everything=held)
    if lacking := capabilities.names(bounding & ~held):
        raise BadInput(f"The engine itself has not {', '.join(lacking)} to give.", "Run it with more privilege.")
    return bounding


def _volume_mount(text: str) -> dict[str, Any]:
    wanted = volume(text)
    options = ["rbind", *(["ro"] if wanted.readonly else [])]
    return {"destination": wanted.destination, "type": "bind", "source": wanted.source, "options": options}


def _resources(run: RunSpec) -> dict[str, Any]:
    if run.memory_bytes is not None and run.memory_bytes < 6 * 1024 * 1024:
        raise BadInput(f"A memory limit of {run.memory_bytes} bytes is too small.", "The least is 6m.")
    if run.cpus is not None and not 0.01 <= run.cpus <= 4096:
        raise BadInput(f"{run.cpus} is not a number of processors.", "Use e.g. --cpus 0.5.")
    if run.pids is not None and run.pids < 1:
        raise BadInput(f"A limit of {run.pids} processes leaves none.", "Use 1 or more.")
    swap = None if run.memory_bytes is None else 0
    return {"memory_bytes": run.memory_bytes, "swap_bytes": swap, "cpus": run.cpus, "pids": run.pids}


def exec_process(
    args: list[str], running: Config, *, env: list[str], user: str, cwd: str, tty: bool, rows: int, cols: int
) -> Config:
    """The OCI `process` of one more program in a container: that of its first one, with `docker exec`'s changes.

    Args:
        running: the container's config.
        env: "NAME=value" added to the container's environment.

    Raises:
        BadInput: no program was named.
    """
    if not args:
        raise BadInput("No command was given.", "Name the program after the container.")
    process: Config = running["process"]
    added = dict(entry.partition("=")[::2] for entry in env)
    return {
        **process,
        "terminal": tty,
        "consoleSize": {"height": rows, "width": cols},
        "user": {"username": user or process["user"]["username"]},
        "args": list(args),
        "env": {**process["env"], **({"TERM": "xterm"} if tty else {}), **added},
        "cwd": cwd or process["cwd"],
    }
