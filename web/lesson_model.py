"""What a lesson is, once loaded: plain frozen data, without a file, a parser or a page in it.

A lesson is a folder `lessons/NN-slug/`: `lesson.yaml` holds what is not language, `ja.md` and `en.md` the words.
`web.lessons` reads one into the classes below; pages, sockets and the command line only ever see these. Everything in
words is a mapping from the language's code ("ja", "en") to text; names ending in `html` or documented as HTML are
already rendered and safe to put in a page.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

LANGS = ("ja", "en")

CGROUPS = ("v1", "v2")
"""Versions of cgroups a lesson can have its own commands and checks for. A hybrid kernel, whose controllers are v1's,
counts as v1."""

Words = Mapping[str, str]
Predicate = Mapping[str, Any]
"""One name and its arguments; those of `any_of` are a list of predicates."""


class LessonError(Exception):
    """A mistake in a lesson's files, said to its author.

    Args:
        file: the file as the author knows it, relative to the lessons' root.
        line: counted from 1; 0 where the whole file is meant.
        expected: what was seen and what should stand there instead.
    """

    def __init__(self, file: str, line: int, expected: str) -> None:
        super().__init__(f"{file}:{line}: {expected}" if line else f"{file}: {expected}")
        self.file = file
        self.line = line
        self.expected = expected


@dataclass(frozen=True)
class Block:
    """One command block of a step's text. `mode` is run, copy or edit; `id` is STEP-N, the same in every language."""

    id: str
    mode: str
    terminal: str
    text: str
    line: int


@dataclass(frozen=True)
class Option:
    """One answer that can be chosen. `text` and `why` are HTML; `why` says what is right, or what makes it tempting."""

    id: str
    right: bool
    text: Words
    why: Words


@dataclass(frozen=True)
class Prediction:
    """A question to answer before running anything, or (in `Lesson.quiz`) after. `question` is HTML."""

    id: str
    question: Words
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Check:
    """Predicates that are all true when the learner has done it.

    goal: one line, HTML. tries: language -> result code -> HTML, this lesson's own advice for a result; it wins
    over the general one of `web.check_words`.
    """

    id: str
    predicates: tuple[Predicate, ...]
    goal: Words
    tries: Mapping[str, Words] = field(default_factory=dict)


@dataclass(frozen=True)
class Typed:
    """Keys for a terminal, as a person would type them; the last line ends with a newline."""

    terminal: str
    text: str


@dataclass(frozen=True)
class Action:
    """Something done to a lab: first `run` (a bash script, to exit with status 0), then each of `typed` in order."""

    run: str = ""
    typed: tuple[Typed, ...] = ()


@dataclass(frozen=True)
class Wrong:
    """A wrong action that people take: after it `check` fails with `code`, for which the text has its own advice."""

    id: str
    action: Action
    check: str
    code: str


@dataclass(frozen=True)
class Part:
    """A piece of a step's text in reading order: kind "html" (html), or "predict" (ref is the prediction's id)."""

    kind: str
    html: str = ""
    ref: str = ""


@dataclass(frozen=True)
class Step:
    id: str
    title: Words
    html: Words
    """The whole text with the predictions as forms in their places."""
    parts: Mapping[str, tuple[Part, ...]]
    """The same in pieces, for a template which draws predictions itself."""
    checks: tuple[Check, ...]
    predictions: tuple[Prediction, ...]
    hints: Mapping[str, tuple[str, ...]]
    learnt: Words
    """One line, HTML: what a person knows who has done this step."""
    notes: Words
    """For the instructor, HTML; may be empty."""
    setup: str
    solve: Action
    wrong: tuple[Wrong, ...]
    terminals: tuple[str, ...]
    view: str
    blocks: Mapping[str, tuple[Block, ...]]
    needs: tuple[str, ...] = ()
    """What the kernel must have been built with: `abilities` of engine.info."""

    def prediction(self, ref: str) -> Prediction:
        """Raises KeyError when there is none of that id."""
        return by_id(self.predictions, ref)

    def check(self, ref: str) -> Check:
        """Raises KeyError when there is none of that id."""
        return by_id(self.checks, ref)


@dataclass(frozen=True)
class Lesson:
    number: int
    slug: str
    """The folder's name, `03-namespaces`: what stands in addresses."""
    id: str
    minutes: int
    title: Words
    """Plain text, short: "Namespaces"."""
    question: Words
    """Plain text: the question of the talk that the lesson answers."""
    intro: Words
    outro: Words
    notes: Words
    """intro, outro, notes (for the instructor): HTML."""
    steps: tuple[Step, ...]
    quiz: tuple[Prediction, ...]
    lab: Mapping[str, Any]
    """The lab's shape, as `lab.create` takes it."""
    needs: tuple[int, ...]
    """Numbers of lessons that should be known."""
    kernel: tuple[str, ...]
    """Names of namespaces the kernel must have, as in /proc/self/ns."""
    left_out: tuple[Step, ...] = ()
    """Steps that this machine's kernel cannot do."""

    def where(self, abilities: Collection[str]) -> Lesson:
        """The lesson on a machine whose kernel has these abilities: without the steps that need others."""
        left_out = tuple(step for step in self.steps if not set(step.needs) <= set(abilities))
        if not left_out:
            return self
        return replace(self, steps=tuple(step for step in self.steps if step not in left_out), left_out=left_out)

    def step(self, ref: str) -> Step:
        """Raises KeyError when there is none of that id."""
        return by_id(self.steps, ref)


@dataclass
class Catalogue:
    """All lessons that could be read, in order, told for one kernel; and the mistakes in the others."""

    root: Path
    variants: Mapping[str, tuple[Lesson, ...]]
    """The same lessons for each of CGROUPS."""
    errors: tuple[LessonError, ...]
    cgroup: str = CGROUPS[-1]
    lessons: tuple[Lesson, ...] = field(init=False)
    """Those to be told here."""

    def __post_init__(self) -> None:
        self.choose(self.cgroup)

    def choose(self, kind: str, abilities: Collection[str] | None = None) -> None:
        """Tell the lessons for this kernel from now on.

        Args:
            kind: "v1", "v2" or "hybrid", as the engine says it.
            abilities: what else it says of the kernel; None while nobody knows, and then nothing is left out.
        """
        self.cgroup = cgroup_of(kind)
        told = self.variants[self.cgroup]
        self.lessons = told if abilities is None else tuple(lesson.where(abilities) for lesson in told)

    def get(self, slug: str) -> Lesson:
        """A lesson by folder name, id or number as text. Raises KeyError when there is none."""
        for lesson in self.lessons:
            if slug in (lesson.slug, lesson.id, str(lesson.number)):
                return lesson
        raise KeyError(slug)


def cgroup_of(kind: str) -> str:
    """Which of CGROUPS a kernel with this kind of cgroups gets."""
    return "v1" if kind in ("v1", "hybrid") else "v2"


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


_T = TypeVar("_T", bound=_HasId)


def by_id(things: Sequence[_T], ref: str) -> _T:
    """The thing whose id is `ref`. Raises KeyError when there is none."""
    for thing in things:
        if thing.id == ref:
            return thing
    raise KeyError(ref)
