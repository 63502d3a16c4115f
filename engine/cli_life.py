"""hako logs, start, stop: the life of a container that is there already, with docker(1)'s words and meanings.

Loaded by cli_run.py, whose parser and exit codes these share.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from engine.api.connection import Connection
from engine.errors import BadInput, EngineError

#: A call for more output comes back by itself before that (api/lasting.py).
LOGS_S = 60.0


def logs(engine: Connection, options: argparse.Namespace) -> int:
    """Print what a container said, each output to ours; with --follow go on until it ends."""
    offsets: dict[str, int] = {}
    while True:
        wanted = {"container": options.container, "from": offsets, "wait": options.follow}
        answer = engine.call("container.logs", wanted, timeout_s=LOGS_S)
        came = False
        for name, piece in answer["outputs"].items():
            offsets[name] = piece["offset"] + len(piece["data"])
            came = came or bool(piece["data"])
            stream = sys.stderr if name == "stderr" else sys.stdout
            stream.buffer.write(piece["data"])
            stream.flush()
        if not came and (answer["ended"] or not options.follow):
            return 0


def stop(engine: Connection, options: argparse.Namespace) -> int:
    """Ask containers to end; go on after one that is not there."""
    wanted = {"timeout_s": options.time, "signal": options.signal}

    def end(name: str) -> None:
        engine.call("container.stop", {"container": name, **wanted}, timeout_s=options.time + 30)

    return _each(options.containers, end)


def start(engine: Connection, options: argparse.Namespace) -> int:
    """Run containers again that have ended or were only created; one that runs is left alone."""
    if options.attach or options.interactive:
        return _start_attached(engine, options)
    failed: list[dict[str, Any]] = []

    def begin(name: str) -> None:
        if engine.call("container.inspect", {"container": name})["state"] not in ("running", "paused"):
            answer = engine.call("container.start", {"container": name, "attach": False})
            if "message" in answer:
                failed.append(answer)
                raise BadInput(answer["message"])

    status = _each(options.containers, begin)
    return int(failed[-1]["status"]) if failed else status


def _start_attached(engine: Connection, options: argparse.Namespace) -> int:
    from engine.cli_run import start_and_stay

    if len(options.containers) != 1:
        raise BadInput("Only one container can be attached to.", "Start the others without -a.")
    name = options.containers[0]
    options.tty = bool(engine.call("container.inspect", {"container": name})["config"]["process"]["terminal"])
    options.detach = False
    wanted = {"container": name, "interactive": options.interactive}
    return start_and_stay(engine, "container.start", wanted, options, name)


def _each(names: list[str], act: Any) -> int:
    """Do it to each, saying its name; 1 if any failed."""
    failed = 0
    for name in names:
        try:
            act(name)
        except EngineError as error:
            print(f"hako: {error}", file=sys.stderr)
            failed = 1
        else:
            print(name)
    return failed
