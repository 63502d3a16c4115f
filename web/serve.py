"""Runs the web process: gunicorn's gthread worker, one of it, with the settings this application needs.

    HAKO_WEB_PORT=8000 python -m web.serve

One worker, because Socket.IO needs a page's packets in one process and gunicorn cannot send them there; many threads,
because every open page holds one. At SIGTERM the pages' transports are closed first:
gunicorn would wait for them to end by themselves, and browsers would see a broken connection instead of an invitation
to come back.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from engine.errors import EngineError
from web import logs
from web.application import create_app
from web.services import Services
from web.settings import WebSettings

#: How long a stopping worker waits for requests in flight; an answer takes milliseconds, making a lab a few seconds.
GRACE_S = 5


def options(settings: WebSettings) -> dict[str, Any]:
    """gunicorn's settings."""
    return {
        "bind": [f"{_bracketed(settings.listen)}:{settings.port}"],
        "worker_class": "gthread",
        "workers": 1,
        "threads": settings.threads,
        # Must be above `threads`, else no idle keep-alive connection is kept at all.
        "worker_connections": settings.threads + 1000,
        "graceful_timeout": GRACE_S,
        # A stopping worker waits this long for idle connections (2 s at most), and a page needs its few files at once.
        "keepalive": 1,
        "max_requests": 0,  # never recycle a worker: it would cut every terminal
        "timeout": 30,  # the heartbeat of the worker's main loop, not a limit on websockets
        "worker_tmp_dir": "/dev/shm",  # the heartbeat file; on a disk its fsync can stall the worker
        "control_socket_disable": True,  # gunicorn 27 would open one below the home directory
        "forwarded_allow_ips": "*" if settings.trusted_proxies else "127.0.0.1,::1",
        "proc_name": "hako-web",
        "pre_fork": pre_fork,
        "post_fork": post_fork,
        "post_worker_init": post_worker_init,
        "worker_exit": worker_exit,
        "logconfig_dict": _quiet(),
        "accesslog": None,
    }


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn is untyped
    """gunicorn with our application, without its command line and configuration files."""

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings
        self.services: Services | None = None
        super().__init__()

    def load_config(self) -> None:
        for name, value in options(self._settings).items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """In the worker: threads and database connections do not survive a fork."""
        try:
            app = create_app(self._settings)
        except EngineError as error:
            print(f"{error.message}\n{error.hint}", file=sys.stderr, flush=True)
            sys.exit(Arbiter.APP_LOAD_ERROR)  # gunicorn ends, instead of trying again and again
        self.services = app.extensions["hako"]
        self.services.start()
        return app


def pre_fork(_server: Any, _worker: Any) -> None:
    """Take what has been imported so far out of the garbage collector's rounds: it lives as long as the process.

    Saves a second at the end, when Python would look through all of it once more, and pages shared with the worker.
    """
    gc.freeze()


def post_fork(_server: Any, worker: Any) -> None:
    """Let the worker end with its master, however that ends; see prctl(2), PR_SET_PDEATHSIG.

    By itself it looks for its parent once a second and then gives its pages five more, while the port stays taken and
    the next web process cannot listen.
    """
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != worker.ppid:  # it died before the call
        os._exit(1)


def post_worker_init(worker: Any) -> None:
    """Put our part before gunicorn's own signal handlers; it calls no hook at SIGTERM."""
    gc.freeze()
    services: Services = worker.app.services
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, _before(services.door.close_all, signal.getsignal(number)))
        signal.siginterrupt(number, False)


def _before(first: Callable[[], None], then: Any) -> Callable[[int, FrameType | None], None]:
    def handler(number: int, frame: FrameType | None) -> None:
        # A thread: a signal handler interrupts whatever holds the locks that closing needs.
        closing = threading.Thread(target=first, name="closing", daemon=True)
        closing.start()
        if number != signal.SIGTERM:
            closing.join(timeout=1)  # gunicorn's own handler leaves at once on these
        then(number, frame)

    return handler


def worker_exit(_server: Any, worker: Any) -> None:
    """The last thing in a worker: end our threads and the connection to the engine."""
    services = worker.app.services
    if services is not None:
        services.close()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _quiet() -> dict[str, Any]:
    """gunicorn logs through our handlers, without its own format."""
    # Given a logconfig, gunicorn writes an access log whether asked to or not; a line for every file is noise.
    loggers = {
        "gunicorn.error": {"propagate": True, "handlers": []},
        "gunicorn.access": {"propagate": True, "handlers": [], "level": "WARNING"},
    }
    return {"version": 1, "disable_existing_loggers": False, "loggers": loggers, "root": None}


def main() -> int:
    """Run until a signal; 0 after a clean end."""
    settings = WebSettings()
    logs.configure(settings.log_format)
    Server(settings).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
