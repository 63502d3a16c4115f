"""The one learner of a machine: known by where they sit and by a signed cookie."""

from __future__ import annotations

import pytest
from flask import Request, Response
from werkzeug.test import EnvironBuilder

from web.auth import COOKIE, Solo, default_gateway

LOOPBACK = ("127.0.0.0/8", "::1/128")


def _request(address: str, cookie: str = "", base: str = "http://localhost") -> Request:
    headers = {"Cookie": f"{COOKIE}={cookie}"} if cookie else {}
    builder = EnvironBuilder(base_url=base, environ_base={"REMOTE_ADDR": address}, headers=headers)
    return Request(builder.get_environ())


def _cookie(solo: Solo, base: str = "http://localhost") -> tuple[str, str]:
    """The cookie's value and the whole header."""
    request, response = _request("127.0.0.1", base=base), Response()
    identity = solo.admit(request)
    assert identity is not None
    solo.remember(response, identity, request)
    header = response.headers["Set-Cookie"]
    return header.split("=", 1)[1].split(";")[0], header


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_let_in(address: str) -> None:
    """Whoever sits at the machine is the learner."""
    identity = Solo("key", lambda: "ann", LOOPBACK).admit(_request(address))
    assert identity is not None
    assert identity.learner == "ann"


@pytest.mark.parametrize("address", ["192.168.1.7", "::ffff:10.0.0.1", "2001:db8::1", "", "unix:"])
def test_anybody_else_stays_outside(address: str) -> None:
    """Even with the right cookie."""
    solo = Solo("key", lambda: "ann", LOOPBACK)
    cookie, _ = _cookie(solo)
    assert solo.admit(_request(address)) is None
    assert solo.identify(_request(address, cookie)) is None


def test_a_cookie_is_recognised_and_keeps_its_session() -> None:
    """The session is what tokens are bound to, so it must not change with every page."""
    solo = Solo("key", lambda: "ann", LOOPBACK)
    cookie, _ = _cookie(solo)
    first, second = (solo.identify(_request("127.0.0.1", cookie)) for _ in range(2))
    assert first is not None
    assert first == second


def test_forged_cookies_and_those_of_another_learner_are_not() -> None:
    """Another key, a changed value, or a data directory that was replaced."""
    cookie, _ = _cookie(Solo("key", lambda: "ann", LOOPBACK))
    for solo, value in (
        (Solo("other", lambda: "ann", LOOPBACK), cookie),
        (Solo("key", lambda: "bob", LOOPBACK), cookie),
        (Solo("key", lambda: "ann", LOOPBACK), cookie[:-2] + "xx"),
        (Solo("key", lambda: "ann", LOOPBACK), "rubbish"),
    ):
        assert solo.identify(_request("127.0.0.1", value)) is None


def test_two_browsers_have_two_sessions() -> None:
    """One learner, but a token of one browser is not good in the other."""
    solo = Solo("key", lambda: "ann", LOOPBACK)
    sessions = {identity.session for _ in range(2) if (identity := solo.admit(_request("127.0.0.1")))}
    assert len(sessions) == 2


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites() -> None:
    """HttpOnly, SameSite, and Secure where the page came by https."""
    solo = Solo("key", lambda: "ann", LOOPBACK)
    header = _cookie(solo)[1]
    assert "HttpOnly" in header
    assert "SameSite=Lax" in header
    assert "Secure" not in header
    assert "Secure" in _cookie(solo, "https://localhost")[1]


def test_the_gateway_is_read_from_the_routing_table() -> None:
    """proc_net(5): little-endian hex, destination 0 is the default route."""
    table = (
        "Iface\tDestination\tGateway \tFlags\n"
        "eth0\t000011AC\t00000000\t0001\n"
        "eth0\t00000000\t010011AC\t0003\n"
    )  # fmt: skip
    assert default_gateway(table) == "172.17.0.1"
    assert default_gateway(table.splitlines()[0]) is None
