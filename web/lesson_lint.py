"""What a lesson's author should be told beyond what `web.lessons` refuses: both languages equal, and nothing forgotten.

`lint(folder, …)` returns every mistake it finds, in the order of the files, as `LessonError`s. It reads files only:
whether the commands work and the checks tell right from wrong is what `web.lesson_trial` finds out, in real labs.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from web import bounded, glossary, lesson_predicates, lesson_schema, lessons
from web.i18n import Translations
from web.lesson_model import CGROUPS, LANGS, Lesson, LessonError, Step
from web.lesson_schema import LessonModel, Lines

HINTS = 3
"""How many stages of hints a step has: a thought, a direction, the commands."""

ENOUGH = 3
"""From so many questions on, a learner could guess by the place of the right answer."""

AVOID: Mapping[str, Mapping[str, str]] = {
    "ja": {
        r"DockerFile": "Dockerfile",
        r"軽量VM": "コンテナ（VMではない）",
        r"ネームスペース": "名前空間",
        r"写時複製": "コピーオンライト",
        r"コンテナに入": "コンテナの中でコマンドを実行する",
        r"OSが入っている": "ユーザーランドが入っている",
        r"統合ファイルシステム": "ユニオン…",
        r"コンテナー": "コンテナ",
        r"ユーザ(?!ー)": "ユーザー",
        r"レイヤ(?!ー)": "レイヤー",
        r"サーバ(?!ー)": "サーバー",
    },
    "en": {r"DockerFile": "Dockerfile", r"lightweight VM": "container"},
}
"""Language -> pattern -> the word of the glossary that stands there instead."""

_FENCE = re.compile(r"^(`{3,})([^\n`]*)\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!`)\[[^\]\n]+\]\(([^)\s]+)\)")
_FIGURE = re.compile(r"^:::figure +(\S+)", re.MULTILINE)
_WHEN = re.compile(r"^:::when +(\S+)", re.MULTILINE)
_PLACE = re.compile(r"‹[^›]+›")
_SOURCE = re.compile(r"(?:\.\./)+source/([^#]+)(?:#(.+))?")


@dataclass(frozen=True)
class _Found:
    """Something in the words: what it is, and where."""

    what: str
    line: int


def lint(folder: Path, source: Path, codes: Iterable[str], predicates: Mapping[str, Any]) -> list[LessonError]:
    """All mistakes of one lesson.

    Args:
        folder: `lessons/NN-slug`.
        source: the folder in which `engine/` and `web/` lie, for links into the code.
        codes: the result codes that have a sentence of ours, as `no_own_ns`.
        predicates: the engine's, as `web.lesson_predicates.known` gives them; none given: not checked.
    """
    try:
        variants = [lessons.lesson(folder, cgroup) for cgroup in CGROUPS]
    except LessonError as error:
        return [error]
    texts = {lang: bounded.text(folder / f"{lang}.md", f"{folder.name}/{lang}.md") for lang in LANGS}
    found = list(_equal(folder, texts))
    for entry in glossary.load(folder.parent).entries:
        for lang in LANGS:
            found += _words(glossary.NAME, lang, f"{entry.word[lang]} {entry.says[lang]}")
    for lang, text in texts.items():
        name = f"{folder.name}/{lang}.md"
        found += _words(name, lang, text)
        found += _links(name, text, source)
        found += _places(name, text)
        found += _both(name, text)
    found += _figures(folder, texts)
    found += _order(variants[0])
    model, lines = lesson_schema.read(folder / "lesson.yaml", f"{folder.name}/lesson.yaml")
    if predicates:
        found += _predicates(model, lines, predicates)
    found += _codes(model, lines, set(codes))
    for lesson in variants:
        for step in lesson.steps:
            found += _step(lesson, step, texts, set(codes))
    return list({str(error): error for error in found}.values())


def _equal(folder: Path, texts: Mapping[str, str]) -> Iterator[LessonError]:
    """Code blocks, links and figures are the same in all languages, one by one."""
    first = LANGS[0]
    for kind, collect in (
        ("code block", _fences),
        ("link", _targets),
        ("figure", _figure_names),
        ("variant", _variants),
    ):
        wanted = collect(texts[first])
        for lang in LANGS[1:]:
            here = collect(texts[lang])
            name = f"{folder.name}/{lang}.md"
            for one, other in zip(wanted, here, strict=False):
                if one.what != other.what:
                    said = f"{kind} differs from {first}.md:{one.line}; expected {_short(one.what)}"
                    yield LessonError(name, other.line, f"{said}, found {_short(other.what)}")
                    break
            else:
                if len(wanted) != len(here):
                    yield LessonError(name, 0, f"has {len(here)} of {kind}; expected {len(wanted)} as in {first}.md")


def _words(name: str, lang: str, text: str) -> Iterator[LessonError]:
    for number, line in enumerate(text.split("\n"), 1):
        for pattern, better in AVOID[lang].items():
            match = re.search(pattern, line)
            if match:
                yield LessonError(name, number, f'"{match[0]}" is not our word; expected {better}')


def _links(name: str, text: str, source: Path) -> Iterator[LessonError]:
    for link in _targets(text):
        match = _SOURCE.fullmatch(link.what)
        if match:
            problem = _source_problem(source, match[1], match[2] or "")
            if problem:
                yield LessonError(name, link.line, f"{link.what}: {problem}")
        elif not link.what.startswith(("https://", "#")):
            yield LessonError(name, link.line, f"{link.what}: expected ../../source/FILE#NAME, https:// or #place")


def _source_problem(source: Path, path: str, name: str) -> str:
    """Why a link into our own code leads nowhere, or ""."""
    file = source / path
    if ".." in Path(path).parts or not file.is_file():
        known = [str(one.relative_to(source)) for one in source.glob("engine/**/*.py")]
        return f"no such file; expected a file of this project{bounded.nearest(path, known)}"
    if not name or file.suffix != ".py":
        return ""
    named = [
        node for node in ast.walk(ast.parse(file.read_bytes())) if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    names = [node.name for node in named]
    return (
        ""
        if name in names
        else f"no function or class of that name; expected one of the file{bounded.nearest(name, names)}"
    )


def _places(name: str, text: str) -> Iterator[LessonError]:
    """`edit` blocks, and only they, have a ‹place› to fill in; what is typed by a button must be typable."""
    for match in _FENCE.finditer(text):
        mode, code, line = match[2].split(" ")[0], match[3], text.count("\n", 0, match.start()) + 1
        if mode == "edit" and not _PLACE.search(code):
            yield LessonError(name, line, "an edit block without a ‹place› to fill in; expected one, or ```run")
        if mode == "run" and _PLACE.search(code):
            yield LessonError(name, line, "a run block with a ‹place›; expected ```edit")
        if mode in ("run", "edit") and ("\t" in code or len(code.encode()) > 2000 or not code.strip()):
            yield LessonError(name, line, "cannot be typed; expected 1 to 2000 bytes without tabs")


def _both(name: str, text: str) -> Iterator[LessonError]:
    """In each section, what is said for one version of cgroups is said for the other as well."""
    for section in re.split(r"^(?=## )", text, flags=re.MULTILINE):
        said = Counter(one.what for one in _variants(section))
        line = text.count("\n", 0, text.find(section)) + 1
        for version in CGROUPS if said else ():
            if said[f"cgroup={version}"] != max(said.values()):
                yield LessonError(name, line, f"says less for cgroup {version}; expected a :::when cgroup={version}")


def _figures(folder: Path, texts: Mapping[str, str]) -> Iterator[LessonError]:
    used = {one.what for one in _figure_names(texts[LANGS[0]])}
    for path in sorted((folder / "figures").glob("*")):
        if path.name not in used:
            yield LessonError(
                f"{folder.name}/figures/{path.name}", 0, "is used nowhere; expected :::figure in the text"
            )


def _order(lesson: Lesson) -> Iterator[LessonError]:
    """The right answer does not always stand in the same place: a room notices."""
    questions = [*(one for step in lesson.steps for one in step.predictions), *lesson.quiz]
    right = [[option.right for option in one.options].index(True) for one in questions]
    if len(right) >= ENOUGH and len(set(right)) == 1:
        place = f"{right[0] + 1} of every question"
        yield LessonError(f"{lesson.slug}/{LANGS[0]}.md", 0, f"the right answer is number {place}; expected a mixture")


def result_codes(words: Translations) -> set[str]:
    """The codes a predicate's result may have: those for which there are sentences."""
    found = set()
    for key in words.keys(LANGS[0]):
        if key.startswith("check.") and key.endswith(".saw"):
            found.add(key.removeprefix("check.").removesuffix(".saw"))
    return found - {"broken"}


