"""The shape of `lesson.yaml`, as pydantic models, and reading one with a line for every mistake.

lesson.yaml holds what is the same in every language:

    id: namespaces            minutes: 20            needs: [1]            kernel: [uts, pid]
    lab: {}                   the lab's shape, passed to lab.create
    quiz: [one, two]          ids of the questions at the end, asked in the words' files
    steps:
      - id: uts
        terminals: [lab, second]          view: namespaces
        setup: a bash script, run when the step is opened
        checks:  [{id: own-name, predicates: [{process_in_ns: {kinds: [uts], hostname: box}}]}]
        solve:   {type: "unshare -u bash\\n…"}  or  {type: [{terminal: lab, text: …}]}  and/or  {run: script}
        wrong:   [{id: plain-hostname, type: "hostname box\\n", check: own-name, code: process_in_ns.lab_hostname}]

Where cgroup v1 and v2 need other actions, `when: {cgroup: v1}` beside the keys of a check, a wrong action or one of
several solutions says for whom it is: solve: [{when: {cgroup: v1}, type: …}, {when: {cgroup: v2}, type: …}].

`type` is typed into a terminal as a person would (a plain text goes to a terminal of its own, named "show", so that a
learner watches it and what it starts stays alive with that terminal). `run` is a script run by the engine beside the
terminals, for preparation that needs no watching.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from web import bounded
from web.lesson_model import CGROUPS, Action, LessonError, Typed
from web.markup import NAMESPACES

SHOW = "show"
"""The terminal in which a solution is typed before the learner's eyes."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)]
Terminal = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,15}$")]
Script = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$")]
# Which there are, and what they take, is the engine's (docs/predicates.schema.json).
Predicate = dict[str, Any]


class _Strict(BaseModel):
    # The docstring below a key is what an editor says of it (lesson_json_schema.py).
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class WhenModel(_Strict):
    """For which kernels something is. Without it: for all."""

    cgroup: Literal["v1", "v2"]
    """The version of cgroups; hybrid kernels count as v1."""


class _Variant(_Strict):
    when: WhenModel | None = None
    """For which kernels it is; left out: for all."""

    def fits(self, cgroup: str) -> bool:
        """Whether it is for kernels with this version of cgroups."""
        return self.when is None or self.when.cgroup == cgroup


class TypedModel(_Strict):
    """Keys for one terminal."""

    terminal: Terminal = SHOW
    """Which one; usually "show", a terminal of its own."""
    text: Script
    """What is typed, as a person would type it: each line ends with Enter."""


class ActionModel(_Variant):
    """Something done to a lab: first `run`, then what is typed."""

    type: list[TypedModel] = []
    """Typed into a terminal: a learner can watch, and what it starts stays alive. A plain text goes to "show"."""
    run: str = Field("", max_length=4000)
    """A bash script, run beside the terminals; it must end with status 0."""

    @field_validator("type", mode="before", json_schema_input_type=Script | list[TypedModel])
    @classmethod
    def _plain_text(cls, value: object) -> object:
        return [{"text": value}] if isinstance(value, str) else value

    def action(self) -> Action:
        return Action(self.run, tuple(Typed(one.terminal, one.text) for one in self.type))


class WrongModel(ActionModel):
    """A wrong action that people really take."""

    id: Slug
    """Its name in the tests."""
    check: Slug
    """The check that must fail after it."""
    code: Code
    """The result it must fail with, as in engine/predicates/codes.py; the words' files have advice for it."""


