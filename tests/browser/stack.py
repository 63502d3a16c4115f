"""The whole of Hako for a browser: supervisor, zygote, engine and web under an instance name of their own.

`HAKO_BROWSER_URL` uses a running one instead, for a person who works on the page. Nothing here is a fake.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from engine.client import EngineClient

ROOT = Path(__file__).resolve().parents[2]
READY_S = 120.0  # the base images are made once
UP = """
import sys
from engine import supervisor
from engine.settings import Settings
supervisor.STEADY_S = 0.0  # tests kill what they do not mean to be slow for: always start it again at once
sys.exit(supervisor.main(Settings(), supervisor.Address("127.0.0.1", int(sys.argv[1]))))
"""
#: The supervisor's children, by what is in their command lines.
PROGRAMS = {"web": b"web.serve", "engine": b"engine.daemon", "zygote": b"zygote.py"}


class Stack:
    """One running Hako; use as a context manager."""

    def __init__(self, instance: str, images_of: Stack | None = None) -> None:
        # Not pytest's folder: its parents are closed to other users, and the web process is one.
        self.instance, self.folder = instance, Path(tempfile.mkdtemp(prefix=f"{instance}-"))
        self.log = self.folder / "up.log"
        self.url = os.environ.get("HAKO_BROWSER_URL", "").rstrip("/")
        self.data = Path(os.environ.get("HAKO_BROWSER_DATA", self.folder / "data"))
        self.process: subprocess.Popen[bytes] | None = None
        self._images_of = images_of

    def __enter__(self) -> Stack:
        if self.url:
            return self
        self.url = f"http://127.0.0.1:{_free_port()}"
        self.folder.chmod(0o755)
        if self._images_of is not None:
            self.data.mkdir()
            for part in ("images", "layers"):
                (self.data / part).symlink_to(self._images_of.data / part)
        try:
            self.up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def up(self) -> None:
        """`hako up`, waited for until the page answers."""
        env = {
            **os.environ,
            "HAKO_INSTANCE": self.instance,
            "HAKO_DATA": str(self.data),
            "HAKO_RUN": str(self.folder / "run"),
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-c", UP, self.url.rpartition(":")[2]]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        wait_until(self.ready, f"Hako answers; its log is {self.log}", READY_S)

    def kill_up(self) -> None:
        """kill -9 of the supervisor."""
        assert self.process is not None, "not with HAKO_BROWSER_URL"
        self.process.kill()
        self.process.wait()

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=90)
        shutil.rmtree(self.folder)

    def ready(self) -> bool:
        """Whether web answers and has its engine."""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-4000:]
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def forget_progress(self) -> None:
        """As if nobody had learnt anything: there is one learner on a machine, and every test is a new one."""
        with sqlite3.connect(self.data / "web/progress.sqlite3", timeout=10) as database:
            for table in ("step_result", "attempt", "enrolment"):
                database.execute(f"DELETE FROM {table}")

    def remove_labs(self) -> None:
        """Ends every lab: what a test leaves running in a terminal is not for the next."""
        with EngineClient(self.folder / "run/lab.sock") as engine:
            for lab in engine.lab_list():
                engine.lab_remove(lab.id)

    def pid(self, program: str) -> int:
        """The process number of zygote, engine or web; 0 while there is none."""
        assert self.process is not None, "not with HAKO_BROWSER_URL"
        found = [pid for pid in _children(self.process.pid) if PROGRAMS[program] in _cmdline(pid)]
        return found[0] if found else 0

    def workers(self) -> list[int]:
        """web's processes below its master."""
        return _children(self.pid("web"))

    def unread(self) -> int:
        """Bytes that wait for the engine on its socket, as ss(8) shows them."""
        listed = subprocess.run(["ss", "-xnH"], capture_output=True, text=True, timeout=10, check=True)
        rows = [line.split() for line in listed.stdout.splitlines() if str(self.folder / "run/lab.sock") in line]
        return sum(int(row[2]) for row in rows)

    def kill(self, program: str, *, worker: bool = True, master: bool = True) -> int:
        """kill -9 of a program that runs; the supervisor starts another. Returns which process it was.

        Args:
            worker, master: which of web's two processes; the others have one.
        """
        wait_until(lambda: self.pid(program), f"{program} runs")
        pid = self.pid(program)
        for each in [*([pid] if master else []), *(_children(pid) if worker else [])]:
            try:
                os.kill(each, signal.SIGKILL)
            except ProcessLookupError:
                pass  # the worker ends with its master
        return pid

    def kill_web(self) -> None:
        """kill -9 of the web server and its worker."""
        self.kill("web")


def wait_until(condition: Callable[[], object], what: str | Callable[[], str], deadline_s: float = 20.0) -> None:
    """Poll a condition no event tells of; fails with `what` when the time is over."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"in vain for {deadline_s:.0f} s: {what if isinstance(what, str) else what()}"
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []  # it ended while we looked


def _cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
