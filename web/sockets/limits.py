"""How much one page may ask: a token bucket per kind of event.

A page that behaves never meets these: they are several times what hands and scripts of ours produce. Flask-Limiter
does the same for HTTP but cannot see events inside a websocket. Pure: the clock is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Bucket:
    """Fills with `rate` tokens a second up to `size`; a request takes some or is refused."""

    rate: float
    size: float
    _tokens: float = -1.0
    _at: float = 0.0

    def take(self, now: float, cost: float = 1.0) -> bool:
        """Take `cost` tokens at the time `now` (seconds, monotonic); False when there are not so many."""
        if self._tokens < 0:
            self._tokens, self._at = self.size, now
        self._tokens = min(self.size, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if cost > self._tokens:
            return False
        self._tokens -= cost
        return True


#: Kind of event -> tokens a second, bucket size. `input_bytes` counts bytes, the others messages.
RATES: dict[str, tuple[float, float]] = {
    "input_bytes": (256 * 1024, 1024 * 1024),  # a paste of a megabyte at once, then a quarter a second
    "input": (500, 2000),
    "ack": (4000, 8000),  # 60 MB/s of output acknowledged every 16 KiB
    "resize": (20, 60),
    "attach": (10, 60),  # eight terminals again after a lost connection, with room
    "open": (5, 20),
    "type": (10, 40),
    "check": (4, 10),
    "solve": (1, 4),
    "other": (20, 60),
}


class Limits:
    """The buckets of one page."""

    def __init__(self) -> None:
        self._buckets = {kind: Bucket(rate, size) for kind, (rate, size) in RATES.items()}

    def allow(self, kind: str, now: float, cost: float = 1.0) -> bool:
        """Whether one more of this kind may pass."""
        return self._buckets[kind].take(now, cost)
