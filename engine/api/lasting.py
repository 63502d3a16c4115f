"""Two calls of `engine.sock` that may take long: wait for a container to stop, and for it to say more.

    container.stop {container, signal?, timeout_s?} -> null    TERM, then KILL after 10 s; as docker-stop(1)
    container.logs {container, from?, wait?} -> {outputs: {name: {offset, data}}, ended}

`logs` gives one piece of each output, from the offsets in `from` on; whoever wants all asks again with those after it
until it gets nothing, and with `wait` the answer comes when there is more, or nothing came for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterable
from typing import Any

from engine.api.args import Args
from engine.api.pump import Pump
from engine.errors import BadInput, Conflict
from engine.runtime.container import Container, Containers

STOP_S = 10
PIECE = 96 * 1024  # of each of two outputs, in a frame of 256 KiB
WAIT_S = 20.0
DAY_S = 86400
_OFFSET = 2**63 - 1
_ALIVE = ("starting", "running", "paused")


async def stop(containers: Containers, container: Container, args: Args) -> None:
    """Ask it to end, and end it when it does not; one that does not run is left alone."""
    number = args.integer("signal", 1, 64, default=signal.SIGTERM)
    timeout_s = args.integer("timeout_s", 0, DAY_S, default=STOP_S)
    if container.record.state == "paused":
        await containers.resume(container)
    for signum, patience_s in ((number, timeout_s), (signal.SIGKILL, STOP_S)):
        if container.record.state not in _ALIVE:
            return
        with contextlib.suppress(Conflict):  # it has just ended
            containers.signal(container, signum)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await asyncio.shield(container.ended)


async def logs(containers: Containers, container: Container, args: Args, pumps: Iterable[Pump]) -> dict[str, Any]:
    """A piece of what it said.

    Args:
        pumps: those of its outputs while it runs; they tell of more.
    """
    start = args.mapping("from")
    for offset in start.values():
        if not isinstance(offset, int) or not 0 <= offset <= _OFFSET:
            raise BadInput("container.logs: `from` holds a number for each output.")
    answer = _look(containers, container, start)
    if args.flag("wait") and not answer["ended"] and not any(each["data"] for each in answer["outputs"].values()):
        await _more(container, pumps)
        answer = _look(containers, container, start)
    return answer


def _look(containers: Containers, container: Container, start: dict[str, int]) -> dict[str, Any]:
    found = containers.output(container, start, PIECE)
    outputs = {name: {"offset": offset, "data": data} for name, (offset, data) in found.items()}
    return {"outputs": outputs, "ended": container.record.state not in _ALIVE}


async def _more(container: Container, pumps: Iterable[Pump]) -> None:
    came = asyncio.Event()
    stops = [pump.subscribe(came.set) for pump in pumps]

    def ended(_: asyncio.Future[int]) -> None:
        came.set()

    container.ended.add_done_callback(ended)
    try:
        async with asyncio.timeout(WAIT_S):
            await came.wait()
    except TimeoutError:
        pass
    finally:
        container.ended.remove_done_callback(ended)
        for unsubscribe in stops:
            unsubscribe()
