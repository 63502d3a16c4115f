"""Who looks at a page and in which language: worked out once per request, before the view."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Response, g, request
from werkzeug.exceptions import Forbidden

from web import i18n
from web.auth import Identity
from web.security import require_csrf
from web.services import services


@dataclass
class Visitor:
    """`fresh`: the identity is new and its cookie has to be set."""

    who: Identity
    lang: str
    fresh: bool = False


def visitor() -> Visitor:
    """The visitor of this request."""
    found: Visitor = g.visitor
    return found


def request_lang() -> str:
    """Language of this request: its URL, else what it asks for, else the last choice."""
    named = (request.view_args or {}).get("lang") or request.args.get("lang") or _first_segment()
    if named in i18n.LANGS:
        return str(named)
    accept = request.headers.get("Accept-Language", "")
    if request.path.startswith("/api/") and accept in i18n.LANGS:  # our scripts name the language of their page
        return accept
    return i18n.choose(request.cookies.get(i18n.COOKIE), accept)


def _first_segment() -> str:
    return request.path.lstrip("/").partition("/")[0]


def greet() -> None:
    """Before a page: know the visitor, or let them in.

    Raises:
        Forbidden: they may not come in.
    """
    here = services()
    who = here.auth.identify(request)
    fresh = who is None
    if who is None:
        who = here.auth.admit(request)
    if who is None:
        raise Forbidden("stranger")
    g.visitor = Visitor(who, request_lang(), fresh)


def recognise() -> None:
    """Before a JSON call: the visitor must be known already, and a writing call must come from a page of theirs.

    Raises:
        Forbidden: no good cookie, or no good CSRF token.
    """
    who = services().auth.identify(request)
    if who is None:
        raise Forbidden("stranger")
    require_csrf(services().signer, who.session)
    g.visitor = Visitor(who, request_lang())


def remember(response: Response) -> Response:
    """After a page: set the cookies that are due."""
    found: Visitor | None = g.get("visitor")
    if found is not None:
        if found.fresh:
            services().auth.remember(response, found.who, request)
        if request.cookies.get(i18n.COOKIE) != found.lang:
            response.set_cookie(
                i18n.COOKIE,
                found.lang,
                max_age=400 * 24 * 3600,
                path=(request.script_root or "") + "/",
                secure=request.is_secure,
                samesite="Lax",
            )
        # A page holds tokens of its session; no shared cache may keep it, and "back" should not show an old one.
        response.headers.setdefault("Cache-Control", "no-store")
    return response