def _predicates(model: LessonModel, lines: Lines, known: Mapping[str, Any]) -> Iterator[LessonError]:
    for number, step in enumerate(model.steps):
        for index, check in enumerate(step.checks):
            for place, said in lesson_predicates.mistakes(check.predicates, known):
                line = lines.at("steps", number, "checks", index, "predicates", *place)
                yield LessonError(lines.name, line, f'step "{step.id}": {said}')


def _codes(model: LessonModel, lines: Lines, codes: set[str]) -> Iterator[LessonError]:
    for number, step in enumerate(model.steps):
        for index, wrong in enumerate(step.wrong):
            if wrong.code not in codes:
                said = f'step "{step.id}": no result code "{wrong.code}"{bounded.nearest(wrong.code, codes)}'
                yield LessonError(lines.name, lines.at("steps", number, "wrong", index, "code"), said)


def _step(lesson: Lesson, step: Step, texts: Mapping[str, str], codes: set[str]) -> Iterator[LessonError]:
    for lang in LANGS:
        name, text = f"{lesson.slug}/{lang}.md", texts[lang]
        line = text.count("\n", 0, max(0, text.find(f"{{#{step.id}}}"))) + 1
        problems = _step_words(step, lang, codes)
        yield from (LessonError(name, line, f'step "{step.id}": {problem}') for problem in problems)
    for block in step.blocks[LANGS[0]]:
        if block.terminal not in step.terminals:
            known = ", ".join(step.terminals)
            yield LessonError(
                f"{lesson.slug}/{LANGS[0]}.md", block.line, f'terminal "{block.terminal}"; expected one of {known}'
            )


