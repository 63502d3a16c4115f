"""`hako up --systemd`: the unit files with which systemd starts Hako, as text. Nothing is written or started here.

`hako.service` is `hako up` itself. `Delegate=yes` gives it its part of the cgroup v2 tree: in there systemd leaves
alone what we make, and everything we make is in there (`HAKO_CGROUP`, Cgroups.below), so that `hako.slice` shows what
all labs and containers use and can limit them together. A slice cannot be delegated, a service can; hence two units. On
cgroup v1 systemd delegates no controller, and our groups lie at the top of each tree as without it.

See systemd.service(5), systemd.resource-control(5), https://systemd.io/CGROUP_DELEGATION.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from engine.settings import Settings
from engine.supervisor import LABS_END_S, Address

FOLDER = "/etc/systemd/system"
HOW = """\
hako: Write each file to the place named in its first line. Then:
      systemctl daemon-reload && systemctl enable --now {name}.service
      journalctl -fu {name} shows its log; systemd-cgls /{name}.slice what runs in it."""
# What else is ended in order needs a moment after the labs.
_STOP_S = LABS_END_S + 30


def units(settings: Settings, address: Address, python: str = sys.executable) -> dict[str, str]:
    """Name of a unit -> its text.

    Args:
        settings: of the engine that shall run; those of the environment have to go to the file named in the unit.
        address: where the page shall be.
        python: the interpreter that has our packages.
    """
    name = settings.instance
    words = [python, "-P", "-m", "engine.cli", "up", "--listen", address.listen, "--port", str(address.port)]
    words += ["--data", str(settings.data)]
    own = {"HAKO_CGROUP": f"{name}.slice/{name}.service", "HAKO_INSTANCE": name, "HAKO_RUN": str(settings.run)}
    return {f"{name}.slice": _slice(), f"{name}.service": _service(name, words, own)}


def _slice() -> str:
    return """\
[Unit]
Description=Labs and containers of Hako
Documentation=man:systemd.slice(5)
Before=slices.target

[Slice]
# What all labs together may take (cgroup v2), for example:
#MemoryMax=75%
#CPUQuota=300%
"""


def _service(name: str, words: list[str], own: Mapping[str, str]) -> str:
    environment = "\n".join(f"Environment={quoted(f'{key}={value}')}" for key, value in own.items())
    return f"""\
[Unit]
Description=Hako: containers, made visible
Documentation=file://{Path(__file__).resolve().parents[1]}/README.md
After=network.target

[Service]
Type=exec
ExecStart={" ".join(quoted(word) for word in words)}
{environment}
# More settings, as HAKO_LABS_MAX=100 or DATABASE_URL=…; only root should be able to read a password in it.
EnvironmentFile=-/etc/default/{name}
Slice={name}.slice
Delegate=yes
# The limits of a lab are in its own groups. One that is killed for want of memory there must not end the others.
OOMPolicy=continue
TasksMax=infinity
LimitNOFILE=524288
# The supervisor ends everything in order; what is left after that is killed.
KillMode=mixed
TimeoutStopSec={_STOP_S:.0f}
Restart=on-failure
RestartSec=2

[Install]
WantedBy=multi-user.target
"""


def quoted(word: str) -> str:
    """A word of a command line as systemd reads it back; see systemd.syntax(7), "Quoting", and its %- and $-signs."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if word and not set(word) - _PLAIN else f'"{escaped}"'


_PLAIN = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-=:,@+")


def printed(found: Mapping[str, str]) -> str:
    """All units one after the other, each below the place it belongs to, as `systemctl cat` shows them."""
    return "\n".join(f"# {FOLDER}/{name}\n{text}" for name, text in found.items())
