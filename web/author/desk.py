"""What an author is working on: the lessons read again whenever a file changes, and the mistakes in them.

Nothing watches in the background: whoever asks (a page request, a page that waits for news) looks at the files' times
first, which for a few dozen files takes a millisecond. A file is read in the moment in which an editor writes it? Then
it has a mistake, and is right at the next look.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from web import glossary, lesson_lint, lessons
from web.lesson_model import Catalogue, LessonError

LOOK_S = 0.3
FILES_MAX = 2000
"""Of all lessons together; what is beyond is not looked at."""

Times = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class News:
    """revision: goes up with every change. broken: folders of the lessons that cannot be shown."""

    revision: int
    mistakes: tuple[LessonError, ...]
    broken: tuple[str, ...]


class Desk:
    """See the module. Called on request threads, several at once.

    Args:
        catalogue: what the pages show; changed in place.
        source: the checkout, for links into our own code.
        codes, predicates: as `lesson_lint.lint` takes them.
        changed: called after each change with what is wrong now.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        source: Path,
        codes: set[str],
        predicates: Mapping[str, Any],
        changed: Callable[[News], None],
    ) -> None:
        self._catalogue, self._source = catalogue, source
        self._codes, self._predicates = codes, predicates
        self._changed = changed
        self._lock = threading.Lock()
        self._seen: Times | None = None
        self._linted: dict[str, tuple[Times, tuple[LessonError, ...]]] = {}
        self._news = News(0, (), ())

    def look(self) -> News:
        """Read again what has changed since the last look."""
        with self._lock:
            now = times(self._catalogue.root)
            if now != self._seen:
                self._seen = now
                self._read(now)
                self._changed(self._news)
            return self._news

    def wait(self, seen: int, patience_s: float) -> News:
        """The next news after revision `seen`, or the same after `patience_s` seconds."""
        end = time.monotonic() + patience_s
        while (news := self.look()).revision == seen and time.monotonic() < end:
            time.sleep(LOOK_S)
        return news

    def _read(self, now: Times) -> None:
        fresh = lessons.load(self._catalogue.root)
        mistakes = {str(error): error for error in fresh.errors}
        for folder in sorted({name.partition("/")[0] for name in now if "/" in name}):
            for error in self._lint(
                folder, {name: when for name, when in now.items() if name.startswith(f"{folder}/")}
            ):
                mistakes.setdefault(str(error), error)
        self._catalogue.variants, self._catalogue.errors = fresh.variants, fresh.errors
        self._catalogue.choose(self._catalogue.cgroup)
        shown = {lesson.slug for lesson in fresh.lessons}
        broken = {error.file.partition("/")[0] for error in fresh.errors} - shown
        self._news = News(self._news.revision + 1, tuple(mistakes.values()), tuple(sorted(broken)))

    def _lint(self, folder: str, now: Times) -> tuple[LessonError, ...]:
        """The mistakes of one lesson, found anew only if one of its files has changed."""
        path = self._catalogue.root / folder
        if not (path / "lesson.yaml").is_file():
            return ()
        if folder not in self._linted or self._linted[folder][0] != now:
            found = lesson_lint.lint(path, self._source, self._codes, self._predicates)
            self._linted[folder] = (now, tuple(found))
        return self._linted[folder][1]


def times(root: Path) -> Times:
    """Name below `root` -> time of the last change and size, of the glossary and the files of lessons."""
    found: dict[str, tuple[int, int]] = {}
    for path in [root / glossary.NAME, *sorted(root.glob("[0-9][0-9]-*/**/*"))[:FILES_MAX]]:
        try:
            if path.is_file():
                seen = path.stat()
                found[str(path.relative_to(root))] = (seen.st_mtime_ns, seen.st_size)
        except OSError:
            continue  # an editor's own file, gone again
    return found
