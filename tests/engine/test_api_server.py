"""The socket server and the threaded client against each other, over real unix sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.api import wire
from engine.api.args import Args
from engine.api.connection import Connection, Disconnected
from engine.api.peer import CALLS, HIGH_WATER, Handler, Peer, abandonable
from engine.api.server import Server
from engine.errors import BadInput, Conflict, Failed, NotFound
from tests.engine.engines import wait_for


@contextlib.contextmanager
def serving(path: Path, handlers: Mapping[str, Handler], **options: Any) -> Iterator[tuple[Server, Callable[..., Any]]]:
    """A server on a loop in a thread; gives it and a function that runs a call on that loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = Server(path, handlers, mode=0o600, **options)

    def on_loop(work: Callable[[], Any]) -> Any:
        async def run() -> Any:
            value = work()
            return await value if asyncio.iscoroutine(value) else value

        return asyncio.run_coroutine_threadsafe(run(), loop).result(10)

    try:
        on_loop(server.start)
        yield server, on_loop
        on_loop(server.stop)
        until(lambda: on_loop(lambda: not server.peers and len(asyncio.all_tasks()) == 1))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something is so; fail when it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.005)


async def _slow(peer: Peer, args: Args) -> str:
    await asyncio.sleep(args.seconds("for", 60))
    return "slept"


def _broken(peer: Peer, args: Args) -> None:
    raise ZeroDivisionError("a fault")


def _missing(peer: Peer, args: Args) -> None:
    raise NotFound(f"No lab {args.text('lab')}.", "List them.")


HANDLERS: dict[str, Handler] = {
    "test.echo": lambda peer, args: args.data("data", 200_000),
    "test.slow": abandonable(_slow),
    "test.broken": _broken,
    "lab.get": _missing,
}


def test_a_call_gets_its_answer(tmp_path: Path) -> None:
    """From any number of threads at once, each its own."""
    with serving(tmp_path / "s", HANDLERS), Connection(tmp_path / "s") as client:
        got: dict[int, bytes] = {}

        def ask(number: int) -> None:
            for _ in range(20):
                got[number] = client.call("test.echo", {"data": b"%d" % number})

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got == {n: b"%d" % n for n in range(16)}


def test_errors_cross_the_wire_with_their_class_and_the_connection_lives_on(tmp_path: Path) -> None:
    """Unknown call, missing argument, wrong type, the handler's own error, a fault of ours: each is an answer."""
    with serving(tmp_path / "s", HANDLERS), Connection(tmp_path / "s") as client:
        with pytest.raises(BadInput, match=r"no call 'lab.gett'.*There are: lab.get"):
            client.call("lab.gett")
        with pytest.raises(BadInput, match=r"test.echo needs data"):
            client.call("test.echo")
        with pytest.raises(BadInput, match=r"data of test.echo is int, not bytes"):
            client.call("test.echo", {"data": 7})
        with pytest.raises(NotFound, match=r"No lab x\. List them\."):
            client.call("lab.get", {"lab": "x"})
        with pytest.raises(Failed, match="fault of the engine: ZeroDivisionError"):
            client.call("test.broken")
        assert client.call("test.echo", {"data": b"still here"}) == b"still here"


def test_a_slow_call_holds_up_no_other(tmp_path: Path) -> None:
    """A coroutine is overtaken by what came after it."""
    with serving(tmp_path / "s", HANDLERS), Connection(tmp_path / "s") as client:
        slow = threading.Thread(target=lambda: client.call("test.slow", {"for": 0.5}))
        slow.start()
        assert client.call("test.echo", {"data": b"x"}) == b"x"
        assert slow.is_alive()
        slow.join()


def test_hostile_bytes_get_an_error_event_and_the_next_request_its_answer(tmp_path: Path) -> None:
    """HTTP, junk, a huge announced frame: the peer hears what is wrong; a good frame behind it works."""
    with serving(tmp_path / "s", HANDLERS), socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(10)
        raw.connect(str(tmp_path / "s"))
        raw.sendall(b"\x00\x00\x00\x01\xc1" + (300_000).to_bytes(4, "big") + b"x" * 300_000)
        raw.sendall(wire.encode(wire.request("test.echo", {"data": b"ok"}, 1)))
        decoder, got = wire.Decoder(), []
        while len(got) < 3:
            got += decoder.feed(raw.recv(65536))
        assert [message.get("event") for message in got] == ["error", "error", None]
        assert "is not msgpack" in got[0]["error"]["message"]
        assert "announces 300000 bytes" in got[1]["error"]["message"]
        assert got[2] == {"id": 1, "ok": b"ok"}


