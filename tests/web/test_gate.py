"""The layer in front: prefix, Host, Origin and room, decided before Flask and before any upgrade."""

from __future__ import annotations

from typing import Any

import pytest

from web.gate import Gate, Policy
from web.settings import WebSettings


def _ask(gate: Gate, path: str = "/", method: str = "GET", **more: str) -> tuple[str, dict[str, Any]]:
    """The status, and the environ as it went on."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "SCRIPT_NAME": "", "HTTP_HOST": "localhost:8000",
        "wsgi.url_scheme": "http", **more,
    }  # fmt: skip
    seen: list[str] = []
    body = b"".join(gate(environ, lambda status, headers, exc_info=None: seen.append(status)))
    return seen[0] if seen else body.decode(), environ


def _gate(**settings: Any) -> Gate:
    made = WebSettings(**settings)
    passed = [b"passed"]
    return Gate(lambda environ, start: passed, Policy.of(made), prefix=made.prefix, deflate=made.deflate)


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"])
def test_loopback_names_are_ours_on_any_port(host: str) -> None:
    """A port forwarded by ssh is another port with the same name."""
    assert _ask(_gate(), HTTP_HOST=host)[0] == "passed"


@pytest.mark.parametrize("host", ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8000", "[::2]"])
def test_a_foreign_host_name_is_refused(host: str) -> None:
    """A name that was made to point at us (DNS rebinding) gets nothing."""
    assert _ask(_gate(), HTTP_HOST=host)[0] == "400 Bad Request"


def test_a_listed_host_and_the_host_of_a_listed_origin_are_ours() -> None:
    """What an operator names is known."""
    gate = _gate(allowed_hosts="lab.example.org", allowed_origins="https://hub.example.org:8443")
    assert _ask(gate, HTTP_HOST="lab.example.org")[0] == "passed"
    assert _ask(gate, HTTP_HOST="hub.example.org:8443")[0] == "passed"


def test_a_websocket_without_origin_is_refused() -> None:
    """Browsers always send one; Engine.IO alone would let it through."""
    assert _ask(_gate(), "/ws/")[0] == "403 Forbidden"


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://localhost:8001", "https://localhost:8000", "null", "http://localhost"]
)
def test_a_websocket_of_another_origin_is_refused(origin: str) -> None:
    """Scheme, name and port must all be those of the page's own server."""
    assert _ask(_gate(), "/ws/", HTTP_ORIGIN=origin)[0] == "403 Forbidden"


def test_a_websocket_of_our_own_or_a_listed_origin_passes() -> None:
    """Our own pages, and those an operator names."""
    gate = _gate(allowed_origins="https://hub.example.org/")
    assert _ask(gate, "/ws/", HTTP_ORIGIN="http://localhost:8000")[0] == "passed"
    assert _ask(gate, "/ws/", HTTP_ORIGIN="https://hub.example.org")[0] == "passed"


def test_a_foreign_page_may_not_post_but_a_link_may_be_followed() -> None:
    """Reading is harmless; writing from another site is not."""
    gate = _gate()
    assert _ask(gate, "/api/labs", "POST", HTTP_ORIGIN="http://evil.example")[0] == "403 Forbidden"
    assert _ask(gate, "/ja/", "GET", HTTP_ORIGIN="http://evil.example")[0] == "passed"


def test_a_full_server_says_so_before_the_upgrade() -> None:
    """Every websocket takes a thread, so the last threads are kept for plain pages."""
    gate = _gate()
    gate.has_room = lambda: False
    assert _ask(gate, "/ws/", HTTP_ORIGIN="http://localhost:8000")[0] == "503 Service Unavailable"
    assert _ask(gate, "/ja/")[0] == "passed"


def test_the_prefix_becomes_script_name() -> None:
    """As PEP 3333 wants it, so that url_for builds right addresses."""
    gate = _gate(prefix="/user/ann/")
    status, environ = _ask(gate, "/user/ann/ja/")
    assert (status, environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("passed", "/user/ann", "/ja/")
    assert _ask(gate, "/user/ann")[1]["PATH_INFO"] == "/"
    assert _ask(gate, "/user/anna/ja/")[0] == "404 Not Found"


def test_the_websocket_is_known_below_a_prefix_too() -> None:
    """Its Origin is checked wherever it lives."""
    assert _ask(_gate(prefix="/user/ann"), "/user/ann/ws/")[0] == "403 Forbidden"


def test_the_deflate_offer_is_stripped_unless_wanted() -> None:
    """On, it costs more than the bytes it saves on a local network."""
    offer = {"HTTP_SEC_WEBSOCKET_EXTENSIONS": "permessage-deflate", "HTTP_ORIGIN": "http://localhost:8000"}
    assert "HTTP_SEC_WEBSOCKET_EXTENSIONS" not in _ask(_gate(), "/ws/", **offer)[1]
    assert "HTTP_SEC_WEBSOCKET_EXTENSIONS" in _ask(_gate(deflate=True), "/ws/", **offer)[1]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_may_use_any_host_name(path: str) -> None:
    """A kubelet asks by the pod's address."""
    assert _ask(_gate(), path, HTTP_HOST="10.1.2.3:8000")[0] == "passed"
