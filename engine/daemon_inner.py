"""A lab's own engine: what serves `hako run` typed in a lab. The same parts as the machine's, put together for less.

    python3 -I -m engine.daemon_inner        with a listening socket at descriptor 3 (sd_listen_fds(3))

It runs as the lab's root: in the lab's user namespace, without any privilege on the machine. So it differs from
`daemon.py` in a few places, each for the kernel's reason: devices are bound and not made (mknod(2) wants the first user
namespace), overlay marks are `user.*` (userxattr), its groups lie below the lab's own in the trees that were delegated,
there is one bridge, in the lab's network, and the base layers are those of the machine, shown read-only. No labs in a
lab: loop devices and blocks of ids are the machine's to give.

Nobody keeps it: after IDLE_S without a client and without a running container it takes down its network and its zygote,
and ends; the next connection starts another (lab_inner.py). Killed, it leaves its zygote and containers running, and
the next one finds them, as on the machine. Its log is <run>/engine.log.

It imports nothing that needs a compiled library of the engine's own environment: the lab's Python may be another.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from engine.api.engine import EngineApi
from engine.api.server import Server
from engine.api.terminals import Terminals
from engine.errors import EngineError, Failed
from engine.images import shared
from engine.images.store import ImageStore
from engine.linux import cgroups, limits
from engine.network import Network
from engine.runtime.container import Containers
from engine.runtime.machine import Machine
from engine.runtime.process import Zygote
from engine.storage.overlay import OverlayDriver

log = structlog.get_logger(__name__)

IDLE_S = 30.0
READY_S = 10.0
LOG_BYTES = 1024 * 1024
POOL_SIZE = 2
ZYGOTE = Path(__file__).parent / "runtime" / "zygote.py"


@dataclass(frozen=True)
class Inner:
    """The settings of a lab's own engine; not `Settings`, whose library is compiled for another Python perhaps.

    `labs_max` is 0: no bridge for labs. `model_fields_set` is empty: the subnet is the first that is free in the lab.
    """

    instance: str = "hako"
    data: Path = Path("/var/lib/lab/hako")
    run: Path = Path("/run/hako")
    subnet: str = "10.210.0.0/16"
    labs_max: int = 0
    idle_s: float = IDLE_S
    model_fields_set: set[str] = field(default_factory=set)


def load(env: Mapping[str, str]) -> Inner:
    """The settings; of the environment only how long it stays when idle.

    Raises:
        ValueError: that is no number.
    """
    return Inner(idle_s=float(env.get("HAKO_IDLE_S", IDLE_S)))


def handed_socket(env: Mapping[str, str]) -> socket.socket:
    """The listening socket at descriptor 3.

    Raises:
        Failed: none was handed to this process.
    """
    if env.get("LISTEN_FDS") != "1" or env.get("LISTEN_PID") != str(os.getpid()):
        raise Failed("This program is started by the machine's engine.", "Type `hako ps`: that starts it.")
    os.set_inheritable(3, False)
    return socket.socket(fileno=3)


def delegated() -> cgroups.Cgroups:
    """The cgroup trees in which the lab may make groups: all but `devices` on v1, which cannot be delegated."""
    found = cgroups.Cgroups.detect().hierarchy
    ours = {name: mount for name, mount in found.v1.items() if os.access(mount, os.W_OK)}
    unified = found.unified if found.unified and os.access(found.unified, os.W_OK) else None
    return cgroups.Cgroups(cgroups.Hierarchy(ours, unified, found.v2_controllers if unified else frozenset()))


class InnerDaemon:
    """All parts of a lab's engine, from the first connection to the end of the need for it."""

    def __init__(self, settings: Inner, listener: socket.socket, images: str) -> None:
        self._settings, self._listener, self._images = settings, listener, images
        self._stop = asyncio.Event()
        self._clean = False

    async def run(self) -> None:
        """Serve until nobody needs it, or until a signal."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop.set)
        began = time.monotonic()
        async with self._machine() as machine:
            containers, terminals = Containers(machine), Terminals()
            api = EngineApi(machine, containers, terminals)
            await containers.recover(await machine.zygote.recover())
            api.recover()
            path = self._settings.run / "engine.sock"
            server = Server(path, api.handlers(), mode=0o600, root_only=True, listener=self._listener)
            await server.start()
            log.info("engine_ready", ms=int((time.monotonic() - began) * 1000))
            idle = asyncio.create_task(self._idle(server, containers))
            await self._stop.wait()
            idle.cancel()
            await server.stop()
            await containers.close()

    async def _idle(self, server: Server, containers: Containers) -> None:
        """End when there was nothing to do for a while. A client that comes meanwhile waits for the next engine."""
        since = time.monotonic()
        while True:
            busy = server.peers or any(each.record.state not in ("created", "exited") for each in containers.all())
            now = time.monotonic()
            since = now if busy else since
            if now - since >= self._settings.idle_s and await server.leave():
                log.info("idle")
                self._clean = True
                self._stop.set()
                return
            await asyncio.sleep(min(1.0, self._settings.idle_s / 4))

    @contextlib.asynccontextmanager
    async def _machine(self) -> AsyncIterator[Machine]:
        """The parts that touch the kernel; all of them gone at the end if it came by idleness."""
        settings = self._settings
        (settings.data / "containers").mkdir(mode=0o711, parents=True, exist_ok=True)
        # Before the zygote is there: on v2 all processes of the lab move out of the way, and a new one could be missed.
        groups = delegated().root(settings.instance)
        connecting = asyncio.create_task(connect(settings.run))
        network = Network(settings, pool_size=POOL_SIZE)
        await network.setup()
        images = ImageStore(settings.data)
        shared.adopt(images, self._images, settings.run / "layers")
        zygote = await connecting
        zygote.on_lost = self._stop.set
        try:
            yield Machine(settings.data, zygote, groups, OverlayDriver(inside=True), network, images, inside=True)
            await network.sweep()
        finally:
            if self._clean:
                zygote.end()
            zygote.close()
            await network.close(remove=self._clean)
            if self._clean:
                groups.remove()


async def connect(run: Path) -> Zygote:
    """The zygote of an engine that was killed, or a new one.

    Raises:
        Failed: it does not start.
    """
    zygote = Zygote(run / "zygote.sock")
    with contextlib.suppress(Failed):
        await zygote.connect()
        return zygote
    words = [
        sys.executable,
        "-I",
        "-S",
        str(ZYGOTE),
        "--socket",
        str(run / "zygote.sock"),
        "--exits",
        str(run / "exits"),
    ]
    # Its stdin is at end of file, its log is ours; "ready" comes on its stdout, which nobody reads later.
    read, write = os.pipe2(os.O_CLOEXEC)
    with open(read, "rb") as ready:
        with open(write, "wb") as said:
            await asyncio.to_thread(_spawn, words, said.fileno())
        async with asyncio.timeout(READY_S):
            await asyncio.to_thread(ready.readline)
    await zygote.connect()
    return zygote


def _spawn(words: list[str], stdout: int) -> None:
    # It outlives this process where that is killed, so nobody here waits for it: the lab's init reaps it.
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=stdout, env={}, start_new_session=True)
    process.returncode = 0  # else Popen complains of a child that nobody waited for


def set_up_log(run: Path) -> None:
    """One JSON object a line into the file, which begins anew where it has grown long."""
    path = run / "engine.log"
    long = path.exists() and path.stat().st_size > LOG_BYTES
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_TRUNC if long else os.O_APPEND)
    fd = os.open(path, flags, 0o600)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=json.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def main() -> int:
    """Run the lab's engine; returns the exit status."""
    settings = load(os.environ)
    set_up_log(settings.run)
    limits.many_files()
    os.umask(0o022)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        listener = handed_socket(os.environ)
        images = os.environ.get("HAKO_SHARED", "[]")
        asyncio.run(InnerDaemon(settings, listener, images).run())
    except (EngineError, OSError) as error:
        log.exception("engine_failed", problem=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
