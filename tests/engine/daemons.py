"""A whole engine as it runs on a machine, zygote and daemon as processes, and a page's side of a stream."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.client import Attached, Disconnected, EngineClient
from engine.settings import Settings
from tests.engine.engines import ROOT, ZYGOTE, link_images, wait_for

ACK = 16 * 1024


class Machine:
    """Zygote and daemon. Use as a context manager."""

    def __init__(self, instance: str, folder: Path, **settings: Any) -> None:
        self.settings = Settings(instance=instance, data=folder / "data", run=folder / "run", **settings)
        values = {**settings, "instance": instance, "data": folder / "data", "run": folder / "run"}
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), **{f"HAKO_{k}".upper(): str(v) for k, v in values.items()}}
        self.log = folder / "daemon.log"
        self.daemon: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Machine:
        self.settings.run.mkdir(parents=True)
        link_images(self.settings.data)
        arguments = ["--socket", str(self.settings.zygote_socket), "--exits", str(self.settings.run / "exits")]
        self.zygote = subprocess.Popen([sys.executable, "-I", "-S", str(ZYGOTE), *arguments], stdout=-1, env={})
        assert self.zygote.stdout is not None
        assert self.zygote.stdout.readline() == b"ready\n"
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self) -> None:
        """Start the daemon and wait until it is ready."""
        with self.log.open("ab") as log:
            command = [sys.executable, "-P", "-m", "engine.daemon"]
            self.daemon = subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE, stderr=log)
        assert self.daemon.stdout is not None
        if self.daemon.stdout.readline() != b"ready\n":
            self.daemon.wait(10)
            self.daemon.stdout.close()
            raise AssertionError(f"the daemon did not start:\n{self.log.read_text()[-3000:]}")

    def stop(self, signum: int = signal.SIGTERM, deadline_s: float = 30) -> int:
        """End the daemon by a signal and wait for its end."""
        assert self.daemon is not None
        assert self.daemon.stdout is not None
        self.daemon.send_signal(signum)
        status = self.daemon.wait(deadline_s)
        self.daemon.stdout.close()
        return status

    def restart(self, signum: int = signal.SIGKILL) -> None:
        """What a crash and the supervisor come to."""
        self.stop(signum)
        self.start()

    def client(self) -> EngineClient:
        """A client of lab.sock; use as a context manager."""
        return EngineClient(self.settings.lab_socket)

    def hako(self, *words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        """Run the command line."""
        command = [sys.executable, "-P", "-m", "engine.cli", *words]
        return subprocess.run(command, env=self.env, capture_output=True, timeout=60, check=False, **options)

    def memory(self) -> int:
        """Bytes of the daemon's own memory (RssAnon, proc(5))."""
        assert self.daemon is not None
        lines = Path(f"/proc/{self.daemon.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))

    def __exit__(self, *_: object) -> None:
        try:
            if self.daemon is not None and self.daemon.poll() is None:
                assert self.stop(signal.SIGINT) == 0, self.log.read_text()[-3000:]
        finally:
            self.zygote.kill()
            self.zygote.wait()
            assert self.zygote.stdout is not None
            self.zygote.stdout.close()


class Page:
    """A browser's side of a stream: keeps what it was sent, acknowledges, attaches again by itself.

    Bytes at offsets other than the next one are noted in `wrong`.
    """

    def __init__(self, client: EngineClient, terminal: str, *, role: str = "owner", slow: bool = False) -> None:
        self.client, self.terminal, self.role, self.slow = client, terminal, role, slow
        self.data = bytearray()
        self.begin = 0
        self.consumed = 0
        self.acked = 0
        self.resets = 0
        self.wrong: list[str] = []
        self.exit: list[int | None] = []
        self.stream = -1
        self.stop = client.on_event(self._heard)

    def attach(self, offset: int | None = None, rows: int = 24, cols: int = 80) -> Attached:
        """Attach from an offset, or from as far back as the engine remembers."""
        return self.client.terminal_attach(
            self.terminal, offset, rows, cols, role=self.role, on_attached=self._attached
        )

    def attach_again(self) -> None:
        """After a broken connection."""
        while True:
            try:
                self.attach(self.consumed)
            except Disconnected:
                continue
            return

    def _attached(self, answer: Attached) -> None:
        self.stream = answer.stream
        if not self.data and not self.consumed:
            self.begin = self.consumed = answer.offset
        if answer.offset != self.consumed:
            self.wrong.append(f"attached at {answer.offset}, not at {self.consumed}")
            self.consumed = answer.offset
        self.acked = self.consumed

    def _heard(self, event: dict[str, Any]) -> None:
        if event["event"] == "disconnected":
            self.stream = -1
        elif event.get("stream") != self.stream:
            return
        elif event["event"] == "terminal.output":
            if event["offset"] != self.consumed:
                self.wrong.append(f"output at {event['offset']}, not at {self.consumed}")
            self.data += event["data"]
            self.consumed = event["offset"] + len(event["data"])
            if self.consumed - self.acked >= ACK and not self.slow:
                self.acked = self.consumed
                try:
                    self.client.terminal_ack(self.stream, self.consumed)
                except Disconnected:
                    pass
        elif event["event"] == "terminal.reset":
            self.resets += 1
            self.consumed = event["offset"]
        elif event["event"] == "terminal.exit":
            self.exit.append(event["status"])

    def ack(self) -> None:
        """What a page does when it is idle: acknowledge all."""
        self.client.terminal_ack(self.stream, self.consumed)

    def type(self, text: str) -> None:
        """Type."""
        self.client.terminal_input(self.terminal, text.encode())

    def wait(self, text: str | bytes, deadline_s: float = 20) -> None:
        """Wait until this was printed."""
        wanted = text.encode() if isinstance(text, str) else text
        try:
            wait_for(lambda: wanted in self.data, deadline_s)
        except AssertionError:
            raise AssertionError(f"{wanted!r} was not printed; the last is {bytes(self.data[-300:])!r}") from None


def again(client: EngineClient, page: Page) -> Callable[[], None]:
    """Have a page attach again whenever the engine is back; returns how to stop that."""
    back, stopping = threading.Event(), threading.Event()

    def heard(event: dict[str, Any]) -> None:
        if event["event"] == "connected":
            back.set()

    def keep() -> None:
        while not stopping.is_set():
            if back.wait(0.05):
                back.clear()
                page.attach_again()

    remove = client.on_event(heard)
    thread = threading.Thread(target=keep)
    thread.start()

    def stop() -> None:
        stopping.set()
        thread.join(30)
        remove()

    return stop


def timed(work: Callable[[], Any]) -> float:
    """Seconds a piece of work takes."""
    begun = time.monotonic()
    work()
    return time.monotonic() - begun
