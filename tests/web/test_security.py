"""Tokens, the installation's secret, and the policy of every page."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

from itsdangerous import URLSafeTimedSerializer

from web.security import Signer, content_security_policy, secret_key


def test_a_token_is_good_only_for_its_own_session() -> None:
    """What was read from one browser is worth nothing in another."""
    signer = Signer("key", 3600)
    token = signer.page_token("session-a")
    assert signer.page_token_is_good(token, "session-a")
    assert not signer.page_token_is_good(token, "session-b")


def test_the_two_tokens_are_not_interchangeable() -> None:
    """A CSRF token opens no websocket."""
    signer = Signer("key", 3600)
    assert not signer.page_token_is_good(signer.csrf_token("s"), "s")
    assert not signer.csrf_token_is_good(signer.page_token("s"), "s")


def test_forged_and_foreign_tokens_are_refused() -> None:
    """Another key, another type, rubbish, or nothing."""
    signer = Signer("key", 3600)
    for bad in (Signer("other", 3600).page_token("s"), "", "x.y.z", None, 7, {"token": 1}, "a" * 5000):
        assert not signer.page_token_is_good(bad, "s"), bad


def test_a_page_token_ages_and_a_csrf_token_does_not() -> None:
    """A page that is open for a day can still POST; it fetches a new page token to connect."""
    signer = Signer("key", -1)
    assert not signer.page_token_is_good(signer.page_token("s"), "s")
    assert signer.csrf_token_is_good(signer.csrf_token("s"), "s")


def test_a_token_that_holds_no_session_is_refused() -> None:
    """Even when it is signed by us."""
    assert not Signer("key", 60).page_token_is_good(URLSafeTimedSerializer("key", salt="hako-page").dumps(["s"]), "s")


def test_the_secret_is_made_once_and_is_nobody_elses(tmp_path: Path) -> None:
    """A restarted process must know the cookies it gave; others must not read them."""
    first = secret_key(tmp_path)
    assert len(first) == 64
    assert secret_key(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_processes_that_start_at_once_agree_on_the_secret(tmp_path: Path) -> None:
    """The file appears whole or not at all, and the first one stays."""
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(secret_key(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_the_policy_has_no_unsafe_word_and_names_the_websocket() -> None:
    """`'self'` does not cover websockets in every browser."""
    policy = content_security_policy("N0", "lab.example.org", secure=True)
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "script-src 'self' 'nonce-N0'" in policy
    assert "connect-src 'self' wss://lab.example.org" in policy
    assert "frame-ancestors 'none'" in policy
