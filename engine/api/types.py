"""What travels on the sockets, as typed values: one frozen dataclass per thing the engine tells about.

`from_wire` takes the map a reply or event holds and forgives fields it does not know, so that a newer engine does not
break an older client. Observations stay plain maps: the page passes them on as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Self


@dataclass(frozen=True)
class Wire:
    """Base: how a map becomes a value."""

    @classmethod
    def from_wire(cls, value: dict[str, Any]) -> Self:
        """Build from the map on the wire; unknown fields are left out, missing ones keep their default."""
        return cls(**{f.name: value[f.name] for f in fields(cls) if f.name in value})


@dataclass(frozen=True)
class EngineInfo(Wire):
    """What the engine is and what this machine can do."""

    version: str = ""
    kernel: str = ""
    cgroup: str = ""  # v1, v2 or hybrid
    storage_driver: str = ""
    base_images: dict[str, Any] = field(default_factory=dict)
    namespaces: list[str] = field(default_factory=list)
    abilities: list[str] = field(default_factory=list)  # of the kernel, that a step of a lesson may need
    limits: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Lab(Wire):
    """A lab host and its life. Times are unix seconds."""

    id: str
    owner: str = ""
    state: str = "creating"  # creating, ready, paused, ended
    reason: str = ""  # why it ended, or why it could not be made
    created_at: float = 0.0
    idle_ends_at: float = 0.0
    ends_at: float = 0.0
    limits: dict[str, Any] = field(default_factory=dict)
    progress: str | None = None


@dataclass(frozen=True)
class TerminalInfo(Wire):
    """A terminal of a lab: `start` is the oldest offset still kept, `offset` the one after the newest byte."""

    terminal: str
    name: str = ""
    offset: int = 0
    start: int = 0
    rows: int = 24
    cols: int = 80
    exited: int | None = None  # exit status, None while the shell lives


@dataclass(frozen=True)
class Attached(Wire):
    """A stream of output that begins at `offset`; `reset` says that what was asked for is gone."""

    stream: int
    offset: int = 0
    reset: bool = False
    end: int = 0


@dataclass(frozen=True)
class Completed(Wire):
    """A command that ran to its end in a lab. A status above 128 is 128 plus the signal."""

    status: int
    stdout: bytes = b""
    stderr: bytes = b""


@dataclass(frozen=True)
class CheckResult(Wire):
    """The verdict of one predicate: `code` is a stable name for what was seen, `params` its details."""

    ok: bool
    code: str = ""
    params: dict[str, Any] = field(default_factory=dict)
