"""`hako up`: zygote, engine daemon and web server as children of one foreground process, with one readable log.

                 supervisor ── zygote    parent of all containers; when it dies all labs are gone, so all begins anew
                            ├─ engine    may die and come back: labs and terminals go on
                            └─ web       may die and come back: pages connect again

What dies is started again after a bounded back-off. Ctrl-C (or SIGTERM) ends everything in order: web first, then the
engine, which ends the labs, then the zygote. All of it lives in a mount namespace of its own that receives the
machine's mounts and gives none back, so that nothing can be left mounted (mount_namespaces(7)).
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import http.client
import os
import pwd
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from engine import preflight
from engine.children import Child, Program, describe, printer
from engine.errors import EngineError, Failed, Unsupported
from engine.linux import mounts, namespaces
from engine.settings import Settings

BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
# One that lived as long as this died of something new: it is started again at once.
STEADY_S = 60.0
READY_S = 180.0  # the first start makes the base images
LABS_END_S = 60.0


@dataclass(frozen=True)
class Address:
    """Where the page is served."""

    listen: str
    port: int

    @property
    def url(self) -> str:
        """What a person opens."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.listen, self.listen)
        return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{self.port}/"


def programs(settings: Settings, address: Address) -> tuple[Program, Program, Program]:
    """What is started: zygote, engine, web. Pure but for looking whether the user `hako` exists."""
    here = Path(__file__).parent
    run, data = str(settings.run), str(settings.data)
    base = {"LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1", "HOME": "/root", "PYTHONPATH": str(here.parent)}
    kept = {name: value for name, value in os.environ.items() if name.startswith(("HAKO_", "DATABASE_URL", "NO_COLOR"))}
    engine_env = {**base, **kept, "HAKO_RUN": run, "HAKO_DATA": data, "HAKO_INSTANCE": settings.instance}
    user = "hako" if _user_exists("hako") else ""
    python, app, web_data = Path(sys.executable), here.parent, settings.data / "web"
    if user:
        python, app, web_data = _for_web(settings)
    web_env = {
        "HAKO_WEB_LISTEN": address.listen,
        "HAKO_WEB_PORT": str(address.port),
        "HAKO_WEB_DATA": str(web_data),
        "HAKO_WEB_LAB_SOCKET": str(settings.lab_socket),
    }
    web_env = {**base, **kept, **web_env, "HOME": str(web_data), "PYTHONPATH": str(app)}
    # -P and -I: a folder called `engine` or a variable of the caller's must not decide what root runs.
    zygote = (sys.executable, "-I", "-S", str(here / "runtime" / "zygote.py"))
    return (
        Program("zygote", (*zygote, "--socket", str(settings.zygote_socket), "--exits", f"{run}/exits"), death="KILL"),
        Program("engine", (sys.executable, "-P", "-m", "engine.daemon"), engine_env),
        Program("web", (str(python), "-P", "-m", "web.serve"), web_env, user=user, says_ready=False),
    )


def _open_to_all(path: Path) -> bool:
    """Whether any user may pass through to it."""
    return all(each.stat().st_mode & 0o001 for each in path.parents)


def _for_web(settings: Settings) -> tuple[Path, Path, Path]:
    """Python, Hako's folder and web's data as the web user reaches them; home directories are closed (0700, 0750)."""
    app, python, data = Path(__file__).resolve().parent.parent, Path(sys.executable), settings.data / "web"
    data = data if _open_to_all(data) else settings.run / "web"
    if _open_to_all(app) and app.stat().st_mode & 0o001:
        return python, app, data
    window = settings.run / "app"
    return (window / python.relative_to(app) if python.is_relative_to(app) else python), window, data


def open_windows(settings: Settings) -> None:
    """Show the web user below the run directory what lies where it cannot go. Only in our own mount namespace."""
    if not _user_exists("hako"):
        return
    _, app, data = _for_web(settings)
    for window, place, words in (
        (app, Path(__file__).resolve().parent.parent, ["ro", "nosuid", "nodev"]),
        (data, settings.data / "web", ["nosuid", "nodev", "noexec"]),
    ):
        if window.parent == settings.run:
            window.mkdir(mode=0o755, exist_ok=True)
            fd = mounts.copy(str(place))
            mounts.restrict(fd, words)
            mounts.attach_path(fd, str(window))
            os.close(fd)


def _user_exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


