"""The built front end. A name with a content hash never changes, so browsers may keep it for a year."""

from __future__ import annotations

from flask import Blueprint, Response, send_from_directory

from web.services import services

static_files = Blueprint("static_files", __name__)
_YEAR_S = 365 * 24 * 3600


@static_files.get("/static/dist/<path:name>")
def built(name: str) -> Response:
    """One file of static/dist."""
    paths = services().paths
    response = send_from_directory(paths.dist, name)
    if name in paths.manifest.values():
        response.headers["Cache-Control"] = f"public, max-age={_YEAR_S}, immutable"
    else:
        response.headers["Cache-Control"] = "no-cache"
    return response
