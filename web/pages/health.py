"""For whoever watches the service: is it alive, is it ready, what are its numbers. Nothing about people is in them."""

from __future__ import annotations

import ipaddress
from hmac import compare_digest
from typing import Any

from flask import Blueprint, Response, abort, request
from sqlalchemy.exc import SQLAlchemyError

from engine.errors import EngineError
from web.services import services

health = Blueprint("health", __name__)
_STATES = ("creating", "ready", "paused", "ended")


@health.get("/healthz")
def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@health.get("/readyz")
def readyz() -> tuple[dict[str, Any], int]:
    """The engine and the database answer, so a learner can be served."""
    found = {"engine": _engine(), "database": _database()}
    ready = all(state == "ok" for state in found.values())
    return {"status": "ok" if ready else "not ready", **found}, 200 if ready else 503


def _engine() -> str:
    if not services().engine.connected:
        return "away"
    try:
        services().engine.call("engine.info", timeout_s=2.0)
    except EngineError as error:
        return error.kind
    return "ok"


def _database() -> str:
    try:
        services().progress.count()
    except SQLAlchemyError:
        return "away"
    return "ok"


@health.get("/metrics")
def metrics() -> Response:
    """Numbers for Prometheus: to loopback, or to whoever knows the token."""
    here = services()
    token = here.settings.metrics_token
    if token:
        if not compare_digest(request.headers.get("Authorization", ""), f"Bearer {token}"):
            abort(403)
    elif not _is_loopback(request.remote_addr):
        abort(403)
    _count_labs()
    return Response(here.metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8")


def _count_labs() -> None:
    here = services()
    states = dict.fromkeys(_STATES, 0)
    try:
        labs = here.engine.lab_list() if here.engine.connected else []
    except EngineError:
        labs = []
    for lab in labs:
        states[lab.state] = states.get(lab.state, 0) + 1
    for state, count in states.items():
        here.metrics.containers.labels(state).set(count)


def _is_loopback(address: str | None) -> bool:
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False
