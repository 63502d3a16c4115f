"""A whole engine for a test: its own zygote, groups, bridges and directories, and nothing left when it ends."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from engine.daemon_inner import delegated
from engine.images import base, shared
from engine.images.store import ImageStore
from engine.lab import Labs
from engine.linux import cgroups
from engine.network import Network
from engine.runtime.container import Container, Containers
from engine.runtime.machine import Machine
from engine.runtime.process import Zygote
from engine.runtime.spec import RunSpec
from engine.settings import Settings
from engine.storage import union
from engine.storage.overlay import OverlayDriver

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
ZYGOTE = ROOT / "engine/runtime/zygote.py"
WAIT_S = 30.0
#: The tests run in a lab, put there by test_in_a_lab.py: the parts are those of engine/daemon_inner.py.
INSIDE = "HAKO_SHARED" in os.environ


class Engine:
    """Use as a context manager; `run` carries out a coroutine on the engine's own loop."""

    def __init__(self, instance: str, folder: Path, images: Path, **settings: Any) -> None:
        self.settings = Settings(instance=instance, data=folder / "data", run=folder / "run", **settings)
        self._images = images
        self._runner = asyncio.Runner()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry out, within WAIT_S."""
        return self.within(WAIT_S, work)

    def within(self, deadline_s: float, work: Coroutine[Any, Any, T]) -> T:
        """Carry out, within a deadline in seconds."""

        async def bounded() -> T:
            async with asyncio.timeout(deadline_s):
                return await work

        return self._runner.run(bounded())

    def __enter__(self) -> Engine:
        """Start it."""
        for path in (self.settings.data, self.settings.run):
            path.mkdir(parents=True)
        arguments = ["--socket", str(self.settings.zygote_socket), "--exits", str(self.settings.run / "exits")]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(ZYGOTE), *arguments], stdout=subprocess.PIPE, env={}
        )
        try:
            assert self._process.stdout is not None
            assert self._process.stdout.readline() == b"ready\n"
            self.groups = trees().root(self.settings.instance)
            _make_images(ImageStore(self._images))
            self.run(self._begin())
        except BaseException:  # nobody calls __exit__ then
            self._process.kill()
            self._process.wait()
            raise
        return self

    async def _begin(self) -> None:
        self.zygote = Zygote(self.settings.zygote_socket)
        await self.zygote.connect()
        images = ImageStore(self._images)
        self.network = Network(self.settings, pool_size=2)
        await self.network.setup()
        driver = OverlayDriver(inside=True) if INSIDE else union.choose(self.settings.data)[0]
        parts = (self.settings.data, self.zygote, self.groups, driver, self.network, images)
        self.machine = Machine(*parts, inside=INSIDE)
        self.containers, self.labs = Containers(self.machine), Labs(self.settings, self.machine)
        found = await self.zygote.recover()
        await self.containers.recover(found)
        await self.labs.recover(found)

    def restart(self) -> None:
        """What a killed daemon and a new one come to: every descriptor of the old one closed, then found again."""
        self.run(self._forget())
        self.run(self._begin())

    async def _forget(self) -> None:
        self.labs.let_go()
        for lab in self.labs.all():
            for terminal in lab.terminals.values():
                terminal.close()
        for container in self.containers.all():
            if container.stdio is not None:
                container.stdio.on_stdin_closed = lambda: None  # a killed daemon says nothing to anybody
                container.stdio.close()
        self.zygote.close()
        await self.network.close()

    def __exit__(self, *_: object) -> None:
        try:
            self.run(self._end())
            self.groups.remove()
        finally:
            self._process.kill()
            self._process.wait()
            self._runner.close()
            assert self._process.stdout is not None
            self._process.stdout.close()

    async def _end(self) -> None:
        await self.labs.close()
        for container in self.containers.all():
            await self.containers.remove(container, force=True)
        await self.containers.close()
        await self.network.close(remove=True)
        self.zygote.close()

    def container(self, *args: str, image: str = "hako/mini", interactive: bool = False, **options: Any) -> Container:
        """Create and start a container."""
        made = self.run(self.containers.create(RunSpec(image=image, args=args, **options)))
        return self.run(self.containers.start(made, interactive=interactive))

    def output(self, *args: str, **options: Any) -> tuple[int, str]:
        """Run a container to its end: exit code, and stdout and stderr together."""
        container = self.container(*args, **options)
        code = self.run(self.ended(container))
        assert container.stdio is not None
        text = b"".join(each.ring.read(0, each.ring.head) for each in container.stdio.consoles.values())
        self.run(self.containers.close())
        self.run(self.containers.remove(container))
        return code, text.decode()

    def zygote_children(self) -> list[int]:
        """Processes the zygote is the parent of."""
        text = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return [int(word) for word in text.split()]

    def zygote_fds(self) -> int:
        """How many descriptors the zygote has open."""
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))

    async def ended(self, container: Container) -> int:
        """Wait for its end, taking what it prints meanwhile."""
        assert container.stdio is not None
        loop = asyncio.get_running_loop()
        consoles = list(container.stdio.consoles.values())
        for console in consoles:
            loop.add_reader(console.source, lambda each=console: _pump(loop, each))
        try:
            return await container.ended
        finally:
            for console in consoles:
                loop.remove_reader(console.source)


def _pump(loop: asyncio.AbstractEventLoop, console: Any) -> None:
    console.pump(32768)
    if console.ended:
        loop.remove_reader(console.source)


def trees() -> cgroups.Cgroups:
    """The cgroup trees in which tests may make groups."""
    return delegated() if INSIDE else cgroups.Cgroups.detect()


_images: list[str] = []


def _make_images(store: ImageStore) -> None:
    """The base images: made once a session, which is slow where the processor is emulated (tests/vm); in a lab they are
    the machine's, as its own engine has them."""
    if INSIDE:
        shared.adopt(store, os.environ["HAKO_SHARED"], Path("/run/hako/layers"))
    else:
        base.ensure(store)


def shared_images() -> Path:
    """Where the base images of this test session are: made once, or beforehand (HAKO_TEST_IMAGES, tests/vm)."""
    ready = os.environ.get("HAKO_TEST_IMAGES")
    if ready:
        return Path(ready)
    if not _images:
        _images.append(tempfile.mkdtemp(prefix="hako-test-images-"))
    return Path(_images[0])


def link_images(data: Path) -> None:
    """Make the data directory of a daemon in which it finds the shared images, or makes them for all."""
    data.mkdir(parents=True)
    for part in ("images", "layers"):
        (shared_images() / part).mkdir(exist_ok=True)
        (data / part).symlink_to(shared_images() / part)


def drop_images() -> None:
    """At the session's end."""
    while _images:
        shutil.rmtree(_images.pop())


def open_fds() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


def wait_for(condition: Callable[[], object], deadline_s: float = WAIT_S) -> None:
    """Wait until a condition holds that no event tells of; fails when the time is over."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.005)
