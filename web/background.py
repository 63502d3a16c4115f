"""A small pool of threads for what may take long: checks, set-ups, solutions, taking up streams again.

Bounded in both directions: so many threads, so many waiting jobs; one more is refused and its page told. A job that
fails is logged here, at the border of the task, and nowhere else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

_log = structlog.get_logger(__name__)


class Background:
    """See the module.

    Args:
        threads: jobs at a time.
        waiting: jobs that may be in hand or waiting.
    """

    def __init__(self, threads: int = 8, waiting: int = 256) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="background")
        self._room = threading.BoundedSemaphore(waiting)

    def submit(self, job: Callable[..., Any], *args: Any) -> bool:
        """Run `job(*args)` soon; False when too much is waiting or the process is ending."""
        if not self._room.acquire(blocking=False):
            return False
        try:
            self._pool.submit(self._run, job, args)
        except RuntimeError:  # the pool was shut down
            self._room.release()
            return False
        return True

    def _run(self, job: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            job(*args)
        except Exception:  # the border of the task
            _log.exception("background_job_failed", job=getattr(job, "__qualname__", str(job)))
        finally:
            self._room.release()

    def close(self) -> None:
        """Take no more jobs and forget those that have not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)
