"""What can go wrong in the engine, as one small tree.

    EngineError
    ├── BadInput          the caller's words are wrong: unknown option, hostile name, message too long
    ├── NotFound          no such container, image, lab, terminal
    ├── Conflict          it exists already, or its state forbids the call
    ├── Exhausted         a bound was reached: labs, terminals, disk, ids
    ├── Unsupported       this kernel or machine cannot do it
    └── Failed            a step did not work: names the call, what was seen, what to do

Each carries a message for people and a hint with the next thing to try. `kind` is the word that travels on the wire
(`api/`), so a client can rebuild the same class. This module does no logging and knows no transport.
"""

from __future__ import annotations


class EngineError(Exception):
    """Base of the tree.

    Args:
        message: one sentence: the object, the call, what was seen.
        hint: one sentence: what to do next; empty where nothing helps.
    """

    kind = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class BadInput(EngineError):
    kind = "bad_input"


class NotFound(EngineError):
    kind = "not_found"


class Conflict(EngineError):
    kind = "conflict"


class Exhausted(EngineError):
    kind = "exhausted"


class Unsupported(EngineError):
    kind = "unsupported"


class Failed(EngineError):
    kind = "failed"


_BY_KIND: dict[str, type[EngineError]] = {
    cls.kind: cls for cls in (EngineError, BadInput, NotFound, Conflict, Exhausted, Unsupported, Failed)
}


def from_kind(kind: str, message: str, hint: str = "") -> EngineError:
    """Rebuild an error that travelled over a socket; an unknown kind becomes the base class."""
    return _BY_KIND.get(kind, EngineError)(message, hint)