def test_a_client_that_does_not_read_grows_no_memory_and_stalls_nobody(tmp_path: Path) -> None:
    """It asks for a gigabyte and reads nothing: the server stops reading it, others are served as ever."""
    with serving(tmp_path / "s", HANDLERS) as (server, on_loop), socket.socket(socket.AF_UNIX) as greedy:
        greedy.connect(str(tmp_path / "s"))
        greedy.setblocking(False)
        frame = wire.encode(wire.request("test.echo", {"data": b"x" * 100_000}, 1))
        sent, stuck_since, before = 0, None, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with Connection(tmp_path / "s") as client:
            rest = memoryview(frame)
            while stuck_since is None or time.monotonic() - stuck_since < 0.3:
                try:
                    rest = rest[greedy.send(rest) :] or memoryview(frame)
                    sent, stuck_since = sent + 1, None
                except BlockingIOError:
                    stuck_since = stuck_since or time.monotonic()
                assert client.call("test.echo", {"data": b"y"}) == b"y"
                assert sent < 2000, "the server never stopped reading"
        waiting = on_loop(lambda: max(peer._transport.get_write_buffer_size() for peer in server.peers))  # type: ignore[union-attr]
        assert waiting <= HIGH_WATER + 2 * len(frame)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


def test_calls_at_once_are_bounded(tmp_path: Path) -> None:
    """A thousand slow calls on one connection run in turns of at most CALLS."""
    running, most = 0, 0
    go_on = threading.Event()

    async def count(peer: Peer, args: Args) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.to_thread(go_on.wait, 10)
        running -= 1

    with serving(tmp_path / "s", {"test.count": count}), socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(10)
        raw.connect(str(tmp_path / "s"))
        # In one piece, which the socket takes whole: it is not read any further while so many run.
        raw.sendall(b"".join(wire.encode(wire.request("test.count", {}, number)) for number in range(1000)))
        wait_for(lambda: running == CALLS)
        go_on.set()
        decoder, answered = wire.Decoder(), 0
        while answered < 1000:
            answered += len(decoder.feed(raw.recv(65536)))
        assert most == CALLS


def test_work_goes_on_when_its_asker_goes_away_but_mere_waiting_does_not(tmp_path: Path) -> None:
    """A lab must not be left half-made; who waits for nobody ends."""
    ends: list[str] = []

    async def work(peer: Peer, args: Args) -> None:
        try:
            await asyncio.sleep(0.2)
            ends.append("worked")
        except asyncio.CancelledError:
            ends.append("work cancelled")
            raise

    async def wait(peer: Peer, args: Args) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ends.append("waiting cancelled")
            raise

    with serving(tmp_path / "s", {"test.work": work, "test.wait": abandonable(wait)}) as (server, _):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(tmp_path / "s"))
            for number, call in enumerate(("test.work", "test.wait", "test.none")):
                raw.sendall(wire.encode(wire.request(call, {}, number)))
            raw.recv(65536)  # the answer to the last: the others run
        until(lambda: len(ends) == 2)
        assert ends == ["waiting cancelled", "worked"]
        assert not server.peers


def test_news_for_a_slow_reader_are_the_newest_word_on_each_subject(tmp_path: Path) -> None:
    """Ten thousand states of one lab become a few, the last of them the last."""
    with serving(tmp_path / "s", HANDLERS) as (server, on_loop), socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(10)
        raw.connect(str(tmp_path / "s"))
        until(lambda: len(server.peers) == 1)

        def flood() -> None:
            for number in range(10_000):
                server.tell_all(("lab", "a"), wire.event("lab.state", number=number, filler=b"x" * 1000))

        on_loop(flood)
        decoder, numbers = wire.Decoder(), []
        while not numbers or numbers[-1] != 9_999:
            numbers += [message["number"] for message in decoder.feed(raw.recv(65536))]  # type: ignore[index]
        assert len(numbers) < 2_000
        assert numbers == sorted(numbers)


