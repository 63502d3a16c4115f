"""A stage for the benchmarks: an engine of its own with an image that holds the measured program, gone afterwards.

The engine is the real one, daemon and zygote, started as `hako up` starts them, under an instance name and in
directories of its own. What the other contenders need (a root file system as plain files, a network namespace, a
cgroup, the seccomp filter) is taken from it, so that all start the same program in the same surroundings.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

from engine.api.connection import Connection
from engine.children import Program
from engine.errors import Failed, Unsupported
from engine.images import base, reference
from engine.images.store import Image, ImageStore
from engine.linux import capabilities, cgroups, procfs, seccomp
from engine.settings import Settings
from engine.supervisor import Address, programs

HERE = Path(__file__).parent
IMAGE = "hako/bench"
END_S = 30.0


def compile_c(source: Path, target: Path, *flags: str) -> None:
    """Compile a C program.

    Raises:
        Unsupported: there is no compiler. Failed: it complained.
    """
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise Unsupported(
            "There is no C compiler; the benchmark compares with a C program.", "Install gcc and libc6-dev."
        )
    done = subprocess.run([compiler, "-O2", *flags, "-o", target, source], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(
            f"{compiler} {source.name}: {done.stderr.strip()[:500]}", "Install libc6-dev (Fedora: glibc-static)."
        )


class Stage:
    """Use as a context manager.

    Attributes:
        folder: scratch, on a file system that can hold an overlay's upper directory.
        image: the image with `/now` in its top layer.
        settings: of the engine.
        url: of the web server, if there is one.

    Args:
        web: start the web server too.
        env: settings of engine and web beyond the usual, by the names of their environment.
    """

    def __init__(self, *, web: bool = False, env: dict[str, str] | None = None) -> None:
        self._stack = ExitStack()
        self._web = web
        self._env = env or {}
        self._processes: dict[str, int] = {}

    def __enter__(self) -> Self:
        with self._stack as stack:
            self.folder = Path(tempfile.mkdtemp(prefix="hako-bench-", dir="/var/tmp"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            name = f"hkb{secrets.token_hex(2)}"
            self.settings = Settings(instance=name, data=self.folder / "data", run=self.folder / "run")
            for path in (self.settings.data, self.settings.run):
                path.mkdir()
            self.image = self._make_image()
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        """Zygote, engine and, if wanted, web: as `hako up` starts them, the web server with our own rights."""
        port = _free_port() if self._web else 0
        self.url = f"http://127.0.0.1:{port}"
        for program in programs(self.settings, Address("127.0.0.1", port))[: 3 if self._web else 2]:
            env = dict(program.env)
            if program.name != "zygote":
                env |= self._env
            if program.name == "web":
                env |= {"PYTHONPATH": str(HERE.parents[1])}
                argv: tuple[str, ...] = (sys.executable, *program.argv[1:])
                Path(env["HAKO_WEB_DATA"]).mkdir(parents=True)
            else:
                argv = program.argv
            started = replace(program, argv=argv, env=env)
            self._processes[program.name] = stack.enter_context(_running(started))
        if self._web:
            from tests.bench.page import wait_for_page  # the engine's own bench needs no HTTP client

            wait_for_page(self.url)

    def processor_seconds(self) -> dict[str, float]:
        """Processor time used until now by each server, its children included."""
        return {
            name: sum(map(_ticks, _family(pid))) / os.sysconf("SC_CLK_TCK") for name, pid in self._processes.items()
        }

    def _make_image(self) -> Image:
        compile_c(HERE / "now.c", self.folder / "now", "-static")
        store = ImageStore(self.settings.data)
        base.ensure(store)
        mini = store.get("hako/mini")
        with store.layers.staging() as top:
            shutil.copy2(self.folder / "now", top / "now")
            layer = store.layers.adopt(top)
        layers = [store.layers.get(digest) for digest in mini.config["rootfs"]["diff_ids"]]
        return store.add({**mini.config}, [*layers, layer], [reference.parse(IMAGE)])

    def connect(self) -> Connection:
        """A connection to the engine, to be used as a context manager."""
        return Connection(self.settings.engine_socket, reconnect=False)

    def rootfs(self) -> Path:
        """The image as plain files, for those who bring no overlay of their own."""
        made = self.folder / "rootfs"
        if not made.exists():
            for layer in self.image.layers:
                subprocess.run(["cp", "-a", f"{layer}/.", made], check=True)
        return made

    def filter(self) -> Path:
        """The seccomp filter of a container, as bytes in a file."""
        made = self.folder / "filter.bpf"
        made.write_bytes(seccomp.compile_profile("default", capabilities.DEFAULT))
        return made

    def group(self) -> cgroups.Group:
        """A control group of this stage's own, beside the engine's containers."""
        return cgroups.Cgroups.detect().root(self.settings.instance).create("bench")


@contextmanager
def _running(program: Program) -> Iterator[int]:
    """A program of the engine, from its "ready" to its end."""
    # SIGINT: the daemon ends its containers and removes what it made. The zygote knows no word but the last one.
    word = {"zygote": signal.SIGKILL, "engine": signal.SIGINT}.get(program.name, signal.SIGTERM)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            program.argv, stdout=subprocess.PIPE, stderr=log, env=program.env, cwd=HERE.parents[1]
        )
        assert process.stdout is not None
        try:
            if program.says_ready and process.stdout.readline().strip() != b"ready":
                log.seek(0)
                said = log.read()[-2000:].decode(errors="replace")
                raise Failed(f"The {program.name} did not start: {said}")
            yield process.pid
        finally:
            process.send_signal(word)
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


def _family(pid: int) -> list[int]:
    """A server's own processes: for the zygote only itself, since its children are labs."""
    name = procfs.cmdline(pid)
    if any("zygote" in word for word in name):
        return [pid]
    return [pid, *map(int, procfs.read(f"/proc/{pid}/task/{pid}/children").split())]


def _ticks(pid: int) -> int:
    fields = procfs.read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return int(fields[11]) + int(fields[12])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def spawn(argv: list[str], stdout: int, stderr: int) -> int:
    """Start a program with as little of our own in between as Python can: posix_spawn(3). Returns its pid."""
    actions = [(os.POSIX_SPAWN_DUP2, stdout, 1), (os.POSIX_SPAWN_DUP2, stderr, 2)]
    program = shutil.which(argv[0]) or argv[0]
    return os.posix_spawn(program, argv, {"PATH": os.environ["PATH"], "HOME": "/root"}, file_actions=actions)
