"""Who is asking: the seam between "one learner on this machine" and every login that may come later.

`Auth` is the contract. `Solo` is the backend of one machine: everybody who reaches us over an allowed network *is* the
one learner, and no account exists. A class code, OIDC or JupyterHub's HubOAuth are later backends; nothing outside this
module knows which is at work. A learner's identity travels in a signed cookie, HttpOnly and SameSite=Lax; the same
cookie is read for pages and for the websocket.
"""

from __future__ import annotations

import ipaddress
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from flask import Request, Response
from itsdangerous import BadSignature, URLSafeSerializer

COOKIE = "hako"
_COOKIE_AGE_S = 400 * 24 * 3600  # the longest browsers keep (RFC 6265bis 5.6.1)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Identity:
    """Somebody we know: `learner` owns labs and progress, `session` is the browser the tokens are bound to."""

    learner: str
    session: str


class Auth(ABC):
    """The contract of a login backend. Called on request threads, several at once."""

    @abstractmethod
    def identify(self, request: Request) -> Identity | None:
        """Who sent this request, by its cookie alone; None when that is absent, forged or no longer good."""

    @abstractmethod
    def admit(self, request: Request) -> Identity | None:
        """Let somebody in who opens a page without a good cookie; None when they may not, or must log in first."""

    @abstractmethod
    def remember(self, response: Response, identity: Identity, request: Request) -> None:
        """Put the identity into the answer's cookie."""


class Solo(Auth):
    """One learner, known by where they sit.

    Args:
        key: secret of this installation.
        learner: gives the id of the one learner; asked when needed, so that the database may come later.
        peers: networks the learner may come from; the word `gateway` means this machine's default gateway, which is who
            seems to ask when the port of a container is published.
    """

    def __init__(self, key: str, learner: Callable[[], str], peers: Iterable[str]) -> None:
        self._serializer = URLSafeSerializer(key, salt="hako-solo")
        self._learner = learner
        self.cookie = COOKIE
        """Browsers send a host's cookies to each of its ports: a second server there takes another name."""
        self._networks = tuple(network for peer in peers for network in _networks(peer))

    def identify(self, request: Request) -> Identity | None:
        if not self._may_come_from(request.remote_addr):
            return None
        try:
            held = self._serializer.loads(request.cookies.get(self.cookie, ""))
        except BadSignature:
            return None
        match held:
            case [str(learner), str(session)] if learner == self._learner():
                return Identity(learner, session)
        return None

    def admit(self, request: Request) -> Identity | None:
        if not self._may_come_from(request.remote_addr):
            return None
        return Identity(self._learner(), secrets.token_urlsafe(16))

    def remember(self, response: Response, identity: Identity, request: Request) -> None:
        response.set_cookie(
            self.cookie,
            str(self._serializer.dumps([identity.learner, identity.session])),
            max_age=_COOKIE_AGE_S,
            path=(request.script_root or "") + "/",
            secure=request.is_secure,
            httponly=True,
            samesite="Lax",
        )

    def _may_come_from(self, address: str | None) -> bool:
        try:
            peer: Address = ipaddress.ip_address(address or "")
        except ValueError:
            return False
        if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped:
            peer = peer.ipv4_mapped
        return any(peer in network for network in self._networks)


def _networks(peer: str) -> list[Network]:
    if peer == "gateway":
        gateway = default_gateway(Path("/proc/net/route").read_text("ascii"))
        return [ipaddress.ip_network(gateway)] if gateway else []
    return [ipaddress.ip_network(peer)]


def default_gateway(route_table: str) -> str | None:
    """The IPv4 default gateway in the text of /proc/net/route, whose addresses are little-endian hex."""
    for line in route_table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 2 and fields[1] == "00000000" and fields[2] != "00000000":
            return str(ipaddress.IPv4Address(bytes.fromhex(fields[2])[::-1]))
    return None
