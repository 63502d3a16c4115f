"""An engine that ends because nobody needs it hangs up on nobody, in whatever moment somebody comes."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from engine.api import wire
from engine.api.server import Server

HANDLERS = {"hello": lambda peer, args: "there"}


def _answer(client: socket.socket) -> bytes:
    """Ask, and read what comes back; nothing, if hung up on."""
    client.sendall(wire.encode(wire.request("hello", {}, 1)))
    return client.recv(65536)


@pytest.mark.parametrize("turns", range(8))
def test_who_comes_while_it_leaves_is_served(tmp_path: Path, turns: int) -> None:
    """Whether let in so many turns of the loop ago or still waiting, it gets its answer: of this one or of the next."""

    async def story() -> bool:
        path = tmp_path / "sock"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        listener.setblocking(False)
        queue = listener.dup()
        server = Server(path, HANDLERS, mode=0o600, listener=listener)
        await server.start()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(path))
            for _ in range(turns):
                await asyncio.sleep(0)
            left = await server.leave()
            answering = Server(path, HANDLERS, mode=0o600, listener=queue) if left else server
            if left:
                await answering.start()
            assert b"there" in await asyncio.to_thread(_answer, client)
        await answering.stop()
        async with asyncio.timeout(10):
            while answering.peers:
                await asyncio.sleep(0)
        queue.close()
        return left

    left = asyncio.run(story())
    if turns in (0, 7):
        assert left == (turns == 0)
