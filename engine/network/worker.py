"""A thread with a netlink socket: where the daemon's event loop has its blocking network calls done, one at a time.

The kernel changes the network under one lock; a request can wait behind somebody else's for tens of milliseconds, and
the event loop must not wait with it. Two workers do: one for what a start waits for, one for deletions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from engine.linux import syscalls
from engine.linux.rtnetlink import Route

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    """One thread, one socket.

    Args:
        name: of the thread.
        netns: an fd on the network namespace to work in instead of the caller's: a host of their own for the tests.
            It must stay open until the first piece of work was done.
    """

    def __init__(self, name: str, netns: int | None = None) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._netns = netns
        self._route: Route | None = None

    async def run(self, work: Callable[Concatenate[Route, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Have a function called with the socket and these arguments; what was asked for earlier is done before."""
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, lambda: work(self._socket(), *args, **kwargs)
        )

    async def close(self) -> None:
        """Finish what was asked for, close the socket, end the thread."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._hang_up)
        self._executor.shutdown()

    def _socket(self) -> Route:
        if self._route is None:
            if self._netns is not None:
                syscalls.setns(self._netns, syscalls.CLONE_NEWNET)
            self._route = Route()
        return self._route

    def _hang_up(self) -> None:
        if self._route is not None:
            self._route.close()
            self._route = None
