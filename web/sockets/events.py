"""What a page says to the lab over its websocket: one method an event.

All handlers are registered on python-socketio's server and not through Flask-SocketIO's decorators, which would build
a Flask request context for every key pressed. With `async_handlers=False` they run on the page's own receive thread,
in order: a key can never overtake the one before it. The price is that a handler must not take long, or the page's
pings starve; what may take long goes to the worker pool and comes back as an event.

`guarded` is the border: whatever goes wrong in a handler becomes a sentence for the page, and the connection lives on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from engine.client import Disconnected, EngineClient
from engine.errors import EngineError
from web.actions import Actions
from web.background import Background
from web.bringing import Bringing
from web.checks import Checks
from web.i18n import Translations
from web.labs import LearnerLabs
from web.lesson_model import Catalogue, Lesson, Step
from web.progress import Progress
from web.rooms import Rooms
from web.sockets import messages
from web.sockets.connections import Page, Pages, monotonic
from web.terminal.relay import Relay, terminal_json
from web.trouble import BadMessage, Trouble

_log = structlog.get_logger(__name__)
Handler = Callable[..., Any]
_ENTER = (b"\r", b"\n", b"\x04")


class Events:
    """See the module."""

    def __init__(
        self,
        *,
        engine: EngineClient,
        catalogue: Catalogue,
        labs: LearnerLabs,
        pages: Pages,
        progress: Progress,
        relay: Relay,
        rooms: Rooms,
        checks: Checks,
        actions: Actions,
        bringing: Bringing,
        pool: Background,
        trouble: Trouble,
        words: Translations,
        input_bytes: int,
    ) -> None:
        self._engine = engine
        self._catalogue = catalogue
        self._labs = labs
        self._pages = pages
        self._progress = progress
        self._relay = relay
        self._rooms = rooms
        self._checks = checks
        self._actions = actions
        self._bringing = bringing
        self._pool = pool
        self._trouble = trouble
        self._words = words
        self._input_bytes = input_bytes

    def handlers(self) -> dict[str, Handler]:
        """Event name -> handler as python-socketio calls it: `handler(sid, *arguments)`."""
        kinds: dict[str, tuple[Handler, str]] = {
            "open": (self.open, "open"),
            "attach": (self.attach, "attach"),
            "detach": (self.detach, "attach"),
            "close": (self.close, "attach"),
            "input": (self.input, "input"),
            "ack": (self.ack, "ack"),
            "resize": (self.resize, "resize"),
            "type": (self.type, "type"),
            "step": (self.step, "other"),
            "check": (self.check, "check"),
            "solve": (self.solve, "solve"),
            "bring": (self.bring, "solve"),
            "lang": (self.lang, "other"),
        }
        return {name: self.guarded(name, handler, kind) for name, (handler, kind) in kinds.items()}

    def guarded(self, name: str, handler: Handler, kind: str) -> Handler:
        """The border of an event; see the module. Errors of events without an answer are shown as `trouble`."""

        def guard(sid: str, *args: Any) -> Any:
            page = self._pages.get(sid)
            if page is None:
                return {"error": {"kind": "gone", "message": "", "hint": ""}}
            try:
                if not page.limits.allow(kind, monotonic()):
                    raise BadMessage("too_fast")
                return handler(page, *args)
            except BadMessage as bad:
                self._trouble.tell(page, bad.code, **bad.params)
                return self._trouble.of_code(page.lang, bad.code, **bad.params).as_json()
            except TypeError:
                # Too few or too many arguments; but also a fault of ours, so it is logged.
                _log.warning("bad_event", event_name=name, sid=sid, exc_info=True)
                return self._trouble.of_code(page.lang, "bad_message", what=name).as_json()
            except EngineError as error:
                return self._trouble.of_engine(page.lang, error).as_json()
            except Exception:  # the border of the event
                _log.exception("event_failed", event_name=name, sid=sid)
                return self._trouble.of_code(page.lang, "internal").as_json()

        return guard

    # -- the fast ones: no answer, no wait ----------------------------------------------------------------------------

    def input(self, page: Page, terminal: object, data: object) -> None:
        """Keys, as bytes."""
        name = messages.terminal(terminal)
        typed = messages.typed(data, self._input_bytes)
        if not page.limits.allow("input_bytes", monotonic(), len(typed)):
            raise BadMessage("too_fast")
        try:
            self._relay.input(page, name, typed)
        except Disconnected:
            self._trouble.tell(page, "not_typed", terminal=name)
            return
        except EngineError as error:
            self._trouble.tell(page, "no_terminal", detail=str(error), terminal=name)
            return
        if any(mark in typed for mark in _ENTER):
            self._checks.entered(page)

    def ack(self, page: Page, stream: object, consumed: object) -> None:
        """The page has drawn everything before `consumed`."""
        self._relay.ack(page, messages.number(stream, 0, 2**31, "stream"), messages.offset(consumed))

    def resize(self, page: Page, message: object) -> None:
        """The owner's window has another size."""
        asked = messages.fields(message)
        self._relay.resize(page, messages.terminal(asked.get("terminal")), *messages.size(asked))

    # -- opening ------------------------------------------------------------------------------------------------------

    def open(self, page: Page, message: object) -> dict[str, Any]:
        """The page shows this lesson; if the learner has a lab for it, look at that one from now on."""
        asked = messages.fields(message)
        lesson = self._lesson(asked)
        page.lang = messages.lang(asked.get("lang"), page.lang)
        up = self._engine.connected
        own = self._labs.living(page.who.learner, lesson.id) if up else None
        self._enter(page, lesson, own.lab.id if own else "", own.attempt if own else None)
        terminals = []
        if own is not None:
            self._rooms.join(page, own.lab.id)
            terminals = [terminal_json(each) for each in self._engine.terminal_list(own.lab.id)]
        if asked.get("step"):
            self._open_step(page, self._step(page, asked))
        return {"lab": own.as_json(self._words, page.lang) if own else None, "terminals": terminals, "up": up}

    def _enter(self, page: Page, lesson: Lesson, lab: str, attempt: int | None) -> None:
        with page.lock:
            left, page.lab, page.lesson, page.attempt = page.lab, lab, lesson, attempt
        if left and left != lab:
            self._relay.drop(page)
            page.terminals.clear()
            self._rooms.leave(left)
            self._checks.close(page)

    def attach(self, page: Page, message: object) -> dict[str, Any]:
        """Show a terminal of the open lab in the page."""
        asked = messages.fields(message)
        name = messages.terminal(asked.get("terminal"))
        number = messages.number(asked.get("stream"), 0, 2**31, "stream")
        start = asked.get("from")
        rows, cols = messages.size(asked)
        if not page.lab:
            raise BadMessage("no_lab")
        if not self._engine.connected:
            # Asking would wait for the engine on the thread that also takes this page's pings.
            raise Disconnected("The engine is away.", "The page attaches again when it is back.")
        first = None if start is None else messages.offset(start)
        answer = self._relay.attach(page, name, number, first, rows, cols)
        self._rooms.tell_where(page, name)
        return answer

    def detach(self, page: Page, message: object) -> dict[str, Any]:
        """Show it no longer."""
        self._relay.detach(page, messages.number(messages.fields(message).get("stream"), 0, 2**31, "stream"))
        return {}

    def close(self, page: Page, message: object) -> dict[str, Any]:
        """Hang it up."""
        self._relay.close(page, messages.terminal(messages.fields(message).get("terminal")))
        return {}

    def type(self, page: Page, message: object) -> dict[str, Any]:
        """A command block's text, exactly once for its key, also when the message is sent again after a reconnect."""
        asked = messages.fields(message)
        name = messages.terminal(asked.get("terminal"))
        text = messages.typed(asked.get("text"), self._input_bytes)
        typed = self._relay.type_once(page, name, text, messages.key(asked.get("key")))
        self._checks.entered(page)
        return {"typed": typed}

    # -- steps --------------------------------------------------------------------------------------------------------

    def step(self, page: Page, message: object) -> dict[str, Any]:
        """The page shows this step: set it up, watch its checks."""
        self._open_step(page, self._step(page, messages.fields(message)))
        return {}

    def _open_step(self, page: Page, step: Step) -> None:
        page.step = step.id
        if page.lesson is not None:
            self._progress.visit(page.who.learner, page.lesson.id, step.id)
        self._checks.close(page)
        if page.lab and not self._pool.submit(self._actions.open_step, page, step):
            raise BadMessage("busy")

    def check(self, page: Page, message: object = None) -> dict[str, Any]:
        """Look now. Waits a moment for the answer; one that takes longer comes as `checks`."""
        return {"results": self._checks.now(page)}

    def solve(self, page: Page, message: object) -> dict[str, Any]:
        """Show how this step is done."""
        asked = messages.fields(message)
        step = self._step(page, asked)
        if not page.lab:
            raise BadMessage("no_lab")
        key = messages.key(asked["key"]) if asked.get("key") else f"{page.sid}/{monotonic():.3f}"
        if not self._pool.submit(self._actions.solve, page, step, key):
            raise BadMessage("busy")
        return {}

    def bring(self, page: Page, message: object) -> dict[str, Any]:
        """Do the steps before this one; `bringing` and `brought` tell how far it is."""
        asked = messages.fields(message)
        step = self._step(page, asked)
        key = messages.key(asked["key"]) if asked.get("key") else f"{page.sid}/{monotonic():.3f}"
        self._bringing.begin(page, step, key)
        return {}

    def lang(self, page: Page, message: object) -> dict[str, Any]:
        """The page speaks another language from now on."""
        page.lang = messages.lang(messages.fields(message).get("lang"), page.lang)
        self._checks.on_demand(page)
        return {}

    def _lesson(self, asked: Mapping[str, Any]) -> Lesson:
        ref = asked.get("lesson")
        try:
            return self._catalogue.get(ref if isinstance(ref, str) else "")
        except KeyError:
            raise BadMessage("no_lesson") from None

    def _step(self, page: Page, asked: Mapping[str, Any]) -> Step:
        if page.lesson is None:
            raise BadMessage("no_lesson")
        try:
            return page.lesson.step(messages.word(asked, "step"))
        except KeyError:
            raise BadMessage("no_step") from None
