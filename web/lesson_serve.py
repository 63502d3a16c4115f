"""`hako lesson serve`: the real page on another port, with the lessons read again whenever a file changes.

The terminals are real as well, if `hako up` runs: labs are asked of its engine, under a learner of our own, and go when
this ends. Progress is kept in a folder that goes too. Started by root, it becomes whoever owns the lessons, in the
group that may talk to the engine: an author's files need no root.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from engine.client import Disconnected
from engine.errors import EngineError
from web import lesson_predicates, logs
from web.auth import Solo
from web.author.desk import Desk, News
from web.author.pages import attach
from web.lesson_lint import result_codes
from web.serve import Server, worker_exit
from web.services import Services
from web.settings import WebSettings

_log = structlog.get_logger(__name__)
COOKIE = "hako_author"
GROUP = "hako"
"""Those who may use the engine's lab.sock."""


class AuthorServer(Server):
    """The server of the page, with a desk on it."""

    def load_config(self) -> None:
        super().load_config()
        self.cfg.set("worker_exit", _end)

    def load(self) -> Any:
        """In the worker."""
        app = super().load()
        services: Services = app.extensions["hako"]
        assert isinstance(services.auth, Solo)
        services.auth.cookie = COOKIE
        source = services.paths.source
        known = lesson_predicates.known(source)
        desk = Desk(services.catalogue, source, result_codes(services.words), known, _changed(services))
        attach(app, desk)
        desk.look()
        return app


def _changed(services: Services) -> Callable[[News], None]:
    """What a desk does with news: print the mistakes as the lint does, and tell the lessons for this kernel again."""

    def changed(news: News) -> None:
        for error in news.mistakes:
            print(error, file=sys.stderr)
        print(f"lessons read again: {len(news.mistakes)} mistakes", file=sys.stderr, flush=True)
        services.glossary = services.words_of(services.paths.lessons)
        if services.engine.connected:
            services.learn_kernel()

    return changed


def _end(server: Any, worker: Any) -> None:
    """The last thing in a worker: end the labs of the learner who will never come back."""
    services: Services | None = worker.app.services
    try:
        if services is not None and services.engine.connected:
            for lab in services.engine.lab_list(owner=services.progress.solo_learner()):
                services.engine.lab_remove(lab.id)
    except (Disconnected, EngineError) as error:
        _log.warning("labs_not_removed", reason=str(error))
    worker_exit(server, worker)


def become_owner(folder: Path) -> str:
    """Be whoever owns a folder, in the group of the engine's socket. Does nothing unless root's.

    Returns:
        The user's name or number, "" where nothing changed.
    """
    owner = folder.stat().st_uid
    if os.geteuid() != 0 or owner == 0:
        return ""
    try:
        entry = pwd.getpwuid(owner)
        name, group, home = entry.pw_name, entry.pw_gid, entry.pw_dir
    except KeyError:
        name, group, home = str(owner), folder.stat().st_gid, "/"
    try:
        groups = [grp.getgrnam(GROUP).gr_gid]
    except KeyError:
        groups = []
    os.setgroups(groups)
    os.setgid(group)
    os.setuid(owner)
    os.environ["HOME"] = home
    return name


def serve(settings: WebSettings, lessons: Path) -> None:
    """Run until a signal. `settings.data` and `settings.lessons` are set here."""
    become_owner(lessons)
    master = os.getpid()
    data = Path(tempfile.mkdtemp(prefix="hako-lessons-"))
    try:
        told = settings.model_copy(update={"data": data, "lessons": lessons, "database_url": ""})
        logs.configure(told.log_format)
        print(f"hako: the lessons in {lessons}: http://{told.listen}:{told.port}/   (Ctrl-C ends it)", file=sys.stderr)
        print(f"hako: their mistakes: http://{told.listen}:{told.port}/en/author/", file=sys.stderr, flush=True)
        AuthorServer(told).run()
    finally:
        if os.getpid() == master:  # a worker leaves by here as well
            shutil.rmtree(data)
