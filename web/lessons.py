"""Loading `lessons/`: each folder's lesson.yaml, ja.md, en.md and figures brought together into a `Lesson`.

`load(root)` never raises for a mistake in one lesson: that lesson is left out and its `LessonError` kept in
`Catalogue.errors`, so that the others go on. `lesson(folder)` reads one and raises. Checks here are what a page needs
to be right; matters of style and of the two languages being equal in detail are `web.lesson_lint`'s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

from web import bounded, figures, glossary, lesson_schema, lesson_text, markup
from web.glossary import Glossary, Terms
from web.lesson_model import (
    CGROUPS,
    LANGS,
    Block,
    Catalogue,
    Check,
    Lesson,
    LessonError,
    Option,
    Part,
    Prediction,
    Step,
    Words,
    Wrong,
)
from web.lesson_text import OUTRO, Chunk, Section

__all__ = ["LANGS", "Catalogue", "Lesson", "LessonError", "lesson", "load"]

_OTHER_KERNEL = {"ja": "cgroup {version}では", "en": "On cgroup {version}"}

_FOLDER = re.compile(r"(\d{2})-([a-z0-9]+(?:-[a-z0-9]+)*)")


def load(root: Path) -> Catalogue:
    """All lessons below `root`, by number. A folder whose name is not NN-slug is no lesson and passed over."""
    variants: dict[str, list[Lesson]] = {cgroup: [] for cgroup in CGROUPS}
    errors: list[LessonError] = []
    words = _glossary(root, errors)
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        if not (folder.is_dir() and _FOLDER.fullmatch(folder.name)):
            continue
        try:
            found = {cgroup: lesson(folder, cgroup, words) for cgroup in CGROUPS}
            one = found[CGROUPS[0]]
            if any(other.number == one.number or other.id == one.id for other in variants[CGROUPS[0]]):
                raise LessonError(
                    f"{folder.name}/lesson.yaml", 1, "has the number or id of another lesson; expected its own"
                )
            for cgroup, told in found.items():
                variants[cgroup].append(told)
        except LessonError as error:
            errors.append(error)
    return Catalogue(root, {cgroup: tuple(told) for cgroup, told in variants.items()}, tuple(errors))


def _glossary(root: Path, errors: list[LessonError]) -> Glossary:
    """The words that lie beside the lessons; a mistake there costs no lesson."""
    try:
        return glossary.load(root)
    except LessonError as error:
        errors.append(error)
        return Glossary()


def lesson(folder: Path, cgroup: str = CGROUPS[-1], known: Glossary | None = None) -> Lesson:
    """One lesson, told for kernels with this version of cgroups; `known`: the words to mark, else those beside it.

    Raises:
        LessonError: at the first mistake, with file, line and what was expected.
    """
    name = _FOLDER.fullmatch(folder.name)
    if not name:
        raise LessonError(folder.name, 0, "expected a folder named NN-slug, as 03-namespaces")
    model, _ = lesson_schema.read(folder / "lesson.yaml", f"{folder.name}/lesson.yaml")
    known = glossary.load(folder.parent) if known is None else known
    words = {lang: _Words(folder, Terms(known, lang), cgroup) for lang in LANGS}
    for text in words.values():
        text.expect_steps([step.id for step in model.steps])
    intro = {lang: text.html(text.head) for lang, text in words.items()}  # first: words are marked as one reads
    steps = tuple(_step(step, words, cgroup, model.setup) for step in model.steps)
    return Lesson(
        number=int(name[1]),
        slug=folder.name,
        id=model.id,
        minutes=model.minutes,
        title={lang: markup.plain(text.head.title) for lang, text in words.items()},
        question={lang: text.question for lang, text in words.items()},
        intro=intro,
        outro={lang: text.html(text.outro) for lang, text in words.items()},
        notes={lang: text.joined(text.head, "notes") for lang, text in words.items()},
        steps=steps,
        quiz=tuple(_prediction(words, "outro", "quiz", ref) for ref in _same_ids(words, "outro", "quiz", model.quiz)),
        lab=model.lab,
        needs=tuple(model.needs),
        kernel=tuple(model.kernel),
    )


@dataclass(frozen=True)
class _StepWords:
    """One step in one language."""

    parts: tuple[Part, ...]
    blocks: tuple[Block, ...]
    hints: tuple[str, ...]


class _Words:
    """One language's file of one lesson."""

    def __init__(self, folder: Path, terms: Terms, cgroup: str) -> None:
        self.folder, self.terms, self.cgroup = folder, terms, cgroup
        self.lang = lang = terms.lang
        self.name = f"{folder.name}/{lang}.md"
        found = lesson_text.sections(bounded.text(folder / f"{lang}.md", self.name), self.name)
        self.head = found[0]
        self.question = self._take_question()
        self.sections = {section.id: section for section in found[1:] if section.id != OUTRO}
        if len(self.sections) != len([section for section in found[1:] if section.id != OUTRO]):
            twice = [section for index, section in enumerate(found) if section.id in [one.id for one in found[:index]]]
            raise LessonError(self.name, twice[0].line, f"the step {{#{twice[0].id}}} stands here twice; expected once")
        self.outro = next((section for section in found[1:] if section.id == OUTRO), Section(OUTRO, "", 0))

    def section(self, ref: str) -> Section:
        return self.outro if ref == OUTRO else self.sections[ref]

    def expect_steps(self, ids: list[str]) -> None:
        """Raises LessonError when the steps here are not those of lesson.yaml in that order."""
        here = list(self.sections)
        for index, section in enumerate(self.sections.values()):
            if section.id not in ids:
                hint = bounded.nearest(section.id, ids)
                raise LessonError(
                    self.name,
                    section.line,
                    f"the step {{#{section.id}}} is not in lesson.yaml; expected one of {', '.join(ids)}{hint}",
                )
            if index < len(ids) and here[: index + 1] != ids[: index + 1]:
                raise LessonError(
                    self.name, section.line, f"expected the step {{#{ids[index]}}} here, as in lesson.yaml"
                )
        if len(here) < len(ids):
            raise LessonError(self.name, 0, f"has no step {{#{ids[len(here)]}}}; expected it, as in lesson.yaml")

    def render(
        self, chunk: Chunk, prefix: str = "block", first: int = 1, terms: Terms | None = None
    ) -> markup.Rendered:
        """A chunk's Markdown. Raises LessonError at its first problem."""
        return self._sound(markup.render(chunk.text, line=chunk.line, prefix=prefix, first=first, terms=terms))

    def line(self, text: str, line: int) -> str:
        """A one-line text as HTML."""
        return self._sound(markup.render_line(text.strip(), line=line)).html

    def html(self, section: Section) -> str:
        return "".join(part.html for part in self.parts(section, section.id)[0])

    def joined(self, section: Section, kind: str) -> str:
        return "".join(self.render(chunk).html for chunk in section.of(kind))

    def parts(self, section: Section, prefix: str) -> tuple[list[Part], list[Block]]:
        """The section's text in reading order, and its command blocks numbered through."""
        parts: list[Part] = []
        blocks: list[Block] = []
        terms = self.terms.step()
        for chunk in section.chunks:
            if chunk.kind == "predict":
                parts.append(Part("predict", ref=chunk.arg))
            elif chunk.kind == "figure":
                parts.append(Part("html", self._figure(chunk)))
            elif chunk.kind in ("text", "ask", "see"):
                rendered = self.render(chunk, prefix, len(blocks) + 1, terms)
                blocks += rendered.blocks
                html = (
                    rendered.html
                    if chunk.kind == "text"
                    else f'<aside class="{chunk.kind}">\n{rendered.html}</aside>\n'
                )
                parts.append(Part("html", html))
            elif chunk.kind == "when":
                html, found = self._when(chunk, prefix, len(blocks) + 1)
                blocks += found
                parts.append(Part("html", html))
        return parts, blocks

    def _when(self, chunk: Chunk, prefix: str, first: int) -> tuple[str, list[Block]]:
        """Text for one version of cgroups: this kernel's as any other, the other's folded up, with nothing to run."""
        name, _, version = chunk.arg.partition("=")
        if name != "cgroup" or version not in CGROUPS:
            expected = " or ".join(f"cgroup={one}" for one in CGROUPS)
            raise LessonError(self.name, chunk.line - 1, f":::when {chunk.arg}: expected {expected}")
        if version == self.cgroup:
            rendered = self.render(chunk, prefix, first)
            return rendered.html, rendered.blocks
        html = re.sub(r'data-mode="(?:run|edit)"', 'data-mode="copy"', self.render(chunk, f"{prefix}-{version}").html)
        summary = _OTHER_KERNEL[self.lang].format(version=version)
        return f'<details class="other-kernel"><summary>{summary}</summary>\n{html}</details>\n', []

    def hints(self, section: Section) -> tuple[str, ...]:
        return tuple(
            self.render(chunk, f"{section.id}-hint{number}").html for number, chunk in enumerate(section.of("hint"), 1)
        )

    def _figure(self, chunk: Chunk) -> str:
        if not re.fullmatch(r"[a-z0-9-]+\.svg", chunk.arg):
            raise LessonError(
                self.name, chunk.line - 1, f'figure "{chunk.arg}": expected a name like uts.svg in figures/'
            )
        path = self.folder / "figures" / chunk.arg
        if not path.is_file():
            known = [one.name for one in (self.folder / "figures").glob("*.svg")]
            raise LessonError(
                self.name, chunk.line - 1, f"figures/{chunk.arg} is not there{bounded.nearest(chunk.arg, known)}"
            )
        svg = figures.read(path, f"{self.folder.name}/figures/{chunk.arg}", self.lang)
        caption = self.line(chunk.text, chunk.line)
        return f'<figure class="figure" id="figure-{path.stem}">{svg}<figcaption>{caption}</figcaption></figure>\n'

    def _take_question(self) -> str:
        first = self.head.chunks[0] if self.head.chunks else Chunk("text", "", "", self.head.line + 1)
        lines = first.text.split("\n")
        index = next((number for number, line in enumerate(lines) if line.strip()), 0)
        if not lines[index].startswith("> "):
            raise LessonError(
                self.name, first.line + index, "expected the lesson's question below its title: > Question?"
            )
        rest = Chunk("text", "", "\n".join(lines[index + 1 :]), first.line + index + 1)
        self.head.chunks[:1] = [rest] if rest.text.strip() else []
        return markup.plain(lines[index][2:])

    def _sound(self, rendered: markup.Rendered) -> markup.Rendered:
        for line, sentence in rendered.problems:
            raise LessonError(self.name, line, sentence)
        return rendered


