"""Letting pages in and putting them out: connect, disconnect, and who overstays without having been let in.

Two proofs at connect: the cookie says who, the page token says that a page of ours is asking. Who fails gets a reason
and its transport closed a moment later; `connect` alone cannot do that, since python-socketio answers a refusal and
then leaves the websocket open, with a thread in it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
from flask import Request
from socketio.exceptions import ConnectionRefusedError as Refused

from web.auth import Auth
from web.i18n import COOKIE as LANG_COOKIE
from web.i18n import choose
from web.security import Signer
from web.sockets.connections import Page, Pages
from web.sockets.wire import BrowserWire, close_transport, shut_down

_log = structlog.get_logger(__name__)
#: An upgraded connection that has not become a page by then is put out.
ENTER_S = 10.0
#: Time for the reason of a refusal to reach the browser before its transport is closed.
SAY_WHY_S = 0.5


class Door:
    """See the module.

    Args:
        left: called with each page that is gone; must not wait, since it may run on the engine's reader thread.
    """

    def __init__(
        self, server: Any, namespace: str, auth: Auth, signer: Signer, pages: Pages, left: Callable[[Page], None]
    ) -> None:
        self._server = server
        self._namespace = namespace
        self._auth = auth
        self._signer = signer
        self._pages = pages
        self._left = left
        self._ended = threading.Event()
        self._first_seen: dict[str, float] = {}
        self._refused: dict[str, float] = {}

    def connect(self, sid: str, environ: dict[str, Any], auth: object = None) -> None:
        """Let a page in.

        Raises:
            Refused: "learner" (cookie) or "token" (page token) or "many": the browser gets the word.
        """
        eio_sid = self._server.manager.eio_sid_from_sid(sid, self._namespace)
        request = Request(environ)
        who = self._auth.identify(request)
        token = auth.get("token") if isinstance(auth, dict) else None
        reason = ""
        if who is None:
            reason = "learner"
        elif not self._signer.page_token_is_good(token, who.session):
            reason = "token"
        else:
            wire = BrowserWire(self._server, self._namespace, eio_sid, environ)
            lang = choose(request.cookies.get(LANG_COOKIE), request.headers.get("Accept-Language"))
            if not self._pages.add(Page(sid, who, wire, lang)):
                reason = "many"
        if reason:
            _log.info("page_refused", sid=sid, reason=reason, peer=request.remote_addr)
            self._refused[eio_sid] = time.monotonic()
            raise Refused(reason)
        _log.info("page_connected", sid=sid)

    def disconnect(self, sid: str, reason: str = "") -> None:
        """A page is gone, for whatever reason."""
        page = self._pages.pop(sid)
        if page is None:
            return
        _log.info("page_disconnected", sid=sid, reason=reason)
        self._left(page)
        # Frees the pool thread should the peer be gone without a word. A page that closed properly has nothing in
        # flight.
        if isinstance(page.wire, BrowserWire):
            page.wire.end()

    def run(self) -> None:
        """Once a second put out who was refused or never came in, until `end()`; one thread runs this."""
        while not self._ended.wait(1.0):
            self.sweep(time.monotonic())

    def end(self) -> None:
        """Let `run()` return."""
        self._ended.set()

    def sweep(self, now: float) -> list[str]:
        """Put out who is due; returns their Engine.IO ids."""
        let_in = {page.wire.eio_sid for page in self._pages.all() if isinstance(page.wire, BrowserWire)}
        out = []
        for eio_sid, environ in list(self._server.environ.items()):
            since = self._first_seen.setdefault(eio_sid, now)
            refused = self._refused.get(eio_sid)
            if (refused is not None and now - refused >= SAY_WHY_S) or (
                eio_sid not in let_in and now - since >= ENTER_S
            ):
                close_transport(self._server.eio, eio_sid)
                shut_down(environ)
                out.append(eio_sid)
        here = set(self._server.environ)
        self._first_seen = {sid: at for sid, at in self._first_seen.items() if sid in here}
        self._refused = {sid: at for sid, at in self._refused.items() if sid in here}
        return out

    def close_all(self) -> None:
        """The process is ending: close every transport so that browsers come back to the next one."""
        for eio_sid in list(self._server.eio.sockets):
            close_transport(self._server.eio, eio_sid)
