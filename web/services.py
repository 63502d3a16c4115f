"""All parts of one web process, put together: who is given what, what starts and in which order it ends.

There are no globals: an application holds one `Services`, a test may hold several. `start()` and `close()` are called
by the server (`web/serve.py`) or a test; before `start()` nothing runs and the engine need not be there.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import structlog
from flask import Flask, current_app

from engine.client import Disconnected, Lab
from engine.errors import EngineError, NotFound
from web import glossary, lessons
from web.actions import Actions
from web.auth import Auth, Solo
from web.background import Background
from web.bringing import Bringing
from web.checks import Checks
from web.database import migrate, open_database
from web.engine import MeteredClient
from web.glossary import Glossary
from web.i18n import Translations
from web.labs import LearnerLabs, lab_json
from web.lesson_model import LessonError
from web.metrics import Metrics
from web.paths import Paths
from web.progress import Progress
from web.rooms import Rooms
from web.security import Signer, secret_key
from web.settings import WebSettings
from web.sockets.connections import Page, Pages, tell
from web.sockets.door import Door
from web.sockets.events import Events
from web.sockets.server import NAMESPACE, make_socketio
from web.terminal.relay import Relay
from web.trouble import Trouble

_log = structlog.get_logger(__name__)
_EXTENSION = "hako"


class Services:
    """See the module.

    Args:
        app: the Flask application; Socket.IO is put in front of it here.
        settings: of this process.
    """

    def __init__(self, app: Flask, settings: WebSettings) -> None:
        settings.data.mkdir(parents=True, exist_ok=True)
        key = secret_key(settings.data)
        self.settings = settings
        self.paths = Paths.of(settings)
        self.words = Translations(self.paths.translations)
        self.catalogue = lessons.load(self.paths.lessons)
        for error in self.catalogue.errors:
            _log.error("lesson_left_out", file=error.file, line=error.line, expected=error.expected)
        self.glossary = self.words_of(self.paths.lessons)
        self.metrics = Metrics()
        self.database = open_database(settings.sqlalchemy_url)
        migrate(self.database, self.paths.migrations)
        self.progress = Progress(self.database)
        self.signer = Signer(key, settings.token_age_s)
        self.auth: Auth = Solo(key, self.progress.solo_learner, settings.solo_peers)
        self.trouble = Trouble(self.words)

        self.engine = MeteredClient(settings.lab_socket, self.metrics)
        self.pool = Background()
        self.pages = Pages(settings.pages_per_learner)
        self.labs = LearnerLabs(self.engine, self.progress)
        self.relay = Relay(self.engine, self.metrics)
        self.checks = Checks(self.engine, self.progress, self.words, self.pages, self.pool, self.metrics)
        self.rooms = Rooms(self.engine, self.pages, self.checks.lab_changed)
        self.actions = Actions(self.engine, self.progress, self.checks, self.trouble)
        self.bringing = Bringing(self.engine, self.progress, self.checks, self.actions, self.trouble)
        self.metrics.sockets.set_function(lambda: len(self.pages))
        self.engine.on_event(self._on_event)
        self._threads: list[threading.Thread] = []
        self._ended = threading.Event()
        self._open_sockets(app)
        app.extensions[_EXTENSION] = self

    @staticmethod
    def words_of(lessons_folder: Path) -> Glossary:
        """The glossary; a mistake in it is among those of the catalogue already."""
        try:
            return glossary.load(lessons_folder)
        except LessonError:
            return Glossary()

    def _open_sockets(self, app: Flask) -> None:
        self.socketio = make_socketio(
            app,
            message_bytes=self.settings.message_bytes,
            ping_interval_s=self.settings.ping_interval_s,
            ping_timeout_s=self.settings.ping_timeout_s,
        )
        server = self.socketio.server
        self.door = Door(server, NAMESPACE, self.auth, self.signer, self.pages, self._page_left)
        events = Events(
            engine=self.engine,
            catalogue=self.catalogue,
            labs=self.labs,
            pages=self.pages,
            progress=self.progress,
            relay=self.relay,
            rooms=self.rooms,
            checks=self.checks,
            actions=self.actions,
            bringing=self.bringing,
            pool=self.pool,
            trouble=self.trouble,
            words=self.words,
            input_bytes=self.settings.input_bytes,
        )
        server.on("connect", self.door.connect, namespace=NAMESPACE)
        server.on("disconnect", self.door.disconnect, namespace=NAMESPACE)
        for name, handler in events.handlers().items():
            server.on(name, handler, namespace=NAMESPACE)

    def start(self) -> None:
        """Connect to the engine (it may come later) and start the threads of this process."""
        self.engine.start()
        for name, run in (("checks", self.checks.run), ("door", self.door.run), ("pictures", self._catch_up)):
            thread = threading.Thread(target=run, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Send the browsers away (they come back to the next process) and end everything that was started."""
        self.door.close_all()
        self.checks.end()
        self.door.end()
        self._ended.set()
        self.bringing.close()
        self.pool.close()
        self.engine.close()
        for thread in self._threads:
            thread.join(timeout=2)
        self.database.dispose()

    # -- what the engine tells, on its reader thread ------------------------------------------------------------------

    def _on_event(self, event: dict[str, Any]) -> None:
        self.relay.on_event(event)
        self.rooms.on_event(event)
        match event["event"]:
            case "connected":
                self.pool.submit(self._engine_back)
            case "disconnected":
                _log.warning("engine_lost")
                tell(self.pages.all(), "engine", {"up": False})
            case "lab.state":
                self._lab_state(Lab.from_wire(event["lab"]))
            case "error":
                _log.error("engine_did_not_understand", error=event["error"])

    def _engine_back(self) -> None:
        _log.info("engine_connected")
        self.learn_kernel()
        self.relay.reattach()
        self.rooms.watch_again()
        for page in self.pages.all():
            page.send("engine", {"up": True})
        for lab in {page.lab for page in self.pages.all() if page.lab}:
            try:
                self._lab_state(self.engine.lab_get(lab))
            except Disconnected:
                return
            except NotFound:  # it did not outlive the engine
                self._lab_state(Lab(lab, state="ended", reason="gone"))
            except EngineError as error:
                _log.warning("lab_not_asked_for", lab=lab, reason=str(error))

    def learn_kernel(self) -> None:
        """Tell the lessons for the engine's kernel: it is this machine's, so the first answer stays true."""
        try:
            info = self.engine.engine_info()
            self.catalogue.choose(info.cgroup, info.abilities)
        except (Disconnected, EngineError) as error:
            _log.warning("kernel_not_known", reason=str(error))

    def _lab_state(self, lab: Lab) -> None:
        for page in self.pages.of_lab(lab.id):
            self._tell_lab(page, lab)
        if lab.state == "ready":
            self.pool.submit(self.rooms.watch_again)

    def _tell_lab(self, page: Page, lab: Lab) -> None:
        page.send("lab", lab_json(self.words, page.lang, lab, page.attempt, page.lesson.id if page.lesson else ""))

    # -- pages --------------------------------------------------------------------------------------------------------

    def _page_left(self, page: Page) -> None:
        self.checks.close(page)
        self.pool.submit(self._forget, page)

    def _forget(self, page: Page) -> None:
        self.relay.drop(page)
        self.rooms.leave(page.lab)

    def lab_began_afresh(self, lab: Lab, attempt: int | None) -> None:
        """A lab was reset: its terminals are gone; every page with it attaches new ones."""
        for page in self.pages.of_lab(lab.id):
            page.attempt = attempt
            page.terminals.clear()
            self.relay.drop(page)
            self._tell_lab(page, lab)
            page.send("terminals", {"terminals": []})
            if page.lesson is not None and page.step:
                self.pool.submit(self.actions.open_step, page, page.lesson.step(page.step))

    def has_room(self) -> bool:
        """Whether one more page finds a thread.

        Only transports that are open count: Engine.IO keeps closed ones until its next round, up to a ping time-out
        later, and a class that comes back all at once must not be refused for the places it has just left.
        """
        transports = list(self.socketio.server.eio.sockets.values())
        return sum(not transport.closed for transport in transports) < self.settings.pages_max

    def _catch_up(self) -> None:
        while not self._ended.wait(1.0):
            self.rooms.catch_up()


def services() -> Services:
    """The services of the application that handles this request."""
    found: Services = current_app.extensions[_EXTENSION]
    return found
