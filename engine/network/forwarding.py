"""Letting the host route for containers: `forwarding` of two links instead of `ip_forward` for all.

A packet is forwarded if the link it came in by has `net.ipv4.conf.LINK.forwarding`. Where the host does not route yet,
we turn it on for our bridge and for the link with the default route (the answers come in there), and name every pair of
links that could now pass packets and could not before: the firewall drops those. Where something else, Docker say, has
already set `ip_forward`, nothing is touched. What was changed is told, kept in a file, and put back at the end. See
Documentation/networking/ip-sysctl.rst.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from engine.linux.netns import set_sysctls
from engine.linux.rtnetlink import Route


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What was changed: links that were set to forward, and pairs (in, out) that must still not."""

    links: tuple[str, ...] = ()
    unforwarded: tuple[tuple[str, str], ...] = field(default=())


def uplinks(route: Route) -> list[str]:
    """Names of the links with a default route."""
    names = {link.index: link.name for link in route.links()}
    default = [entry.index for entry in route.routes() if not entry.destination.prefixlen]
    return sorted({names[index] for index in default if index in names})


def forwards(link: str) -> bool:
    """Whether packets that come in by a link are forwarded."""
    try:
        return Path(f"/proc/sys/net/ipv4/conf/{link}/forwarding").read_text().strip() == "1"
    except FileNotFoundError:
        return False


def plan(route: Route, bridges: tuple[str, str], wanted: str, before: Forwarding) -> Forwarding:
    """What must be changed for a bridge, together with what an earlier call changed; the same again, as a rule.

    Args:
        route: a socket on the host.
        bridges: both of ours; what goes to them is decided by rules of their own.
        wanted: the one that needs a way out.
        before: what was changed until now.
    """
    own = [wanted] if not forwards(wanted) else []
    foreign = [link for link in uplinks(route) if not forwards(link)]
    # A port of a bridge (a container's veth among them) takes no part in routing.
    others = [link.name for link in route.links() if not link.master and link.name not in (*bridges, "lo")]
    pairs = [(incoming, outgoing) for incoming in foreign for outgoing in others]
    return Forwarding(tuple(sorted({*before.links, *own, *foreign})), tuple(sorted({*before.unforwarded, *pairs})))


def turn_on(links: tuple[str, ...]) -> None:
    """Set `forwarding` of links that exist."""
    set_sysctls({f"ipv4/conf/{link}/forwarding": "1" for link in links})


def turn_off(links: tuple[str, ...]) -> None:
    """Put `forwarding` back, unless the whole host routes by now: then somebody else wants it on."""
    if not forwards("all"):
        set_sysctls({f"ipv4/conf/{link}/forwarding": "0" for link in links})


def load(path: Path) -> Forwarding:
    """What the file remembers; nothing when there is none or it cannot be read as one of ours."""
    try:
        kept = json.loads(path.read_text())
        return Forwarding(tuple(kept["links"]), tuple((a, b) for a, b in kept["unforwarded"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return Forwarding()


def save(path: Path, forwarding: Forwarding) -> None:
    """Remember for the next engine; replaced in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(asdict(forwarding)))
    os.replace(new, path)