class CheckModel(_Variant):
    """What must be so when the learner has done it."""

    id: Slug
    """Its name; `:::check ID` in the words' files has its goal."""
    predicates: list[Predicate] = Field(min_length=1, max_length=8)
    """All of them must hold at the same moment; docs/lessons.md lists them."""

    @field_validator("predicates")
    @classmethod
    def _one_name_each(cls, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for predicate in value:
            if len(predicate) != 1:
                raise ValueError(f"a predicate has {len(predicate)} names; expected one, as {{process_in_ns: {{…}}}}")
            ((name, given),) = predicate.items()
            if not isinstance(given, list if name == "any_of" else dict):
                form = "[{…}, {…}]" if name == "any_of" else "{…}"
                raise ValueError(f"the predicate {name} has {given!r:.60}; expected {name}: {form}")
        return value


class StepModel(_Strict):
    """One step: one question answered by doing something."""

    id: Slug
    """Its name; the words' files have a section {#ID}."""
    terminals: list[Terminal] = Field(["lab"], min_length=1, max_length=4)
    """The terminals that are open."""
    view: Literal["namespaces", "cgroups", "layers", "network", "timeline"] = "namespaces"
    """The live view that comes to the front when the step is opened."""
    needs: list[Literal["io-throttle"]] = []
    """What the kernel must have been built with; where it was not, the step is left out and the page says so."""
    setup: str = Field("", max_length=4000)
    """A bash script that prepares the lab when the step is opened."""
    checks: list[CheckModel] = Field(min_length=1, max_length=6)
    """The step is done when all of them hold."""
    solve: list[ActionModel] = Field(min_length=1, max_length=len(CGROUPS))
    """What passes the step: for "show me", for late joiners, and for the test."""
    wrong: list[WrongModel] = Field(min_length=1, max_length=8)
    """At least one wrong action that people really take."""

    @field_validator("solve", mode="before", json_schema_input_type=ActionModel | list[ActionModel])
    @classmethod
    def _one_for_all(cls, value: object) -> object:
        return value if isinstance(value, list) else [value]


class LessonModel(_Strict):
    """What of a lesson is the same in every language."""

    id: Slug
    """Its name; usually the folder's without the number."""
    minutes: int = Field(ge=1, le=120)
    """How long it takes a person who does it."""
    needs: list[int] = []
    """Numbers of the lessons that one should know."""
    kernel: list[str] = []
    """Kinds of namespaces that the kernel must have."""
    lab: dict[str, Any] = {}
    """The shape of the lab, as lab.create takes it."""
    setup: str = Field("", max_length=4000)
    """A bash script that prepares the lab for every step, before the step's own."""
    quiz: list[Slug] = []
    """The questions at the end, in order."""
    steps: list[StepModel] = Field(min_length=1, max_length=12)
    """The steps, in order."""

    @field_validator("kernel")
    @classmethod
    def _namespaces(cls, value: list[str]) -> list[str]:
        for kind in value:
            if kind not in NAMESPACES:
                raise ValueError(f'"{kind}" is no kind of namespace; expected one of {", ".join(NAMESPACES)}')
        return value


class Lines:
    """Where things stand in one lesson.yaml."""

    def __init__(self, name: str, node: Any) -> None:
        self.name = name
        self._node = node

    def at(self, *path: str | int) -> int:
        return bounded.line_of(self._node, path)


def read(path: Path, name: str) -> tuple[LessonModel, Lines]:
    """One lesson.yaml, checked.

    Args:
        path: the file.
        name: what to call it in errors.

    Raises:
        LessonError: at the first mistake, with its line.
    """
    data, node = bounded.yaml_document(bounded.text(path, name), name)
    lines = Lines(name, node)
    if not isinstance(data, dict):
        raise LessonError(name, 1, f"is a {type(data).__name__}; expected a mapping with id, minutes, steps")
    try:
        model = LessonModel.model_validate(data)
    except ValidationError as error:
        # A misspelt key is two errors, one missing and one unknown; the unknown one names the line to change.
        first = min(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
        raise LessonError(name, lines.at(*first["loc"]), _sentence(first)) from None
    _unique(lines, ("steps",), [step.id for step in model.steps])
    for index, step in enumerate(model.steps):
        _check_step(lines, index, step)
    if all(step.needs for step in model.steps):
        raise LessonError(name, lines.at("steps"), "every step has `needs`; expected one that any kernel can do")
    return model, lines


def _check_step(lines: Lines, index: int, step: StepModel) -> None:
    here = ("steps", index)
    for cgroup in CGROUPS:
        checks = [check.id for check in step.checks if check.fits(cgroup)]
        for key, things in (("checks", step.checks), ("wrong", step.wrong)):
            ids = ["" if not one.fits(cgroup) else one.id for one in things]
            _unique(lines, (*here, key), ids)
        solutions = [one for one in step.solve if one.fits(cgroup)]
        if len(solutions) != 1:
            said = f"{len(solutions)} solutions for cgroup {cgroup}; expected one"
            raise LessonError(lines.name, lines.at(*here, "solve"), said)
        if not (solutions[0].type or solutions[0].run):
            raise LessonError(lines.name, lines.at(*here, "solve"), "solve does nothing; expected `type` or `run`")
        for key, found in (("checks", checks), ("wrong", [one for one in step.wrong if one.fits(cgroup)])):
            if not found:
                raise LessonError(lines.name, lines.at(*here, key), f"no {key} for cgroup {cgroup}; expected one")
        _check_wrong(lines, here, step, cgroup, checks)


def _check_wrong(lines: Lines, here: Sequence[str | int], step: StepModel, cgroup: str, checks: list[str]) -> None:
    for number, wrong in enumerate(step.wrong):
        if not wrong.fits(cgroup):
            continue
        at = lines.at(*here, "wrong", number, "check")
        if wrong.check not in checks:
            hint = bounded.nearest(wrong.check, checks)
            known = ", ".join(checks)
            said = f'no check "{wrong.check}" in the step "{step.id}"; expected one of {known}{hint}'
            raise LessonError(lines.name, at, said)


def _unique(lines: Lines, path: Sequence[str | int], ids: list[str]) -> None:
    for index, one in enumerate(ids):
        if one and one in ids[:index]:  # "": for the other version of cgroups
            raise LessonError(lines.name, lines.at(*path, index), f'the id "{one}" is there already; expected another')


def _sentence(error: Any) -> str:
    """A pydantic error in the words an author needs: which key, what was seen, what was expected."""
    where = ".".join(str(part) for part in error["loc"])
    kind, key = error["type"], str(error["loc"][-1]) if error["loc"] else ""
    if kind == "extra_forbidden":
        known = _fields_at(error["loc"][:-1])
        return f'unknown key "{key}"; expected one of {", ".join(known)}{bounded.nearest(key, known)}'
    if kind == "missing":
        return f'the key "{where}" is missing; expected it here'
    if kind == "value_error":
        return f"{where}: {error['ctx']['error']}"
    seen = repr(error["input"])
    return f"{where}: {seen[:80]}; expected {error['msg'][0].lower()}{error['msg'][1:].removeprefix('nput should be ')}"


def _fields_at(path: Sequence[str | int]) -> list[str]:
    """The keys that the schema knows at a path."""
    model: type[BaseModel] = LessonModel
    inner: dict[str, type[BaseModel]] = {
        "steps": StepModel,
        "checks": CheckModel,
        "solve": ActionModel,
        "wrong": WrongModel,
        "type": TypedModel,
        "when": WhenModel,
    }
    for part in path:
        model = inner.get(str(part), model)
    return list(model.model_fields)
