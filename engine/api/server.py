"""A unix socket that serves calls: `lab.sock` and `engine.sock` (unix(7), SO_PEERCRED).

It listens, says who may connect, and knows its peers. What a connection does: `peer.py`; the calls: `lab.py` and
`engine.py`.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from pathlib import Path

import structlog

from engine.api import wire
from engine.api.peer import Handler, Peer
from engine.errors import BadInput, Conflict, EngineError

log = structlog.get_logger(__name__)

CONNECTIONS = 64
_TURNS = 5


class Server:
    """One listening unix socket and its peers.

    Args:
        path: where.
        handlers: the calls, by name.
        mode: of the socket's file.
        gid: the group that may connect; None leaves it to root.
        root_only: refuse every peer that is not root, whatever the file's mode became.
        listener: a listening socket that was handed to us (sd_listen_fds(3)); its file is whose it was.
    """

    def __init__(
        self,
        path: Path,
        handlers: Mapping[str, Handler],
        *,
        mode: int,
        gid: int | None = None,
        root_only: bool = False,
        listener: socket.socket | None = None,
    ) -> None:
        self._path = path
        self._handlers = handlers
        self._mode = mode
        self._gid = gid
        self._root_only = root_only
        self._listener = listener
        self._server: asyncio.Server | None = None
        self.peers: set[Peer] = set()

    async def start(self) -> None:
        """Listen.

        Raises:
            Conflict: another engine listens there.
        """
        sock = self._listener or _bind(self._path, self._mode, self._gid)
        self._server = await asyncio.get_running_loop().create_unix_server(lambda: Peer(self), sock=sock)

    async def leave(self) -> bool:
        """Listen no more if nobody is here; else go on, and False. Only with a listener that was handed to us.

        Whoever comes to it from now on waits in its queue for the next engine. Who was let in just before is a peer
        only some turns of the loop later, and must not be hung up on: to see that the queue is not empty, accept(2),
        making the transport and telling the protocol take one each, and a closed server makes no transport any more.
        """
        assert self._listener is not None and self._server is not None
        kept = self._listener.dup()
        asyncio.get_running_loop().remove_reader(self._listener)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        self._server.close()
        if not self.peers:
            self._server = None
            kept.close()
            return True
        self._listener = kept
        await self.start()
        return False

    async def stop(self) -> None:
        """Listen no more, hang up, take the socket's file away."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for peer in list(self.peers):
            peer.close()
        if self._listener is None:
            self._path.unlink(missing_ok=True)

    def handler(self, call: str) -> Handler:
        """The handler of a call.

        Raises:
            BadInput: there is none.
        """
        handler = self._handlers.get(call)
        if handler is None:
            family = call.split(".")[0]
            known = [name for name in self._handlers if name.startswith(family + ".")] or sorted(
                {name.split(".")[0] + ".…" for name in self._handlers}
            )
            raise BadInput(f"There is no call {call[:64]!r} on {self._path.name}.", f"There are: {', '.join(known)}.")
        return handler

    def admit(self, peer: Peer) -> None:
        """Take a new peer in, or tell it why not and hang up."""
        self.peers.add(peer)
        if self._server is None:  # it was in the queue of listen(2) when we stopped
            peer.close()
            return
        if self._root_only and peer.credentials.uid != 0:
            problem: EngineError = BadInput("This socket is for root.", "Use lab.sock, or sudo.")
        elif len(self.peers) > CONNECTIONS:
            problem = Conflict(f"{CONNECTIONS} clients are connected to {self._path.name}; no more are taken.", "")
        else:
            return
        log.warning("peer_refused", socket=self._path.name, why=problem.message, uid=peer.credentials.uid)
        peer.send(wire.failure(None, problem))
        peer.close()

    def forget(self, peer: Peer) -> None:
        """A peer is gone."""
        self.peers.discard(peer)

    def tell_all(self, subject: tuple[str, ...], message: wire.Message) -> None:
        """News for every peer."""
        for peer in self.peers:
            peer.tell_news(subject, message)


def _bind(path: Path, mode: int, gid: int | None) -> socket.socket:
    """A listening socket with the right owner and mode from its first moment on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # bind(2) makes the file: nobody but root may connect before chown and chmod
    try:
        sock.bind(str(path))
    finally:
        os.umask(before)
    if gid is not None:
        os.chown(path, -1, gid)
    os.chmod(path, mode)
    sock.listen(128)
    return sock


def _clear_stale(path: Path) -> None:
    """Take away the socket of an engine that died; never that of one that lives."""
    if not path.exists():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        except OSError as error:
            raise Conflict(f"{path} is in the way: {error.strerror}.", "Take it away and start again.") from error
        else:
            raise Conflict(f"An engine listens on {path} already.", "Stop it first, or use another HAKO_RUN.")