def _step(model: lesson_schema.StepModel, words: dict[str, _Words], cgroup: str, before: str) -> Step:
    here = {lang: text.section(model.id) for lang, text in words.items()}
    pieces = {lang: text.parts(here[lang], model.id) for lang, text in words.items()}
    predictions = tuple(
        _prediction(words, model.id, "predict", ref) for ref in _same_ids(words, model.id, "predict", None)
    )
    _same_ids(words, model.id, "check", list(dict.fromkeys(check.id for check in model.checks)))
    learnt = {lang: _one_line(text, here[lang], "learnt") for lang, text in words.items()}
    by_id = {prediction.id: prediction for prediction in predictions}
    return Step(
        id=model.id,
        title={lang: markup.plain(section.title) for lang, section in here.items()},
        html={
            lang: "".join(
                form(by_id[part.ref], lang, model.id) if part.kind == "predict" else part.html for part in parts
            )
            for lang, (parts, _) in pieces.items()
        },
        parts={lang: tuple(parts) for lang, (parts, _) in pieces.items()},
        checks=tuple(_check(check, words, model.id) for check in model.checks if check.fits(cgroup)),
        predictions=predictions,
        hints={lang: text.hints(here[lang]) for lang, text in words.items()},
        learnt=learnt,
        notes={lang: text.joined(here[lang], "notes") for lang, text in words.items()},
        setup="\n".join(script for script in (before, model.setup) if script),
        solve=next(one for one in model.solve if one.fits(cgroup)).action(),
        wrong=tuple(Wrong(one.id, one.action(), one.check, one.code) for one in model.wrong if one.fits(cgroup)),
        terminals=tuple(model.terminals),
        view=model.view,
        needs=tuple(model.needs),
        blocks={lang: tuple(blocks) for lang, (_, blocks) in pieces.items()},
    )


