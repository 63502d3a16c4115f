"""A stream of bytes that both sides know: a program in the lab writes it, the test makes the same again.

All 256 byte values in pieces of random size, a few hundred bytes every few milliseconds and now and then more than a
terminal's ring holds at once. The terminal is in raw mode, so what is written is what must arrive, byte for byte.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator

BEGIN = b"<<begin>>"
ENOUGH, TOTAL = "/tmp/enough", "/tmp/total"
BURST = 400_000  # the ring holds 262,144
#: Pieces between two bursts.
QUIET = 60

PROGRAM = """
import os, random, sys, termios, time, tty
{pieces}
before = termios.tcgetattr(1)
tty.setraw(1)
total = 0
os.write(1, b"{begin}")
for piece in pieces({seed}, {burst}, {quiet}):
    while piece:
        count = os.write(1, piece)
        total, piece = total + count, piece[count:]
    if os.path.exists("{enough}"):
        break
    time.sleep(0.004)
termios.tcsetattr(1, termios.TCSADRAIN, before)
open("{total}", "w").write(str(total))
"""


def pieces(seed: int, burst: int, quiet: int) -> Iterator[bytes]:
    """What is written, piece by piece, for ever."""
    chance = random.Random(seed)
    number = 0
    while True:
        number += 1
        yield chance.randbytes(burst if number % quiet == 0 else chance.randrange(1, 400))


def program(seed: int) -> str:
    """The program for the lab's python3; it ends when ENOUGH exists, and then writes how many bytes there were."""
    source = inspect.getsource(pieces).replace("Iterator[bytes]", "object")
    words = {"begin": BEGIN.decode(), "seed": seed, "burst": BURST, "quiet": QUIET, "enough": ENOUGH, "total": TOTAL}
    return PROGRAM.format(pieces=source, **words)


def expected(seed: int, total: int) -> bytes:
    """The first `total` bytes."""
    made = bytearray()
    for piece in pieces(seed, BURST, QUIET):
        made += piece
        if len(made) >= total:
            return bytes(made[:total])
    raise AssertionError("pieces() does not end")


def first_difference(one: bytes, other: bytes) -> int | None:
    """Offset of the first byte in which they differ; None where they are equal."""
    if one == other:
        return None
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low
