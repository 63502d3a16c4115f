"""A stock of things made ahead of need, here of network namespaces, so that a start need not wait for one.

Making a network namespace and plugging it in takes about 1.5 ms, half of a container's start. `take` gives a ready one
and lets the stock be refilled in the background: at once when it runs low, else after a moment of quiet, so that
refilling does not slow down the start it was taken for. Knows nothing of networks; see network.py for what is stocked.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

from engine.errors import EngineError

T = TypeVar("T")

log = structlog.get_logger(__name__)

# Longer than a container's start takes, shorter than a person needs to ask for the next one.
QUIET_S = 0.1
# After a failure to make one: first and longest pause before the next try.
RETRY_S, RETRY_MAX_S = 0.5, 30.0


class Pool(Generic[T]):
    """A stock.

    Args:
        make: makes one; raises OSError or EngineError.
        size: how many are kept ready; 0 keeps none and every `take` makes its own.
        quiet_s: how long nothing must have been taken before a stock that is not low is refilled.
    """

    def __init__(self, make: Callable[[], Awaitable[T]], size: int, *, quiet_s: float = QUIET_S) -> None:
        self._make = make
        self._size = size
        self._quiet_s = quiet_s
        self._ready: deque[T] = deque()
        self._taken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._ready)

    def start(self) -> None:
        """Begin to fill the stock."""
        if self._size and self._task is None:
            self._task = asyncio.create_task(self._refill(), name="pool")

    async def take(self) -> T:
        """A ready one, or, when there is none, one made now."""
        if self._ready:
            item = self._ready.popleft()
            self._taken.set()
            return item
        return await self._make()

    async def close(self) -> list[T]:
        """Stop refilling; what is still in stock is the caller's to destroy."""
        self._closed = True
        if self._task is not None:
            # Not cancelled: an item that is being made would be lost. The loop looks at `_closed` after each one.
            self._taken.set()
            await self._task
            self._task = None
        left = list(self._ready)
        self._ready.clear()
        return left

    async def _refill(self) -> None:
        pause = RETRY_S
        while not self._closed:
            if len(self._ready) >= self._size or (self._ready and await self._busy()):
                await self._wait()
                continue
            try:
                self._ready.append(await self._make())
                pause = RETRY_S
            except (OSError, EngineError) as error:
                log.warning("pool_refill_failed", error=str(error), retry_s=pause)
                await self._wait(pause)
                pause = min(2 * pause, RETRY_MAX_S)

    async def _busy(self) -> bool:
        """Whether, with the stock at least half full, something is taken within the time of quiet."""
        if 2 * len(self._ready) < self._size:
            return False
        self._taken.clear()
        try:
            async with asyncio.timeout(self._quiet_s):
                await self._taken.wait()
        except TimeoutError:
            return False
        return True

    async def _wait(self, timeout_s: float | None = None) -> None:
        """Until something is taken, or the pool is closed, or the time is over."""
        self._taken.clear()
        if self._closed:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._taken.wait()
        except TimeoutError:
            pass