def _check(model: lesson_schema.CheckModel, words: dict[str, _Words], step: str) -> Check:
    goal: dict[str, str] = {}
    tries: dict[str, Words] = {}
    for lang, text in words.items():
        chunk = next(chunk for chunk in text.section(step).of("check") if chunk.arg == model.id)
        line, advice = lesson_text.advice(chunk, text.name)
        goal[lang] = text.line(line, chunk.line)
        tries[lang] = {code: text.line(sentence, number) for code, (sentence, number) in advice.items()}
    return Check(model.id, tuple(model.predicates), goal, tries)


def _prediction(words: dict[str, _Words], section: str, kind: str, ref: str) -> Prediction:
    """One question in all languages; its options are the same ones in the same order."""
    made = {}
    for lang, text in words.items():
        chunk = next(chunk for chunk in text.section(section).of(kind) if chunk.arg == ref)
        asked, options = lesson_text.question(chunk, text.name)
        made[lang] = (text, chunk, asked, options)
    shapes = {lang: [option.right for option in options] for lang, (_, _, _, options) in made.items()}
    for lang in LANGS[1:]:
        if shapes[lang] != shapes[LANGS[0]]:
            text, chunk = made[lang][:2]
            raise LessonError(
                text.name,
                chunk.line,
                f'{kind} "{ref}": expected as many options as in {LANGS[0]}.md, the same one right',
            )
    return Prediction(
        id=ref,
        question={
            lang: text.render(Chunk(kind, ref, asked, chunk.line)).html
            for lang, (text, chunk, asked, _) in made.items()
        },
        options=tuple(
            Option(
                id=chr(ord("a") + index),
                right=right,
                text={
                    lang: text.line(options[index].text, options[index].line)
                    for lang, (text, _, _, options) in made.items()
                },
                why={
                    lang: text.render(Chunk(kind, ref, options[index].why, options[index].line + 1)).html
                    for lang, (text, _, _, options) in made.items()
                },
            )
            for index, right in enumerate(shapes[LANGS[0]])
        ),
    )


