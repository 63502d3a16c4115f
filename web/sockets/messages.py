"""What pages may send, checked: a function takes what arrived and gives a value of the right type, or BadMessage.

Nothing that came over a websocket is used before it has passed here. Bounds are the contract's: names as in lesson
files, sizes as a terminal can have them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from web.i18n import LANGS
from web.trouble import BadMessage

TERMINAL = re.compile(r"[a-z][a-z0-9-]{0,31}")
WORD = re.compile(r"[a-z][a-z0-9-]{0,63}")
KEY = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
ROWS = (2, 500)
COLS = (2, 1000)
OFFSET_MAX = 2**53 - 1  # the last integer a browser counts exactly


def fields(message: object) -> Mapping[str, Any]:
    """The one argument most events have: a map."""
    if not isinstance(message, Mapping):
        raise BadMessage("bad_message", what="map")
    return message


def terminal(value: object) -> str:
    """A terminal's name."""
    return _match(TERMINAL, value, "terminal")


def word(message: Mapping[str, Any], name: str) -> str:
    """An id of a lesson or step."""
    return _match(WORD, message.get(name), name)


def key(value: object) -> str:
    """What makes typing happen once."""
    return _match(KEY, value, "key")


def number(value: object, low: int, high: int, name: str) -> int:
    """A whole number within bounds."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadMessage("bad_message", what=name)
    return value


def offset(value: object) -> int:
    """A byte offset."""
    return number(value, 0, OFFSET_MAX, "offset")


def size(message: Mapping[str, Any]) -> tuple[int, int]:
    """Rows and columns, forced into what a terminal can be: a page that is being folded away measures 0."""
    rows, cols = message.get("rows"), message.get("cols")
    return _clamp(rows, ROWS, "rows"), _clamp(cols, COLS, "cols")


def typed(value: object, limit: int) -> bytes:
    """Bytes or text to type, not longer than `limit` bytes."""
    data = value.encode("utf-8", "replace") if isinstance(value, str) else value
    if not isinstance(data, bytes | bytearray):
        raise BadMessage("bad_message", what="data")
    if len(data) > limit:
        raise BadMessage("input_too_long", size=len(data), limit=limit)
    return bytes(data)


def lang(value: object, default: str) -> str:
    """A language we speak."""
    return str(value) if value in LANGS else default


def _match(pattern: re.Pattern[str], value: object, name: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise BadMessage("bad_message", what=name)
    return value


def _clamp(value: object, bounds: tuple[int, int], name: str) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadMessage("bad_message", what=name)
    return max(bounds[0], min(bounds[1], value))
