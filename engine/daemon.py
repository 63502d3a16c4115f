"""The engine daemon: puts the parts together, serves both sockets, takes over what an earlier daemon left.

    python -m engine.daemon            settings from HAKO_…; prints "ready" on stdout when both sockets answer

SIGTERM ends the daemon and nothing else: containers, labs and terminals go on under the zygote and the next daemon
finds them. SIGINT (the supervisor's Ctrl-C) ends the labs and containers first. It makes no process itself: the zygote
does (`runtime/zygote.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import structlog

import engine
from engine import janitor
from engine.api.engine import EngineApi
from engine.api.lab import LabApi
from engine.api.server import Server
from engine.api.terminals import Terminals
from engine.api.views import Views
from engine.errors import EngineError, Failed
from engine.images import base
from engine.images.store import ImageStore
from engine.lab import Labs
from engine.linux import cgroups, limits, namespaces, ptys
from engine.network import Network
from engine.runtime.container import Containers
from engine.runtime.machine import Machine
from engine.runtime.process import Zygote
from engine.settings import Settings, load
from engine.storage import backing, digests, union

log = structlog.get_logger(__name__)

ZYGOTE_WAIT_S = 10.0
STOP_S = 3.0  # what a container gets between SIGTERM and SIGKILL when the engine ends


class Daemon:
    """All parts of one engine, from start to end."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stop = asyncio.Event()
        self._end_labs = self._started = False

    async def run(self) -> None:
        """Serve until a signal."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._signalled, False)
        loop.add_signal_handler(signal.SIGINT, self._signalled, True)
        serve, stop = asyncio.create_task(self._serve()), asyncio.create_task(self._stop.wait())
        await asyncio.wait({serve, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not self._started:
            serve.cancel()  # still making itself ready
        stop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serve

    async def _serve(self) -> None:
        began = time.monotonic()
        async with self._machine() as machine:
            self._started = True
            containers, labs, terminals = Containers(machine), Labs(self.settings, machine), Terminals()
            views = Views(labs, machine)
            lab_api = LabApi(self.settings, labs, terminals, views, lambda: self._info(machine), self._tell)
            engine_api = EngineApi(machine, containers, terminals)
            found = await machine.zygote.recover()
            await containers.recover(found)
            await labs.recover(found)
            lab_api.recover()
            engine_api.recover()
            prune(machine.images, labs, containers)
            log.info("recovered", labs=len(labs.all()), containers=len(containers.all()))
            async with self._serving(lab_api, engine_api):
                tasks: list[asyncio.Task[Any]] = [asyncio.create_task(lab_api.life.run())]
                tasks.append(asyncio.create_task(janitor.sweep(machine, labs, containers)))
                log.info("engine_ready", version=engine.__version__, ms=int((time.monotonic() - began) * 1000))
                print("ready", flush=True)
                await self._stop.wait()
                for task in tasks:
                    task.cancel()
                if self._end_labs:
                    await self._end(labs, containers)
            labs.let_go()
            await containers.close()
            views.close()
            if self._end_labs and (left := janitor.left(machine)):
                log.warning("left_behind", found=left)

    def _signalled(self, end_labs: bool) -> None:
        self._end_labs = self._end_labs or end_labs
        self._stop.set()

    @contextlib.asynccontextmanager
    async def _machine(self) -> AsyncIterator[Machine]:
        """The parts that touch the machine, made in order and let go in the other."""
        settings = self.settings
        settings.run.mkdir(mode=0o755, parents=True, exist_ok=True)
        settings.data.mkdir(mode=0o711, parents=True, exist_ok=True)
        backing.prepare(settings.data)
        images = ImageStore(settings.data)
        images.layers.sweep()
        await in_thread(lambda: base.ensure(images, progress=progress_log()))
        (settings.data / "containers").mkdir(mode=0o711, exist_ok=True)
        driver, _ = union.choose(settings.data / "containers")
        groups = cgroups.Cgroups.detect().below(settings.cgroup).root(settings.instance)
        ptys.make_room(settings.run / "pty.max")
        network = Network(settings)
        await network.setup()
        zygote = await connect_zygote(settings)
        zygote.on_lost = self._zygote_lost
        try:
            yield Machine(settings.data, zygote, groups, driver, network, images)
        finally:
            zygote.close()
            await network.close(remove=self._end_labs)
            if self._end_labs:
                with contextlib.suppress(OSError):  # something of an earlier life is still in it: swept at next start
                    groups.remove()
                backing.release(settings.data)
                ptys.give_back(settings.run / "pty.max")

    @contextlib.asynccontextmanager
    async def _serving(self, lab_api: LabApi, engine_api: EngineApi) -> AsyncIterator[None]:
        group = hako_group()
        mode = 0o600 if group is None else 0o660
        self._lab_server = Server(self.settings.lab_socket, lab_api.handlers(), mode=mode, gid=group)
        engine_server = Server(self.settings.engine_socket, engine_api.handlers(), mode=0o600, root_only=True)
        await self._lab_server.start()
        await engine_server.start()
        try:
            yield
        finally:
            await self._lab_server.stop()
            await engine_server.stop()

    def _tell(self, subject: tuple[str, ...], message: dict[str, Any]) -> None:
        self._lab_server.tell_all(subject, message)

    def _zygote_lost(self) -> None:
        """Without it nothing can be started and every container is gone: end, and let the supervisor start anew."""
        log.error("zygote_lost")
        self._stop.set()

    async def _end(self, labs: Labs, containers: Containers) -> None:
        """End all that runs: labs are throw-away and go; containers are stopped and can be started again."""
        running = [each for each in containers.all() if each.record.state in ("running", "paused")]
        log.info("ending", labs=len(labs.all()), containers=len(running))
        await labs.close()
        for signum in (signal.SIGTERM, signal.SIGKILL):
            for container in running:
                try:
                    if container.record.state == "paused":
                        await containers.resume(container)
                    if not container.ended.done():
                        containers.signal(container, signum)
                except (EngineError, OSError) as error:  # it has ended meanwhile
                    log.debug("container_not_signalled", container=container.id[:12], error=str(error))
            if running:
                await asyncio.wait([each.ended for each in running], timeout=STOP_S)

    def _info(self, machine: Machine) -> dict[str, Any]:
        """The answer of engine.info."""
        settings = self.settings
        return {
            "version": engine.__version__,
            "kernel": platform.release(),
            "cgroup": machine.groups.hierarchy.kind,
            "storage_driver": machine.union.name,
            "base_images": {str(image.ref): str(image.id) for image in machine.images.all()},
            "namespaces": namespaces.available(),
            "abilities": ["io-throttle"] if machine.groups.throttles_io() else [],
            "limits": {
                "labs_max": settings.labs_max,
                "terminals_per_lab": settings.terminals_per_lab,
                "lab_memory_bytes": settings.lab_memory_bytes,
                "lab_cpus": settings.lab_cpus,
                "lab_pids": settings.lab_pids,
                "lab_disk_bytes": settings.lab_disk_bytes,
            },
        }


def prune(images: ImageStore, labs: Labs, containers: Containers) -> None:
    """Remove layers no image names any more: each change of the engine's own source makes one of the lab's anew.

    Not while a lab runs: which layers it stands on is known to the kernel only.
    """
    if labs.all():
        return
    folders = (Path(layer).parent.name for container in containers.all() for layer in container.record.layers)
    images.prune(digest for folder in folders if (digest := digests.from_folder_name(folder)) is not None)


def progress_log(every_s: float = 1.0) -> Callable[[str, int, int], None]:
    """A function that logs how far the base images are, at most once in `every_s` seconds."""
    told = time.monotonic()

    def progress(text: str, done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told >= every_s:
            told = time.monotonic()
            log.info("making_base_images", doing=text, done=done, of=total)

    return progress


async def in_thread(work: Callable[[], object]) -> None:
    """Do blocking work beside the loop, in a thread that does not keep the process from ending.

    Making the base images takes twenty seconds once; asyncio's own pool would make a Ctrl-C wait for its end.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if not done.done():
            done.set_exception(error) if error else done.set_result(None)

    def run() -> None:
        try:
            work()
        except Exception as error:  # the border of the task: it goes on in whoever waits
            loop.call_soon_threadsafe(settle, error)
        else:
            loop.call_soon_threadsafe(settle, None)

    threading.Thread(target=run, daemon=True, name="base-images").start()
    await done


async def connect_zygote(settings: Settings) -> Zygote:
    """The zygote, waited for as long as it may take to start."""
    zygote = Zygote(settings.zygote_socket)
    deadline = time.monotonic() + ZYGOTE_WAIT_S
    while True:
        try:
            await zygote.connect()
        except Failed:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            return zygote


def hako_group() -> int | None:
    """The group that may connect to lab.sock, if the machine has it."""
    try:
        return grp.getgrnam("hako").gr_gid
    except KeyError:
        return None


def set_up_logs() -> None:
    """One line per event: words where a person looks, JSON where `HAKO_LOG=json` says so."""
    as_json = os.environ.get("HAKO_LOG") == "json"
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.processors.format_exc_info if as_json else structlog.dev.set_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def main() -> int:
    """Run the daemon; returns the exit status."""
    set_up_logs()
    limits.many_files()
    os.umask(0o022)
    try:
        asyncio.run(Daemon(load()).run())
    except EngineError as error:
        log.error("engine_failed", problem=error.message, hint=error.hint)
        return 1
    except OSError as error:
        log.error("engine_failed", problem=str(error), hint="`hako doctor` may know more")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
