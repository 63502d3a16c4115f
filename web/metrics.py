"""What an operator can read at /metrics. Names and labels are documented in docs/; a test holds the two together.

One registry per application, not the library's global one: the tests make many applications in one process.
https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_ECHO_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_CALL_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """All metrics of one web process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        transferred = Counter(
            "lab_terminal_bytes", "Bytes carried, by direction (in: typed, out: shown).", ["direction"],
            registry=self.registry,
        )  # fmt: skip
        self.bytes_in = transferred.labels("in")
        self.bytes_out = transferred.labels("out")
        self.echo = Histogram(
            "lab_terminal_echo_seconds",
            "From bytes typed to the next output of the same terminal, without the network to the browser.",
            buckets=_ECHO_BUCKETS_S,
            registry=self.registry,
        )
        self.paused = Counter(
            "lab_terminal_paused", "Times a page was 34 KiB behind its terminal.", registry=self.registry
        )
        self.resets = Counter(
            "lab_terminal_resets", "Times a page had to begin a terminal afresh.", registry=self.registry
        )
        self.sockets = Gauge("lab_sockets", "Pages with an open websocket.", registry=self.registry)
        self.containers = Gauge("lab_containers", "Labs by state.", ["state"], registry=self.registry)
        self.calls = Histogram(
            "lab_engine_call_seconds", "Time the engine took to answer a call.", ["verb"],
            buckets=_CALL_BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self.checks = Counter("lab_checks", "Evaluations of a step's checks.", ["outcome"], registry=self.registry)

    def text(self) -> bytes:
        """All of it in the text format Prometheus reads."""
        return generate_latest(self.registry)
