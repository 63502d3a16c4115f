"""hako up as a whole: it starts, survives the death of each child, refuses in one sentence, ends leaving nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import doctor, preflight
from engine.client import Disconnected, EngineClient
from engine.errors import BadInput, Conflict, Exhausted, Failed, Unsupported
from engine.settings import Settings
from engine.supervisor import Address, programs
from tests.engine.engines import ROOT, shared_images, wait_for

pytestmark = pytest.mark.root


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory the web user can reach, as /var/lib/hako and /run/hako are; pytest's own are root's alone."""
    with tempfile.TemporaryDirectory(prefix="hako-up-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Up:
    """A running `hako up`."""

    def __init__(self, instance: str, folder: Path, *words: str) -> None:
        self.settings = Settings(instance=instance, data=folder / "data", run=folder / "run")
        self.port = free_port()
        for part in ("images", "layers"):
            (shared_images() / part).mkdir(exist_ok=True)
            (self.settings.data / part).parent.mkdir(parents=True, exist_ok=True)
            (self.settings.data / part).symlink_to(shared_images() / part)
        values = {"INSTANCE": instance, "RUN": str(self.settings.run), "DATA": str(self.settings.data)}
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), **{f"HAKO_{key}": value for key, value in values.items()}}
        self.command = [sys.executable, "-P", "-m", "engine.cli", "up", "--port", str(self.port), *words]
        self.lines: list[str] = []
        self.process = subprocess.Popen(self.command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip())

    def wait(self, text: str, seconds: float = 60, after: int = 0) -> int:
        """Wait until a line says this; gives the number of lines there were before."""
        try:
            wait_for(lambda: any(text in line for line in self.lines[after:]), seconds)
        except AssertionError:
            raise AssertionError(f"{text!r} was not said:\n" + "\n".join(self.lines[-30:])) from None
        return len(self.lines)

    def child(self, module: str) -> int:
        """The process number of a child."""
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                status, words = (directory / "status").read_text(), (directory / "cmdline").read_bytes()
            except OSError:
                continue
            if f"PPid:\t{self.process.pid}\n" in status and module.encode() in words:
                return int(directory.name)
        raise AssertionError(f"no {module} below {self.process.pid}")

    def ready(self) -> bool:
        """Whether the page says it is."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def stop(self, signum: int = signal.SIGINT) -> int:
        """End it."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        status = self.process.wait(60)
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


@pytest.fixture
def up(instance: str, folder: Path) -> Iterator[Up]:
    """Started and answering."""
    made = Up(instance, folder)
    try:
        made.wait("Ready in ")
        yield made
    finally:
        made.stop()


def test_it_starts_serves_and_ends_leaving_nothing(up: Up) -> None:
    """The address it prints answers; a second one is refused; Ctrl-C ends the lab; no mount, socket, child is left."""
    assert any(f"open http://127.0.0.1:{up.port}/" in line for line in up.lines)
    assert up.ready()
    second = subprocess.run(up.command, env=up.env, capture_output=True, timeout=30, check=False)
    assert second.returncode == 1
    assert f"running already, as process {up.process.pid}".encode() in second.stderr
    with EngineClient(up.settings.lab_socket) as engine:
        engine.lab_create("ann", {})
    children = [up.child(name) for name in ("zygote.py", "engine.daemon", "web.serve")]
    assert up.stop() == 0
    assert up.lines[-1].endswith("Ended.")
    assert str(up.settings.run) not in Path("/proc/self/mountinfo").read_text()
    assert not up.settings.lab_socket.exists()
    assert not any(Path(f"/proc/{child}").exists() for child in children)


@pytest.mark.slow
def test_web_runs_without_privilege(up: Up) -> None:
    """As user hako where there is one: no capability, no way to one."""
    status = Path(f"/proc/{up.child('web.serve')}/status").read_text()
    if programs(up.settings, Address("127.0.0.1", 1))[2].user:
        assert "Uid:\t0" not in status
        assert "CapEff:\t0000000000000000" in status
        assert "CapBnd:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status


@pytest.mark.slow
def test_web_and_engine_come_back_and_labs_go_on(up: Up) -> None:
    """kill -9 of each: said in the log, started again, the lab untouched."""
    with EngineClient(up.settings.lab_socket) as engine:
        lab = engine.lab_create("ann", {})
        seen = len(up.lines)
        os.kill(up.child("web.serve"), signal.SIGKILL)
        up.wait("web ended (signal SIGKILL)", after=seen)
        wait_for(up.ready)
        os.kill(up.child("engine.daemon"), signal.SIGKILL)
        up.wait("engine ended (signal SIGKILL)", after=seen)
        up.wait("engine_ready", after=seen)
        assert engine.call("lab.get", {"lab": lab.id}, again=True)["state"] == "ready"
        wait_for(up.ready)


@pytest.mark.slow
def test_when_the_zygote_dies_all_begins_anew_and_says_so(up: Up) -> None:
    """The labs are gone with it; a new one can be made."""
    with EngineClient(up.settings.lab_socket) as engine:
        engine.lab_create("ann", {})
        seen = len(up.lines)
        os.kill(up.child("zygote.py"), signal.SIGKILL)
        up.wait("all labs ended with it", after=seen)
        up.wait("engine_ready", after=seen)
        wait_for(lambda: engine.connected)
        assert engine.lab_list() == []
        assert engine.lab_create("ann", {}).state == "ready"


