"""Hako's web process: a Flask application that shows lessons and relays terminals.

It runs without privilege and talks to the engine only through `engine.client`. `create_app` is all that is public here;
the server that runs it is `web/serve.py`.
"""

from __future__ import annotations

from web.application import create_app

__all__ = ["create_app"]
