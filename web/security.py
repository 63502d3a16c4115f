"""Headers, Content-Security-Policy, CSRF token and page token: what keeps other people's pages out of a learner's lab.

- **CSP** (https://www.w3.org/TR/CSP3/): nothing but our own files, scripts and styles only by file or nonce. No
  `unsafe-inline`: terminal output that found its way into the page as HTML would still run nothing.
- **CSRF token**: a header a foreign page cannot read; every POST needs it beside the SameSite cookie.
- **page token**: signed into the page, shown when the websocket connects; the cookie alone would let any page connect,
  since browsers send it with every websocket (cross-site websocket hijacking).

Both tokens are bound to the browser's session, so a token read from one browser is worth nothing in another. Who the
learner is: `auth.py`. What is decided before Flask is reached: `gate.py`.
"""

from __future__ import annotations

import os
import secrets
from hmac import compare_digest
from pathlib import Path

from flask import Flask, Response, g, request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.exceptions import Forbidden

CSRF_HEADER = "X-CSRF-Token"
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Signer:
    """Makes and reads the two tokens.

    Args:
        key: the secret of this installation; whoever has it can be any learner.
        max_age_s: how long a page token lives. A page that is open longer fetches a new one before it connects again.
    """

    def __init__(self, key: str, max_age_s: int) -> None:
        self._page = URLSafeTimedSerializer(key, salt="hako-page")
        self._csrf = URLSafeTimedSerializer(key, salt="hako-csrf")
        self._max_age_s = max_age_s

    def page_token(self, session: str) -> str:
        """A token that lets the page of this session open its websocket."""
        return str(self._page.dumps(session))

    def page_token_is_good(self, token: object, session: str) -> bool:
        """Whether the token is ours, not too old, and of this session."""
        return self._holds(self._page, token, session, self._max_age_s)

    def csrf_token(self, session: str) -> str:
        """A token that lets the page of this session POST."""
        return str(self._csrf.dumps(session))

    def csrf_token_is_good(self, token: object, session: str) -> bool:
        """Whether the token is ours and of this session; it lives as long as the session."""
        return self._holds(self._csrf, token, session, None)

    @staticmethod
    def _holds(serializer: URLSafeTimedSerializer, token: object, session: str, max_age_s: int | None) -> bool:
        if not isinstance(token, str) or len(token) > 1024:
            return False
        try:
            held = serializer.loads(token, max_age=max_age_s)
        except BadSignature:
            return False
        return isinstance(held, str) and compare_digest(held.encode(), session.encode())


def secret_key(folder: Path) -> str:
    """The secret of this installation, made once and kept in `folder/secret`, readable by its owner alone.

    Kept, not made at each start: a restarted web process has to know the cookies and tokens of pages that are open.
    """
    path = folder / "secret"
    for _ in range(2):
        try:
            key = path.read_text("ascii").strip()
            if key:
                return key
        except FileNotFoundError:
            pass
        _write_once(path, secrets.token_hex(32))
    return path.read_text("ascii").strip()


def _write_once(path: Path, text: str) -> None:
    """Write a whole file or nothing, and leave one alone that is there: two processes may start at once."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as out:
        out.write(text)
    try:
        os.link(scratch, path)
    except FileExistsError:
        pass
    finally:
        scratch.unlink()


def content_security_policy(nonce: str, host: str, secure: bool) -> str:
    """The policy of every page. `'self'` does not cover websockets in every browser, so their address is named."""
    socket = f"{'wss' if secure else 'ws'}://{host}"
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'self' 'nonce-{nonce}'",
            f"style-src 'self' 'nonce-{nonce}'",
            "img-src 'self' data:",
            "font-src 'self'",
            f"connect-src 'self' {socket}",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ]
    )


_FIXED_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "X-Frame-Options": "DENY",
}


def protect(app: Flask) -> None:
    """Put the headers on every answer and ask every writing request for its token."""

    @app.before_request
    def make_nonce() -> None:
        g.csp_nonce = secrets.token_urlsafe(16)

    @app.after_request
    def headers(response: Response) -> Response:
        for name, value in _FIXED_HEADERS.items():
            response.headers.setdefault(name, value)
        # `.get`: an error before `make_nonce` still wants a policy, and then nothing inline may run at all.
        policy = content_security_policy(g.get("csp_nonce", secrets.token_urlsafe(16)), request.host, request.is_secure)
        response.headers.setdefault("Content-Security-Policy", policy)
        if request.is_secure:
            response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        return response


def require_csrf(signer: Signer, session: str) -> None:
    """Refuse a writing request without the token of its session.

    Raises:
        Forbidden: it is absent, forged or of another session.
    """
    if request.method in _WRITES and not signer.csrf_token_is_good(request.headers.get(CSRF_HEADER), session):
        raise Forbidden("csrf")
