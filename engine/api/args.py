"""The arguments of a call, taken out one by one and checked: what is missing, of the wrong type or too big is named.

Everything that comes over a socket is hostile until it went through here. Lengths are bounded so that an error message,
a log line or a path made from a name stays small.
"""

from __future__ import annotations

from typing import Any

from engine.errors import BadInput

NAME = 256


class Args:
    """The `args` map of one request."""

    def __init__(self, call: str, values: dict[str, Any]) -> None:
        self._call = call
        self._values = values

    def _get(self, name: str, kinds: tuple[type, ...], what: str) -> Any:
        value = self._values.get(name)
        if value is None:
            raise BadInput(f"{self._call} needs {name}: {what}.")
        # bool is an int to Python, but nobody means True by a number of rows.
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise BadInput(f"{name} of {self._call} is {type(value).__name__}, not {what}.")
        return value

    def has(self, name: str) -> bool:
        """Whether it was given, and is not null."""
        return self._values.get(name) is not None

    def text(self, name: str, default: str | None = None, limit: int = NAME) -> str:
        """Text of at most `limit` characters."""
        if default is not None and not self.has(name):
            return default
        value: str = self._get(name, (str,), "text")
        if len(value) > limit:
            raise BadInput(f"{name} of {self._call} has {len(value)} characters; at most {limit} are allowed.")
        return value

    def optional_text(self, name: str, limit: int = NAME) -> str | None:
        """Text, or None where it was not given."""
        return self.text(name, limit=limit) if self.has(name) else None

    def data(self, name: str, limit: int, default: bytes | None = None) -> bytes:
        """Bytes, at most `limit` of them. Text is taken as its UTF-8 bytes."""
        if default is not None and not self.has(name):
            return default
        value = self._get(name, (bytes, str), "bytes")
        value = value.encode(errors="surrogateescape") if isinstance(value, str) else value
        if len(value) > limit:
            raise BadInput(f"{name} of {self._call} has {len(value)} bytes; at most {limit} are allowed.")
        return bytes(value)

    def integer(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number in [low, high]."""
        if default is not None and not self.has(name):
            return default
        value: int = self._get(name, (int,), "a whole number")
        if not low <= value <= high:
            raise BadInput(f"{name} of {self._call} is {value}; it must be from {low} to {high}.")
        return value

    def optional_integer(self, name: str, low: int, high: int) -> int | None:
        """A whole number, or None where it was not given."""
        return self.integer(name, low, high) if self.has(name) else None

    def seconds(self, name: str, high: float, default: float | None = None) -> float:
        """A time above zero, in seconds."""
        if default is not None and not self.has(name):
            return default
        value = float(self._get(name, (int, float), "seconds"))
        if not 0 < value <= high:
            raise BadInput(f"{name} of {self._call} is {value}; it must be above 0 and at most {high} seconds.")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false."""
        return bool(self._get(name, (bool,), "true or false")) if self.has(name) else default

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """One of a few words."""
        value = self.text(name, default)
        if value not in choices:
            raise BadInput(f"{name} of {self._call} is {value!r}; it is one of {', '.join(choices)}.")
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """A map with names as keys; empty where it was not given."""
        if not self.has(name):
            return {}
        value: dict[str, Any] = self._get(name, (dict,), "a map")
        return value

    def items(self, name: str, kind: type, limit: int) -> list[Any]:
        """A list of at most `limit` values of one type."""
        value: list[Any] = self._get(name, (list,), "a list")
        if len(value) > limit:
            raise BadInput(f"{name} of {self._call} has {len(value)} entries; at most {limit} are allowed.")
        for item in value:
            if not isinstance(item, kind):
                raise BadInput(f"{name} of {self._call} holds {type(item).__name__}, not only {kind.__name__}.")
        return value
