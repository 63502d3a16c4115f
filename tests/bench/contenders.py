"""Those who start a container, each in its own way, each timed in the same way.

The program in the container says when it began to run; the clock is the machine's, so the time from the request to
that moment is the start, and the time until whoever asked knows how it ended is the whole run. A contender that cannot
run here says so in its own words, and the table shows them instead of a number.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from engine.api.connection import Connection, Event
from engine.linux import cgroups
from tests.bench.stage import HERE, IMAGE, Stage, compile_c, spawn

RUN_S = 20.0


class CannotRun(Exception):
    """What a contender said instead of running."""


@dataclass(frozen=True)
class Sample:
    """One run, in milliseconds from the request."""

    start_ms: float
    run_ms: float


def sample(asked_ns: int, began: bytes | str, ended_ns: int) -> Sample:
    """From the three moments; `began` is what the program wrote."""
    words = began.split()
    if len(words) != 1:
        raise CannotRun(f"the program wrote {began!r}")
    return Sample((int(words[0]) - asked_ns) / 1e6, (ended_ns - asked_ns) / 1e6)


class Contender(ABC):
    """One of them; a context manager whose `run` may be called many times."""

    name: str
    note: str = ""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.stack = ExitStack()

    def __enter__(self) -> Self:
        with self.stack as stack:
            self.prepare()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    @abstractmethod
    def prepare(self) -> None:
        """Make what all runs share; what must be undone goes on `self.stack`."""

    @abstractmethod
    def run(self) -> Sample:
        """Start one container and see it end.

        Raises:
            CannotRun: it did not work here; with what was said.
        """


class Floor(Contender):
    """floor.c: the same work in C."""

    name = "C floor"
    note = "same work, one C process, no engine"

    def prepare(self) -> None:
        """Compile it and give it a network namespace on the bridge, a cgroup and the filter."""
        program = self.stage.folder / "floor"
        compile_c(HERE / "floor.c", program)
        work = Path(tempfile.mkdtemp(prefix="floor-", dir=self.stage.folder))
        (work / "file").touch()
        group = self.stage.group()
        self.stack.callback(group.remove)
        engine = self.stack.enter_context(self.stage.connect())
        sleeper = engine.call("container.create", {"spec": {"image": IMAGE, "args": ["sleep", "100000"]}})["id"]
        self.stack.callback(engine.call, "container.remove", {"container": sleeper, "force": True})
        engine.call("container.start", {"container": sleeper, "attach": False})
        pid = engine.call("container.inspect", {"container": sleeper})["pid"]
        layers = ":".join(map(str, reversed(self.stage.image.layers)))
        arguments = [f"lower={layers}", f"dir={work}", f"netns=/proc/{pid}/ns/net", f"filter={self.stage.filter()}"]
        arguments += [f"file={work / 'file'}", *_trees(group)]
        self._process = subprocess.Popen(
            [program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.stack.callback(self._end)
        self._line()

    def _end(self) -> None:
        self._process.communicate(timeout=RUN_S)

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line:
            raise CannotRun(self._process.stderr.readline().decode().strip())
        return line

    def run(self) -> Sample:
        """One line asks, one line answers."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        asked, began, ended = self._line().split()
        return sample(int(asked), began, int(ended))


def _trees(group: cgroups.Group) -> list[str]:
    hierarchy = group.hierarchy
    words = [f"v2={group.path('')}"] if hierarchy.unified and group.path("") else []
    for mount in hierarchy.v1_mounts:
        names = sorted(name for name, place in hierarchy.v1.items() if place == mount)
        words.append(f"v1={','.join(names)}:{group.path(names[0])}")
    return words


class Engine(Contender):
    """Ours, asked over engine.sock by a client that is connected already."""

    name = "Hako"
    note = "through engine.sock"

    def prepare(self) -> None:
        """Connect."""
        self._engine: Connection = self.stack.enter_context(self.stage.connect())
        self._changed = threading.Condition()
        self._output: dict[int, bytes] = {}
        self._ended: dict[int, int] = {}
        self._engine.on_event(self._heard)

    def _heard(self, event: Event) -> None:
        stream = event.get("stream")
        if not isinstance(stream, int):
            return
        with self._changed:
            if event["event"] == "terminal.output":
                self._output[stream] = self._output.get(stream, b"") + event["data"]
            elif event["event"] == "terminal.exit":
                self._ended[stream] = event["status"]
                self._changed.notify()

    def run(self) -> Sample:
        """create, start, attach; until the end of the program has been told."""
        asked = time.monotonic_ns()
        spec = {"image": IMAGE, "args": ["/now"], "remove": True}
        container = self._engine.call("container.create", {"spec": spec})["id"]
        started = self._engine.call("container.start", {"container": container, "attach": True})
        if "message" in started:
            raise CannotRun(started["message"])
        streams = {int(answer["stream"]): name for name, answer in started["streams"].items()}
        self._flow(streams)
        with self._changed:
            if not self._changed.wait_for(lambda: all(stream in self._ended for stream in streams), RUN_S):
                raise CannotRun(f"no end within {RUN_S:.0f} s")
            ended = time.monotonic_ns()
            texts = {name: self._output.pop(stream, b"") for stream, name in streams.items()}
            statuses = {self._ended.pop(stream) for stream in streams}
        if statuses != {0}:
            raise CannotRun(f"status {statuses}: {texts}")
        return sample(asked, texts["stdout"], ended)

    def _flow(self, streams: dict[int, str]) -> None:
        """Nothing to do where output comes unasked."""