class Supervisor:
    """The three children and their life.

    Args:
        lock: what `preflight.take_lock` gave. The children hold it too: should this process be killed, the next
            `hako up` waits until they have ended.
    """

    def __init__(self, settings: Settings, address: Address, lock: int) -> None:
        self._settings = settings
        self._address = address
        self._lock = lock
        self._say = printer()
        self._stopping = asyncio.Event()
        self._impatient = asyncio.Event()
        self._page_answered = asyncio.Event()
        self._children: dict[str, Child] = {}
        self._zygote, self._engine, self._web = programs(settings, address)

    async def run(self) -> None:
        """Start all, keep all running, end all.

        Raises:
            Failed: something did not start.
        """
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(signum, self._signalled)
        try:
            await self._up()
        finally:
            await self._down()

    def _signalled(self) -> None:
        if self._stopping.is_set():
            self._impatient.set()
        self._stopping.set()

    async def _up(self) -> None:
        began = time.monotonic()
        keepers = [
            asyncio.create_task(self._keep_engine(ready := asyncio.Event())),
            asyncio.create_task(self._keep_web(ready)),
        ]
        tasks = {*keepers, asyncio.create_task(self._announce(began)), asyncio.create_task(self._stopping.wait())}
        try:
            while not self._stopping.is_set():
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_engine(self, ready: asyncio.Event) -> None:
        """Zygote and engine. The engine alone may come and go; with the zygote all labs are gone."""
        while True:
            zygote = await self._start(self._zygote)
            if not zygote.ready.is_set() and not ready.is_set():
                raise Failed("The zygote did not start.", "Its last words are above.")
            ended = asyncio.create_task(zygote.wait())
            keeper = asyncio.create_task(self._keep(self._engine, ready))
            try:
                await asyncio.wait({ended, keeper}, return_when=asyncio.FIRST_COMPLETED)
                if keeper.done():
                    keeper.result()  # it only ends by failing
            finally:
                keeper.cancel()
                await asyncio.gather(keeper, return_exceptions=True)
            self._say("hako", f"The zygote ended ({describe(ended.result())}): all labs ended with it. Starting anew.")
            await self._children[self._engine.name].stop(signal.SIGTERM, 10)
            await asyncio.sleep(BACKOFF_S[2])

    async def _keep_web(self, engine_ready: asyncio.Event) -> None:
        await engine_ready.wait()
        await self._keep(self._web, self._page_answered)

    async def _keep(self, program: Program, proven: asyncio.Event) -> None:
        """Keep one running. `proven` is set once it is known to work; one that says so itself sets it here.

        Raises:
            Failed: it ended before it was ever proven.
        """
        failures = 0
        while True:
            child = await self._start(program)
            if child.ready.is_set() and program.says_ready:
                proven.set()
            status = await child.wait()
            if not proven.is_set():
                last = "Its last words are above; `hako doctor` may know more."
                raise Failed(f"{program.name} did not start: {describe(status)}.", last)
            failures = 0 if time.monotonic() - child.started > STEADY_S else failures + 1
            wait_s = BACKOFF_S[min(failures, len(BACKOFF_S)) - 1] if failures else 0.0
            self._say("hako", f"{program.name} ended ({describe(status)}); starting it again in {wait_s:g} s.")
            await asyncio.sleep(wait_s)

    async def _start(self, program: Program) -> Child:
        """Start one and wait until it is ready, or has ended, or was given up."""
        child = self._children[program.name] = Child(program, self._say, (self._lock,))
        await child.start()
        ready, ended = asyncio.create_task(child.ready.wait()), asyncio.create_task(child.wait())
        try:
            await asyncio.wait({ready, ended}, timeout=READY_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            ended.cancel()
        if not child.ready.is_set() and not ended.done():
            self._say("hako", f"{program.name} is not ready after {READY_S:g} s.")
            await child.stop(signal.SIGKILL, 5)
        return child

    async def _announce(self, began: float) -> None:
        """Print the address when the page answers."""
        while not await asyncio.to_thread(self._page_ready):
            if time.monotonic() - began > READY_S:
                raise Failed("The page does not answer.", "What web says above tells why.")
            await asyncio.sleep(0.1)
        self._page_answered.set()
        self._say("hako", f"Ready in {time.monotonic() - began:.1f} s: open {self._address.url}   (Ctrl-C ends it)")

    def _page_ready(self) -> bool:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._address.listen, self._address.listen)
        connection = http.client.HTTPConnection(host, self._address.port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    async def _down(self) -> None:
        """Web first, so that nobody asks for more; then the engine, which ends the labs; then the zygote."""
        if any(name in self._children for name in ("engine", "web")):
            self._say("hako", "Stopping: ending all labs …")
        for program, signum, seconds in (
            (self._web, signal.SIGTERM, 6.0),
            (self._engine, signal.SIGINT, LABS_END_S),  # SIGTERM would end the daemon and leave the labs
            (self._zygote, signal.SIGTERM, 5.0),
        ):
            child = self._children.get(program.name)
            if child is None:
                continue
            stop = asyncio.create_task(child.stop(signum, seconds))
            hurry = asyncio.create_task(self._impatient.wait())
            await asyncio.wait({stop, hurry}, return_when=asyncio.FIRST_COMPLETED)
            if not stop.done():
                await child.stop(signal.SIGKILL, 5)
            hurry.cancel()
            if not await stop:
                self._say("hako", f"{program.name} did not end by itself and was killed.")
        self._say("hako", "Ended.")


def prepare(settings: Settings, address: Address) -> int:
    """All checks, the lock, the directories; returns the lock's descriptor. Raises EngineError."""
    preflight.need_root()
    lock = preflight.take_lock(settings.run / "up.lock", address.url)
    preflight.need_port(address.listen, address.port)
    preflight.need_room(settings.data)
    preflight.need_machine(settings)
    web = settings.data / "web"
    web.mkdir(mode=0o750, exist_ok=True)
    if _user_exists("hako"):
        _give(web, "hako")
    if shutil.which("setpriv") is None:
        raise Unsupported("setpriv(1) is missing.", "Install the package util-linux.")
    return lock


def _give(directory: Path, user: str) -> None:
    """Make a directory and what is in it the web user's: an earlier start may have been without that user."""
    entry = pwd.getpwnam(user)
    for path in (directory, *directory.iterdir()):
        with contextlib.suppress(FileNotFoundError):
            os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def main(settings: Settings, address: Address) -> int:
    """Run until told to stop; returns the exit status."""
    try:
        lock = prepare(settings, address)
        namespaces.unshare(["mnt"])
        mounts.propagation("/", "slave")
        open_windows(settings)
        asyncio.run(Supervisor(settings, address, lock).run())
        os.close(lock)
    except EngineError as error:
        print(f"hako: {error.message}\n      {error.hint}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"hako: {error}.\n      `hako doctor` may know more.", file=sys.stderr)
        return 1
    return 0
