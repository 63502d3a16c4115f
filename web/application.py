"""Builds the WSGI application: Flask inside, Socket.IO round it, the gate in front.

    browser -> [ProxyFix] -> Gate -> Socket.IO middleware -> Flask
                             Host, Origin,   /ws               pages, JSON
                             prefix

Nothing runs before `Services.start()`: building an application opens the database and reads the lessons, no more.
"""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from jinja2 import StrictUndefined
from werkzeug.middleware.proxy_fix import ProxyFix

from web.gate import Gate, Policy
from web.pages import context, errors
from web.pages.api import api
from web.pages.health import health
from web.pages.static_files import static_files
from web.pages.views import pages
from web.paths import Paths
from web.security import protect
from web.services import Services
from web.settings import WebSettings

#: A JSON body is a few names; a progress value is at most 2 KiB.
BODY_BYTES = 16 * 1024
#: Per address. A class behind one router shares an address, so this is for floods, not for people.
REQUESTS = "1200 per minute"
#: Making a lab costs the machine most; a learner makes one per lesson.
LABS = "60 per minute"


def create_app(settings: WebSettings | None = None) -> Flask:
    """An application with its own services.

    Args:
        settings: of this process; by default read from the environment.
    """
    settings = settings or WebSettings()
    app = Flask("web", static_folder=None, template_folder=str(Paths.of(settings).templates))
    app.config.update(MAX_CONTENT_LENGTH=BODY_BYTES, TRAP_HTTP_EXCEPTIONS=False)
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    protect(app)
    services = Services(app, settings)
    for blueprint in (health, static_files, api, pages):
        app.register_blueprint(blueprint)
    app.context_processor(context.context)
    errors.register(app)
    _limit(app)
    _wrap(app, services)
    return app


def _limit(app: Flask) -> None:
    limiter = Limiter(get_remote_address, app=app, default_limits=[REQUESTS], storage_uri="memory://")
    limiter.exempt(health)
    limiter.exempt(static_files)
    for endpoint in ("api.begin_lab", "api.reset_lab"):
        limited: Any = limiter.limit(LABS)(app.view_functions[endpoint])
        app.view_functions[endpoint] = limited


def _wrap(app: Flask, services: Services) -> None:
    settings = services.settings
    gate = Gate(
        app.wsgi_app,
        Policy.of(settings),
        prefix=settings.prefix,
        deflate=settings.deflate,
        has_room=services.has_room,
    )
    outermost: Any = gate
    if settings.trusted_proxies:
        # Only behind a proxy that sets them: otherwise anybody could claim any address and host by a header.
        hops = settings.trusted_proxies
        outermost = ProxyFix(gate, x_for=hops, x_proto=hops, x_host=hops)
    app.wsgi_app = outermost  # type: ignore[method-assign]  # how Flask wants middleware put in