def _same_ids(words: dict[str, _Words], section: str, kind: str, expected: list[str] | None) -> list[str]:
    """The ids of the directives of one kind in a section: the same in all languages, and as `expected` where given."""
    first = words[LANGS[0]]
    wanted = [chunk.arg for chunk in first.section(section).of(kind)] if expected is None else expected
    origin = f"as in {LANGS[0]}.md" if expected is None else "as in lesson.yaml"
    for text in words.values():
        here = text.section(section)
        chunks = here.of(kind)
        for chunk in chunks:
            if chunk.arg not in wanted:
                hint = bounded.nearest(chunk.arg, wanted)
                raise LessonError(
                    text.name,
                    chunk.line - 1,
                    f'{kind} "{chunk.arg}" is unknown; expected {wanted or "none"}, {origin}{hint}',
                )
        if [chunk.arg for chunk in chunks] != wanted:
            raise LessonError(
                text.name, here.line, f"has {kind} {[chunk.arg for chunk in chunks]}; expected {wanted}, {origin}"
            )
    return wanted


def _one_line(text: _Words, section: Section, kind: str) -> str:
    chunks = section.of(kind)
    if len(chunks) != 1:
        raise LessonError(text.name, section.line, f"has {len(chunks)} :::{kind}; expected one")
    return text.line(chunks[0].text, chunks[0].line)


def form(prediction: Prediction, lang: str, owner: str) -> str:
    """A prediction as HTML: radio buttons, then each option's reason, hidden until the page's script shows it."""
    name = escape(f"{owner}-{prediction.id}")
    options, reasons = [], []
    for option in prediction.options:
        ref = f"{name}-{option.id}"
        radio = f'<input type="radio" id="{ref}" name="{name}" value="{option.id}">'
        options.append(f'<label for="{ref}">{radio} <span>{option.text[lang]}</span></label>\n')
        data = f'data-option="{option.id}" data-right="{str(option.right).lower()}"'
        reasons.append(f'<div class="why" {data} hidden>{option.why[lang]}</div>\n')
    question = f'<div class="question" id="{name}-question">{prediction.question[lang]}</div>'
    fields = f'<fieldset aria-labelledby="{name}-question">\n{question}{"".join(options)}</fieldset>\n'
    return f'<form class="predict" data-predict="{escape(prediction.id)}">{fields}{"".join(reasons)}</form>\n'