@pytest.mark.slow
def test_when_the_supervisor_is_killed_all_ends_and_the_next_start_clears_up(instance: str, folder: Path) -> None:
    """kill -9 of the supervisor: nothing goes on without it, and nothing of it is in the way."""
    first = Up(instance, folder)
    first.wait("Ready in ")
    with EngineClient(first.settings.lab_socket) as engine:
        engine.lab_create("ann", {})
        children = [first.child(name) for name in ("zygote.py", "engine.daemon", "web.serve")]
        first.stop(signal.SIGKILL)
        wait_for(lambda: not any(_alive(child) for child in children))
    for part in ("images", "layers"):
        (first.settings.data / part).unlink()
    again = Up(instance, folder)
    try:
        again.wait("Ready in ")
        with EngineClient(again.settings.lab_socket) as engine:
            assert engine.lab_list() == []
    finally:
        assert again.stop() == 0


def _alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_ctrl_c_during_the_start_ends_it_too(instance: str, folder: Path) -> None:
    """Before anything answers."""
    started = Up(instance, folder)
    wait_for(lambda: (started.settings.run / "up.lock").exists())
    assert started.stop() in (0, 130)  # 130: so early that nothing had been started
    assert not any("Traceback" in line for line in started.lines)


@pytest.mark.slow
def test_a_web_that_does_not_start_ends_it_with_a_sentence(instance: str, folder: Path) -> None:
    """A wrong setting of web's: its words are shown, then what happened; not a loop of restarts."""
    os.environ["HAKO_WEB_THREADS"] = "none"
    try:
        failed = Up(instance, folder)
        assert failed.process.wait(60) == 1
    finally:
        del os.environ["HAKO_WEB_THREADS"]
    failed.stop()
    assert any("web did not start" in line for line in failed.lines)


@pytest.mark.slow
def test_places_closed_to_the_web_user_are_shown_to_it_elsewhere(instance: str, folder: Path) -> None:
    """Data below a home directory (0700): web writes through a window, which is gone with the supervisor."""
    closed = folder / "home"
    closed.mkdir(mode=0o700)
    made = Up(instance, folder, "--data", str(closed / "data"))
    try:
        made.wait("Ready in ")
        assert (closed / "data" / "web" / "progress.sqlite3").exists()
    finally:
        assert made.stop() == 0
    assert not list((made.settings.run / "web").glob("*")) if (made.settings.run / "web").exists() else True


def test_the_checks_before_the_start_say_what_to_do(tmp_path: Path) -> None:
    """Port in use, no such address, unwritable and full disks, two at once."""
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        with pytest.raises(Conflict, match=r"Port \d+ of 127.0.0.1 is in use .* another port: ./hako up --port"):
            preflight.need_port("127.0.0.1", busy.getsockname()[1])
    with pytest.raises(BadInput, match=r"is not an address of this machine"):
        preflight.need_port("192.0.2.1", 8000)
    with pytest.raises(BadInput, match=r"is not an address: "):
        preflight.need_port("not an address", 8000)
    with pytest.raises(Failed, match=r"cannot be written.*--data DIR"):
        preflight.need_room(Path("/proc/nothing"))
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], check=True)
    try:
        with pytest.raises(Exhausted, match=r"is full: 0 MB are free"):
            preflight.need_room(small)
    finally:
        subprocess.run(["umount", small], check=True)
    lock = preflight.take_lock(tmp_path / "up.lock", "http://here/")
    with pytest.raises(Conflict, match=rf"running already, as process {os.getpid()}, at http://here/\."):
        preflight.take_lock(tmp_path / "up.lock", "http://there/")
    os.close(lock)
    os.close(preflight.take_lock(tmp_path / "up.lock", "http://there/"))


def test_a_machine_that_cannot_is_told_so_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the doctor calls bad ends the start, with the doctor's cure."""
    preflight.need_machine(Settings(data=tmp_path))
    monkeypatch.setattr(doctor, "judge", lambda facts: [doctor.Verdict("kernel", "bad", "Linux 4.4", "Use 5.10.")])
    with pytest.raises(Unsupported, match=r"Hako cannot work here\. Kernel: Linux 4\.4\. Use 5\.10\."):
        preflight.need_machine(Settings(data=tmp_path))


def test_the_address_is_one_a_person_can_open() -> None:
    """Listening everywhere is not an address to open; IPv6 wants brackets."""
    assert Address("0.0.0.0", 80).url == "http://127.0.0.1:80/"
    assert Address("::", 80).url == "http://[::1]:80/"
    assert Address("::1", 80).url == "http://[::1]:80/"
    assert Address("10.1.2.3", 80).url == "http://10.1.2.3:80/"


def test_an_engine_that_goes_away_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    """The client of a stopped engine says how to start it."""
    with EngineClient(tmp_path / "lab.sock", reconnect=False) as engine, pytest.raises(Disconnected, match=r"hako up"):
        engine.lab_list()
