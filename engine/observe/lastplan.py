"""The plan of the last `hako run` in a lab, from the file its own engine leaves there (runtime/lastplan.py).

The file is in the learner's hands. It is found by openat2(2) inside his root without following links, never waited for,
read only when it is another than last time and not longer than MAX_BYTES; what is in it must have the right shape, and
sentences are made here from known words. A file that is none of this is as good as none: the learner can fool himself,
nobody else. A FUSE file system of his answers EACCES to a process outside his user namespace at once.
"""

from __future__ import annotations

import json
import os
import stat
from typing import Any

from engine.linux import syscalls
from engine.observe.model import text
from engine.runtime import words
from engine.runtime.lastplan import FILE

PLACE = f"/var/lib/lab/hako/{FILE}"
MAX_BYTES = 32 * 1024  # told in two languages it must still fit a frame
MAX_STEPS = 128
MAX_US = 60_000_000

_WHERE = ("engine", "zygote", "child")
_Mark = tuple[int, int, int]


class PlanReader:
    """Reads it when it changed.

    Attributes:
        last: for JSON: {name, image, argv, at, failed, steps}, each step {kind, where, man, text: {en, ja}, kinds,
            at_us, took_us}; None as long as nothing was run.
    """

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._mark: _Mark | None = None
        self.last: dict[str, Any] | None = None

    def read(self, init_pid: int) -> None:
        """Look at the file. Raises nothing: what cannot be read is not there."""
        try:
            root = os.open(f"{self._proc}/{init_pid}/root", os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return
        try:
            resolve = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
            fd = syscalls.openat2(root, PLACE, flags, resolve=resolve)
        except OSError:
            self._mark, self.last = None, None
            return
        finally:
            os.close(root)
        try:
            self._read(fd)
        finally:
            os.close(fd)

    def _read(self, fd: int) -> None:
        found = os.fstat(fd)
        mark = (found.st_ino, found.st_mtime_ns, found.st_size)
        if mark == self._mark:
            return
        self._mark, self.last = mark, None
        if not stat.S_ISREG(found.st_mode) or not 0 < found.st_size <= MAX_BYTES:
            return
        try:
            self.last = parse(os.read(fd, MAX_BYTES), found.st_mtime)
        except OSError:
            return


def parse(raw: bytes, at: float) -> dict[str, Any] | None:
    """The file's content as the page gets it; None where it is anything else.

    Args:
        at: when it was written, in seconds since the epoch.
    """
    try:
        told = json.loads(raw)
        steps = [_step(each) for each in told["steps"][:MAX_STEPS]]
        failed = told.get("failed")
        return {
            "name": _short(told["name"]),
            "image": _short(told["image"]),
            "argv": [_short(word) for word in told["argv"][:8]],
            "at": at,
            "failed": failed if isinstance(failed, int) and 0 <= failed < len(steps) else None,
            "steps": steps,
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _step(told: dict[str, Any]) -> dict[str, Any]:
    kind = told["kind"]
    word = words.WORDS[kind]
    if told["where"] not in _WHERE:
        raise ValueError(told["where"])
    kept = {name: _argument(value) for name, value in words.fields(kind, told["args"]).items()}
    kinds = kept.get("kinds", [])
    return {
        "kind": kind,
        "where": told["where"],
        "man": word.man,
        "text": {language: words.sentence(kind, kept, language) for language in ("en", "ja")},
        "kinds": kinds if isinstance(kinds, list) else [],
        "at_us": _time(told.get("at_us")),
        "took_us": _time(told.get("took_us")),
    }


def _argument(value: Any) -> Any:
    return [_short(each) for each in value[:16]] if isinstance(value, list) else _short(value)


def _time(value: Any) -> float | None:
    """None for a step that was not taken, or not timed."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_US:
        return None
    return value


def _short(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    return text(value[:200])
