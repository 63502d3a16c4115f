"""What a person sees when something went wrong: a sentence and what to do, in their language. Never a trace.

JSON calls get the same words as JSON. The trace of an unexpected error goes to the log, with an id that the page shows
so that the two can be brought together.
"""

from __future__ import annotations

import secrets

import structlog
from flask import Flask, Response, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from engine.client import Disconnected
from engine.errors import EngineError
from web.pages.visitor import request_lang
from web.services import services
from web.trouble import STATUS, BadMessage, Told

_log = structlog.get_logger(__name__)
#: Statuses with a sentence of their own (`error.http_<status>`); others use the one of their hundred.
_KNOWN = frozenset({400, 403, 404, 405, 413, 429, 500, 503})


def register(app: Flask) -> None:
    """Catch everything at the border of the request."""

    @app.errorhandler(BadMessage)
    def bad_message(error: BadMessage) -> Response:
        return answer(400, services().trouble.of_code(request_lang(), error.code, **error.params))

    @app.errorhandler(EngineError)
    def engine_error(error: EngineError) -> Response:
        kind = "away" if isinstance(error, Disconnected) else error.kind
        return answer(STATUS.get(kind, 502), services().trouble.of_engine(request_lang(), error))

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        if status < 400 and error.response is not None:
            return Response(error.get_response(request.environ).data, status)
        reason = error.description if error.description in ("stranger", "csrf") else ""
        return answer(status, words(status, reason))

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        ident = secrets.token_hex(4)
        _log.error("request_failed", path=request.path, error_id=ident, exc_info=error)
        return answer(500, words(500, detail=ident))


def words(status: int, reason: str = "", detail: str = "") -> Told:
    """The sentence for a status."""
    lang, trouble = request_lang(), services().words
    name = reason or f"http_{status if status in _KNOWN else 400 if status < 500 else 500}"
    return Told(name, trouble.t(lang, f"error.{name}"), trouble.t(lang, f"error.{name}.hint"), detail)


def answer(status: int, told: Told) -> Response:
    """As JSON or as a page, whichever was asked for."""
    if request.path.startswith("/api/"):
        response: Response = jsonify(told.as_json())
    else:
        title = services().words.t(request_lang(), "error.title", status=status)
        response = Response(
            render_template(
                "error.html", status=status, title=title, message=told.message, hint=told.hint, detail=told.detail
            ),
            content_type="text/html; charset=utf-8",
        )
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    return response
