"""What every template is given, and the `boot` object every page's scripts begin with."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import g, request, url_for

from engine.client import ACK
from web import i18n
from web.pages.visitor import request_lang
from web.services import Services, services
from web.sockets.server import NAMESPACE

VERSION = "0.1.0"
TERMINALS = 8


def context() -> dict[str, Any]:
    """Names every template may use; error pages too, where no visitor is known."""
    here = services()
    lang = request_lang()
    visitor = g.get("visitor")
    session = visitor.who.session if visitor else ""
    csrf = here.signer.csrf_token(session) if visitor else ""
    token = here.signer.page_token(session) if visitor else ""
    return {
        "lang": lang,
        "other_lang": i18n.other(lang),
        "switch_url": switch_url(i18n.other(lang)),
        "t": partial(here.words.t, lang),
        "csp_nonce": g.get("csp_nonce", ""),
        "csrf_token": csrf,
        "page_token": token,
        "prefix": request.script_root,
        "asset": asset,
        "boot": boot(here, lang, csrf, token),
    }


def boot(here: Services, lang: str, csrf: str, token: str) -> dict[str, Any]:
    """What scripts need to begin."""
    prefix = request.script_root
    return {
        "lang": lang,
        "prefix": prefix,
        "csrf": csrf,
        "token": token,
        "token_url": f"{prefix}/api/page-token",
        "socket": {"path": f"{prefix}/ws", "namespace": NAMESPACE},
        "strings": here.words.starting(lang, "js."),
        "limits": {
            "input_bytes": here.settings.input_bytes,
            "ack_bytes": ACK,
            "terminals": TERMINALS,
        },
        "version": VERSION,
    }


def asset(name: str) -> str:
    """URL of a built file."""
    return url_for("static_files.built", name=services().paths.asset(name))


def switch_url(lang: str) -> str:
    """This page in another language."""
    endpoint, args = request.endpoint, dict(request.view_args or {})
    if endpoint and "lang" in args:
        return url_for(endpoint, **{**args, "lang": lang})
    return url_for("pages.catalogue", lang=lang)