class Program(Contender):
    """A program that is started, runs the container and ends with it."""

    program: str

    @abstractmethod
    def command(self) -> list[str]:
        """Its command line."""

    def prepare(self) -> None:
        """See that it is installed."""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed by the stack)
        self.stack.callback(self._said.close)
        if shutil.which(self.program) is None:
            raise CannotRun("not installed")

    def run(self) -> Sample:
        """Start it, read what the container says, wait for it."""
        argv = self.command()
        out, into = os.pipe2(os.O_CLOEXEC)
        self._said.truncate(0)
        try:
            asked = time.monotonic_ns()
            pid = spawn(argv, into, self._said.fileno())
            os.close(into)
            into = -1
            text = b""
            while data := os.read(out, 4096):
                text += data
            _, status = os.waitpid(pid, 0)
            ended = time.monotonic_ns()
        finally:
            os.close(out)
            if into >= 0:
                os.close(into)
        if status:
            self._said.seek(0)
            said = self._said.read().decode(errors="replace").strip().splitlines()
            raise CannotRun(said[-1][:300] if said else f"exit status {os.waitstatus_to_exitcode(status)}")
        return sample(asked, text, ended)


class CommandLine(Program):
    """`hako run`: the start of Python included."""

    name = "hako run"
    program = "env"
    note = "the command line, with the start of its Python"

    def command(self) -> list[str]:
        """As ./hako calls it, once set up."""
        env = ["env", f"HAKO_RUN={self.stage.settings.run}", f"PYTHONPATH={HERE.parents[1]}"]
        return [*env, sys.executable, "-P", "-m", "engine.cli", "run", "--rm", IMAGE, "/now"]


class Oci(Program):
    """An OCI runtime with the bundle its own `spec` writes: no overlay, no veth, no filter, all of which favours it."""

    program: str
    note = "plain files as root, empty network, no seccomp"

    def prepare(self) -> None:
        """A bundle."""
        super().prepare()
        self._bundle = Path(tempfile.mkdtemp(prefix="bundle-", dir=self.stage.folder))
        self._runs = 0
        done = subprocess.run([self.program, "spec"], cwd=self._bundle, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotRun(done.stderr.strip()[:300])
        path = self._bundle / "config.json"
        config = json.loads(path.read_text())
        config["process"].update(args=["/now"], terminal=False)
        config["root"] = {"path": str(self.stage.rootfs()), "readonly": False}
        path.write_text(json.dumps(config))

    def command(self) -> list[str]:
        """`run`: create, start and delete in one."""
        self._runs += 1
        root = ["--root", str(self.stage.folder / self.program)]
        ident = f"{self.stage.settings.instance}-{self.program}-{self._runs}"
        return [self.program, *root, "run", "--bundle", str(self._bundle), ident]


class Crun(Oci):
    """crun."""

    name = program = "crun"


class CrunV1(Oci):
    """crun where it sees no cgroup v2 tree: it refuses hybrid machines. nsenter(1) costs about a millisecond."""

    name = "crun, v1 only"
    program = "crun"
    note = "as crun; the cgroup v2 tree hidden from it, by nsenter"

    def prepare(self) -> None:
        """A mount namespace without the tree, kept by a process that sleeps in it."""
        super().prepare()
        unified = cgroups.Cgroups.detect().hierarchy
        if unified.kind != "hybrid":
            raise CannotRun("not needed: this machine is not hybrid")
        script = f"umount {unified.unified} && echo ready && exec sleep 100000"
        keeper = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdout=subprocess.PIPE, text=True)
        self.stack.callback(_end, keeper)
        assert keeper.stdout is not None
        if keeper.stdout.readline() != "ready\n":
            raise CannotRun("the cgroup v2 tree could not be hidden")
        self._enter = ["nsenter", f"--mount=/proc/{keeper.pid}/ns/mnt"]

    def command(self) -> list[str]:
        """Through nsenter."""
        return [*self._enter, *super().command()]


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


class Runc(Oci):
    """runc."""

    name = program = "runc"


class Bubblewrap(Program):
    """bubblewrap: namespaces and mounts, no cgroup, no network but lo."""

    name = program = "bwrap"
    note = "no overlay, no cgroup, no veth, no seccomp"

    def command(self) -> list[str]:
        """All namespaces."""
        words = "--unshare-all --die-with-parent --proc /proc --dev /dev --cap-drop ALL"
        return ["bwrap", "--bind", str(self.stage.rootfs()), "/", *words.split(), "/now"]


ALL: tuple[type[Contender], ...] = (Floor, Engine, CommandLine, Crun, CrunV1, Runc, Bubblewrap)