def test_the_client_comes_back_by_itself_and_tells(tmp_path: Path) -> None:
    """Engine gone: calls fail or wait, listeners hear it; engine back: the same client works again."""
    events: list[str] = []
    client = Connection(tmp_path / "s", timeout_s=10)
    client.on_event(lambda event: events.append(event["event"]))
    with client:
        with serving(tmp_path / "s", HANDLERS):
            assert client.call("test.echo", {"data": b"1"}) == b"1"
            asleep: list[BaseException] = []

            def sleep() -> None:
                with pytest.raises(Disconnected, match=r"broke during test.slow") as caught:
                    client.call("test.slow", {"for": 50})
                asleep.append(caught.value)

            thread = threading.Thread(target=sleep)
            thread.start()
            assert client.call("test.echo", {"data": b"2"}) == b"2"
        thread.join(10)
        assert asleep
        until(lambda: not client.connected)
        with pytest.raises(Disconnected, match="Start it with `hako up`"):
            client.tell("test.echo", {"data": b"3"})
        with serving(tmp_path / "s", HANDLERS):
            assert client.call("test.echo", {"data": b"4"}, again=True) == b"4"
        until(lambda: not client.connected)
    assert events == ["connected", "disconnected", "connected", "disconnected"]


def test_without_an_engine_a_call_says_so(tmp_path: Path) -> None:
    """The command line does not wait for one to appear."""
    with Connection(tmp_path / "s", reconnect=False) as client:
        with pytest.raises(Disconnected, match=r"does not answer on .*/s: No such file or directory\. Start it"):
            client.call("test.echo")


def test_a_listener_that_calls_or_fails_harms_nobody(tmp_path: Path) -> None:
    """Calling from the reader thread would wait for itself: it is refused, logged, and the reader goes on."""
    with serving(tmp_path / "s", HANDLERS) as (server, on_loop), Connection(tmp_path / "s") as client:
        heard: list[str] = []
        client.on_event(lambda event: client.call("test.echo", {"data": b""}))
        client.on_event(lambda event: heard.append(event["event"]))
        client.call("test.echo", {"data": b"x"})
        on_loop(lambda: server.tell_all(("a",), wire.event("ping")))
        until(lambda: "ping" in heard)


def test_on_reply_is_told_before_the_event_behind_the_reply(tmp_path: Path) -> None:
    """Who attaches a stream has it in the books before its first byte."""

    def attach(peer: Peer, args: Args) -> int:
        asyncio.get_running_loop().call_soon(peer.send, wire.event("out"))
        return 7

    order: list[Any] = []
    with serving(tmp_path / "s", {"test.attach": attach}), Connection(tmp_path / "s") as client:
        # Its own "connected" may have been told before we listened.
        client.on_event(lambda event: order.append(event["event"]) if event["event"] == "out" else None)
        for _ in range(50):
            client.call("test.attach", on_reply=order.append)
        until(lambda: len(order) == 100)
    assert order == [7, "out"] * 50


def test_the_socket_is_closed_to_others_and_a_stale_one_is_replaced(tmp_path: Path) -> None:
    """Mode from the first moment; a second engine is refused; a dead engine's file is not in the way."""
    path = tmp_path / "s"
    with serving(path, HANDLERS):
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(Conflict, match=r"listens on .* already"):
            with serving(path, HANDLERS):
                pass
        # asyncio loses a connection that is being accepted while its server closes; this one comes behind the probe.
        with Connection(path) as client:
            assert client.call("test.echo", {"data": b"x"}) == b"x"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    with serving(path, HANDLERS), Connection(path) as client:
        assert client.call("test.echo", {"data": b"x"}) == b"x"
    assert not path.exists()


@pytest.mark.root
def test_engine_socket_refuses_everybody_but_root_whatever_the_mode() -> None:
    """SO_PEERCRED and not only the file's mode: a chmod by mistake opens nothing."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, serving(Path(folder) / "s", HANDLERS, root_only=True):
        os.chmod(folder, 0o755)
        os.chmod(f"{folder}/s", 0o777)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setuid(65534)
                with socket.socket(socket.AF_UNIX) as raw:
                    raw.settimeout(10)
                    raw.connect(f"{folder}/s")
                    os.write(writing, raw.recv(65536))
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as answer:
            (message,) = wire.Decoder().feed(answer.read())
        os.waitpid(child, 0)
        assert isinstance(message, dict)
        assert message["error"]["message"] == "This socket is for root."
