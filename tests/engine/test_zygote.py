"""The zygote when things go wrong around it: every container lives by it, so nothing may end it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from engine.runtime import channel
from engine.runtime.process import StepFailed
from engine.runtime.zygote import Start, Zygote
from tests.engine.engines import Engine

pytestmark = pytest.mark.root


def test_a_program_killed_before_it_was_heard_of_fails_its_start(tmp_path: Path) -> None:
    """A start whose second process was killed and reaped before its number was read ends with an error, not a crash."""
    with subprocess.Popen(["true"]) as gone, subprocess.Popen(["sleep", "60"]) as first:
        gone.wait()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(str(tmp_path / "zygote.sock"))
            keeper = Zygote(listener, str(tmp_path))
            ours, theirs = channel.pair()
            ours.setblocking(False)
            start = Start({"key": "x"}, {}, ours)
            start.pid = start.first = first.pid
            start.pidfd = start.first_pidfd = os.pidfd_open(first.pid)
            keeper.starts[ours.fileno()] = start
            keeper.poll.register(ours)
            channel.send(theirs, {"op": "pid", "step": 4, "pid": gone.pid, "times": []})
            keeper._ready(ours.fileno())
            assert start.error is not None
            assert (start.error["step"], start.error["errno"]) == (4, errno.ECHILD)
            theirs.close()
            keeper._ready(ours.fileno())
            assert keeper.starts == {}


def test_a_status_that_cannot_be_written_is_told(own_engine: Engine) -> None:
    """Without a place for exit statuses (a full or cleared /run) they are still told, and the zygote goes on."""
    shutil.rmtree(own_engine.settings.run / "exits")
    assert own_engine.output("sh", "-c", "exit 5")[0] == 5
    assert own_engine.output("sh", "-c", "exit 6")[0] == 6


def test_words_it_does_not_know_do_not_end_it(own_engine: Engine) -> None:
    """A request that makes no sense is said in its log; the next one is answered."""
    assert own_engine.zygote._socket is not None
    words = {"key": "k", "clone_step": 0, "steps": []}
    for message in ({"op": "start"}, {"op": "start", "kinds": ["moon"], **words}):
        channel.send(own_engine.zygote._socket, message)
    assert own_engine.output("echo", "alive") == (0, "alive\n")


def test_the_machines_interpreter_cannot_be_overwritten(engine: Engine) -> None:
    """What a container could open by a link to /proc/self/exe lies on a read-only mount (CVE-2019-5736)."""
    exe = os.open(f"/proc/{engine._process.pid}/exe", os.O_PATH)
    try:
        assert os.fstatvfs(exe).f_flag & os.ST_RDONLY
        with pytest.raises(OSError, match=r"busy|Read-only"):
            os.close(os.open(f"/proc/self/fd/{exe}", os.O_WRONLY))
    finally:
        os.close(exe)


def test_an_image_that_runs_the_interpreter_gets_nothing(engine: Engine, tmp_path: Path) -> None:
    """A program that is a link or a script of /proc/self/exe fails; the machine's file is as it was."""
    exe = Path(f"/proc/{engine._process.pid}/exe")
    before = exe.read_bytes()
    (tmp_path / "link").symlink_to("/proc/self/exe")
    (tmp_path / "script").write_text("#!/proc/self/exe\n")
    (tmp_path / "script").chmod(0o755)
    for name in ("link", "script"):
        with contextlib.suppress(StepFailed):
            engine.output(f"/v/{name}", volumes=(f"{tmp_path}:/v",))
    assert exe.read_bytes() == before