def _step_words(step: Step, lang: str, codes: set[str]) -> Iterator[str]:
    """What one language lacks in one step."""
    if len(step.hints[lang]) != HINTS:
        yield f"has {len(step.hints[lang])} hints; expected {HINTS}"
    if not step.notes[lang]:
        yield "has no :::notes for the instructor; expected some"
    if 'class="see"' not in step.html[lang]:
        yield "has no :::see; expected what to look for in the live view"
    if not step.predictions:
        yield "has no :::predict; expected a question before the commands"
    for wrong in step.wrong:
        if wrong.code not in step.check(wrong.check).tries[lang]:
            yield f'check "{wrong.check}" has no advice for `{wrong.code}`, the result of the wrong action "{wrong.id}"'
    for check in step.checks:
        for code in set(check.tries[lang]) - codes:
            yield f'check "{check.id}": no result code "{code}"{bounded.nearest(code, codes)}'
        for code in set(check.tries[lang]) ^ set(check.tries[LANGS[0]]):
            yield f'check "{check.id}": advice for `{code}` stands in one language only'
    prose = re.sub(r"<(pre|svg|code)\b.*?</\1>", "", step.html[lang], flags=re.DOTALL)
    leftover = re.search(r"\*\*?\S|:[a-z]+\[|\]\(", prose)
    if leftover:
        yield f'Markdown was left as it is: "{prose[leftover.start() : leftover.start() + 30]}"'


def _fences(text: str) -> list[_Found]:
    return [_Found(f"{m[2].strip()}\n{m[3]}", text.count("\n", 0, m.start()) + 1) for m in _FENCE.finditer(text)]


def _targets(text: str) -> list[_Found]:
    prose = _FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)
    return [_Found(m[1], prose.count("\n", 0, m.start()) + 1) for m in _LINK.finditer(prose)]


def _figure_names(text: str) -> list[_Found]:
    return [_Found(m[1], text.count("\n", 0, m.start()) + 1) for m in _FIGURE.finditer(text)]


def _variants(text: str) -> list[_Found]:
    return [_Found(m[1], text.count("\n", 0, m.start()) + 1) for m in _WHEN.finditer(text)]


def _short(text: str) -> str:
    line = " ⏎ ".join(text.strip().split("\n"))
    return f'"{line[:60]}…"' if len(line) > 60 else f'"{line}"'
