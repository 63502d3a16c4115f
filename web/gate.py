"""The WSGI layer in front of everything: prefix, Host, Origin, and the door of the websocket.

It decides before Flask and before the websocket upgrade, because a refusal after the upgrade leaves a socket open and a
thread taken. It answers four questions:

1. *Which path?* Strips the prefix into SCRIPT_NAME (PEP 3333), as behind JupyterHub.
2. *Is this name ours?* A Host we do not know means DNS rebinding: a foreign page that made its own name point at us.
3. *Whose page is asking?* A websocket must carry an Origin equal to its Host or a listed one: browsers let any page
   open a websocket anywhere and send our cookie with it. Any other writing request with a foreign Origin is refused
   too.
4. *Is there room?* Each page holds one server thread; a full class is told so instead of hanging.

No cookies, tokens or learners here: those are `security.py` and `auth.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

from web.settings import WebSettings

WS_PATH = "/ws"
PROBES = frozenset({"/healthz", "/readyz"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class Policy:
    """Who may ask."""

    hosts: frozenset[str]
    origins: frozenset[str] = frozenset()
    any_host: bool = False

    @classmethod
    def of(cls, settings: WebSettings) -> Policy:
        """Loopback names and the listening address are ours; the rest is listed by the operator."""
        origins = frozenset(origin.rstrip("/").lower() for origin in settings.allowed_origins)
        names = {urlsplit(origin).netloc.rsplit(":", 1)[0] for origin in origins}
        hosts = _LOOPBACK | {settings.listen.lower()} | {host.lower() for host in settings.allowed_hosts} | names
        return cls(hosts=frozenset(hosts), origins=origins, any_host="*" in settings.allowed_hosts)

    def knows_host(self, host: str) -> bool:
        """Whether `host` (with or without a port) is one of our names."""
        return self.any_host or _name(host) in self.hosts

    def same_origin(self, origin: str, scheme: str, host: str) -> bool:
        """Whether a request from a page at `origin` comes from a page of ours."""
        origin = origin.lower()
        return origin == f"{scheme}://{host}".lower() or origin in self.origins


def _name(host: str) -> str:
    """Host without its port; IPv6 keeps its brackets."""
    host = host.lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


@dataclass
class Gate:
    """WSGI middleware; see the module."""

    app: WSGIApplication
    policy: Policy
    prefix: str = ""
    deflate: bool = False
    #: Asked before an upgrade; False answers 503.
    has_room: Callable[[], bool] = field(default=lambda: True)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not self._enter_prefix(environ):
            return _refuse(start_response, "404 Not Found", f"Hako lives below {self.prefix}/ here.")
        host = environ.get("HTTP_HOST", "")
        # A kubelet asks its probes by the pod's address; they say nothing about anybody.
        if not self.policy.knows_host(host) and environ["PATH_INFO"] not in PROBES:
            return _refuse(
                start_response,
                "400 Bad Request",
                "This server does not know itself by that Host name. "
                "Open it as localhost, or list the name in HAKO_WEB_ALLOWED_HOSTS.",
            )
        refused = self._refused_origin(environ, host)
        if refused:
            return _refuse(start_response, "403 Forbidden", refused)
        if _is_socket(environ) and not self.has_room():
            return _refuse(
                start_response,
                "503 Service Unavailable",
                "Every place is taken. Close a page of Hako, or raise HAKO_WEB_THREADS, and reload.",
            )
        if not self.deflate:
            # simple-websocket accepts permessage-deflate whenever it is offered and has no switch.
            environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
        return self.app(environ, start_response)

    def _enter_prefix(self, environ: WSGIEnvironment) -> bool:
        if not self.prefix:
            return True
        path = environ.get("PATH_INFO", "")
        if path != self.prefix and not path.startswith(self.prefix + "/"):
            return False
        environ["SCRIPT_NAME"] = self.prefix
        environ["PATH_INFO"] = path[len(self.prefix) :] or "/"
        return True

    def _refused_origin(self, environ: WSGIEnvironment, host: str) -> str:
        """Why this request may not pass, or nothing."""
        origin = environ.get("HTTP_ORIGIN", "")
        is_socket = _is_socket(environ)
        if not is_socket and environ["REQUEST_METHOD"] in _READS:
            return ""
        if not origin:
            # Browsers always send Origin with an upgrade, so its absence there is never a page of ours. A plain POST
            # without one (an old browser, a script) still has to pass the CSRF token.
            return "A terminal is opened only from a page of Hako: the request has no Origin." if is_socket else ""
        if not self.policy.same_origin(origin, environ["wsgi.url_scheme"], host):
            return "The request comes from a page of another site."
        return ""


def _is_socket(environ: WSGIEnvironment) -> bool:
    path = environ.get("PATH_INFO", "")
    return bool(path == WS_PATH or path.startswith(WS_PATH + "/"))


def _refuse(start_response: StartResponse, status: str, sentence: str) -> Iterable[bytes]:
    body = (sentence + "\n").encode()
    start_response(
        status,
        [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-store"),
        ],
    )
    return [body]
