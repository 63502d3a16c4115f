"""Messages for an end that may read slowly: kept in order, sent as it reads, never waited for.

The zygote must not wait for a daemon, and a daemon that has just started asks for everything at once: with the
terminals of some hundred labs that is more than a socket's buffer holds (socket(7), SO_SNDBUF). A message is made when
it is sent and not when it is put in: what it is about, above all its descriptors, may be gone by then.
"""

from __future__ import annotations

import collections
import select
import socket
from collections.abc import Callable

from engine.runtime import channel

#: More than processes can be on a machine of ours; an end that lets this many wait does not read at all.
LIMIT = 16_384

#: Makes a message and its descriptors; None: there is nothing to say any more.
Maker = Callable[[], tuple[channel.Message, dict[str, int]] | None]


class Outbox:
    """What is still to be sent on a non-blocking socket.

    Args:
        sock: where to.
        watch: told what to poll the socket for: POLLIN, and POLLOUT while something waits (poll(2)).
    """

    def __init__(self, sock: socket.socket, watch: Callable[[int], object]) -> None:
        self._sock, self._watch = sock, watch
        self._waiting: collections.deque[Maker] = collections.deque()

    def put(self, make: Maker) -> None:
        """Send, at once if nothing else waits.

        Raises:
            OSError: the other end is gone, or does not read.
        """
        if len(self._waiting) >= LIMIT:
            raise OSError("the other end does not read")
        self._waiting.append(make)
        if len(self._waiting) == 1:
            self.flush()

    def flush(self) -> None:
        """Send as much as the socket takes; to be called when it takes something again.

        Raises:
            OSError: the other end is gone.
        """
        while self._waiting:
            made = self._waiting[0]()
            if made is not None:
                try:
                    channel.send(self._sock, *made)
                except BlockingIOError:
                    self._watch(select.POLLIN | select.POLLOUT)
                    return
            self._waiting.popleft()
        self._watch(select.POLLIN)
