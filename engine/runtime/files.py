"""The files that belong to a container and not to its image, and what a person has shown in it: volumes.

The engine's three, /etc/hostname, /etc/hosts and /etc/resolv.conf, are written to the container's directory and bound
over the image's. What a plan's child steps bind is opened here, in the engine, by path on its machine; the child gets
detached mounts. See hosts(5), resolv.conf(5), open_tree(2).
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from engine.errors import Failed
from engine.linux import mounts
from engine.runtime.plan import Plan


def write(folder: Path, hostname: str) -> dict[str, str]:
    """Write the engine's three files of a container; returns destination -> where it was written."""
    made = texts(hostname)
    for destination, text in made.items():
        (folder / Path(destination).name).write_text(text)
    return {destination: str(folder / Path(destination).name) for destination in made}


def texts(hostname: str) -> dict[str, str]:
    """/etc/hostname, /etc/hosts and /etc/resolv.conf of a container, which belong to it and not to its image."""
    resolv = Path("/etc/resolv.conf")
    return {
        "/etc/hostname": f"{hostname}\n",
        "/etc/hosts": f"127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\t{hostname}\n",
        "/etc/resolv.conf": resolv.read_text() if resolv.is_file() else "",
    }


def open_sources(plan: Plan, fds: dict[str, int], opened: contextlib.ExitStack) -> None:
    """Open what the child binds, volumes and the engine's files, as detached copies of their mounts.

    Raises:
        Failed: a volume's source is not there.
    """
    for _, step in plan.numbered("child"):
        if step.kind != "mount" or "source" not in step.args:
            continue
        try:
            fd = mounts.copy(step.args["source"], recursive=True)
        except OSError as error:
            text = f"The volume {step.args['source']} cannot be opened: {error.strerror}."
            raise Failed(text, "Make it first; it must be on this machine.") from error
        fds[step.args["fd"]] = fd
        opened.callback(os.close, fd)
