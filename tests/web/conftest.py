"""The web stack under test: the real server (gunicorn in a process of its own) in front of the fake engine."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from tests.web.fake_engine import FakeEngine
from tests.web.lab_client import OPENED, Browser, until
from tests.web.postgres import Postgres

LESSONS = Path(__file__).parent / "lessons"


@dataclass
class Web:
    """One web process."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    port: int = 0
    prefix: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "web.log").read_text("utf-8", "replace")

    def start(self) -> None:
        """Start it on its port, the same after a restart, and wait until it answers."""
        self.port = self.port or free_port()
        env = {
            **os.environ,
            "HAKO_WEB_PORT": str(self.port),
            "HAKO_WEB_DATA": str(self.folder / "web"),
            "HAKO_WEB_LAB_SOCKET": str(self.folder / "lab.sock"),
            "HAKO_WEB_LESSONS": str(LESSONS),
            "HAKO_WEB_THREADS": "64",
            "HAKO_WEB_LOG_FORMAT": "json",
            **self.env,
        }
        with (self.folder / "web.log").open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "web.serve"], env=env, stderr=log, stdout=log)
        until(self._answers, f"the web process answers; its log: {self.log}", 30)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        try:
            return requests.get(f"{self.url}{self.prefix}/healthz", timeout=5).ok
        except requests.ConnectionError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal it and wait for its end; gives the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=20)

    def workers(self) -> list[str]:
        """The processes of gunicorn's arbiter."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()

    def kill(self) -> None:
        """kill -9 of the whole of it: gunicorn's arbiter and its worker."""
        assert self.process is not None
        children = self.workers()
        for pid in (self.process.pid, *map(int, children)):
            os.kill(pid, signal.SIGKILL)
        self.process.wait(timeout=20)
        until(lambda: not any(map(alive, children)), "the worker is gone")


def alive(pid: str) -> bool:
    """Whether a process runs; one that is only not yet waited for does not (proc_pid_stat(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Stack:
    """The web process and its engine."""

    web: Web
    engine: FakeEngine

    def browser(self, lang: str = "en") -> Browser:
        """A browser that has the lesson open."""
        browser = Browser(self.web.url)
        browser.open(f"/{lang}/lessons/01-try/")
        return browser

    def lab(self, browser: Browser) -> str:
        """The learner's lab for the lesson."""
        answer = browser.post("/api/labs", {"lesson": "try"})
        assert answer.ok, answer.text
        return str(answer.json()["id"])

    def forget(self) -> None:
        """Empty the database and the engine, and start what a test has stopped."""
        self.engine.forget()
        if self.web.process is None or self.web.process.poll() is not None:
            self.web.start()
        until(lambda: requests.get(f"{self.web.url}/readyz", timeout=5).ok, "web has found the engine")
        with sqlite3.connect(self.web.folder / "web" / "progress.sqlite3", timeout=10) as database:
            for table in ("step_result", "attempt", "enrolment"):
                database.execute(f"DELETE FROM {table}")
        database.close()


def _stack(folder: Path) -> Iterator[Stack]:
    with FakeEngine(folder / "lab.sock") as engine:
        web = Web(folder)
        web.start()
        try:
            yield Stack(web, engine)
        finally:
            if web.process is not None and web.process.poll() is None:
                web.kill()  # a clean end waits for idle connections; what it does is tested in test_restart.py


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close what the test opened, so that no socket is left to the garbage collector."""
    yield
    while OPENED:
        OPENED.pop()()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, started when the first test asks for it."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack shared by a module, for tests that do not disturb each other."""
    yield from _stack(tmp_path_factory.mktemp("stack"))


@pytest.fixture
def stack(shared: Stack) -> Stack:
    """The module's stack as if it were new: nobody has learnt anything, no lab is there."""
    shared.forget()
    return shared


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Stack]:
    """A stack of this test's own, for one that changes its settings or uses up its rate limits."""
    yield from _stack(tmp_path)
