"""The pages people read: catalogue, lesson, our own source. HTML from templates; JSON is in `api.py`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Blueprint, abort, redirect, render_template, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response

from engine.client import Disconnected, EngineInfo
from engine.errors import EngineError
from web import i18n, lessons
from web.lesson_model import Lesson, Step
from web.pages import context, model, source
from web.pages.visitor import greet, remember, visitor
from web.services import services

pages = Blueprint("pages", __name__)
pages.before_request(greet)
pages.after_request(remember)
LANG = f"<any({', '.join(i18n.LANGS)}):lang>"


@pages.get("/")
def root() -> Response:
    """To the catalogue in the visitor's language."""
    response = redirect(url_for("pages.catalogue", lang=visitor().lang), 302)
    response.headers["Vary"] = "Accept-Language, Cookie"
    return response


@pages.get(f"/{LANG}/")
def catalogue(lang: str) -> str:
    """What there is to learn."""
    here = services()
    info = machine()
    overviews = here.progress.overview(visitor().who.learner)
    rows = [
        {
            **asdict(model.row(lesson, lang, overviews.get(lesson.id), cannot(lesson, lang, info))),
            "url": address(lesson, lang),
        }
        for lesson in here.catalogue.lessons
    ]
    found = model.resume(list(here.catalogue.lessons), overviews, lang)
    if found is not None:
        found["url"] = url_for("pages.lesson", lang=lang, slug=found["slug"]) + f"#step-{found['step']}"
    return render_template(
        "catalogue.html",
        lessons=rows,
        resume=found,
        machine=asdict(info) if info else None,
        errors=[str(error) for error in here.catalogue.errors],
    )


@pages.get(f"/{LANG}/lessons/<slug>/")
def lesson(lang: str, slug: str) -> str | Response:
    """One lesson with its terminals."""
    here = services()
    try:
        found = here.catalogue.get(slug)
    except KeyError:
        abort(404)
    if slug != found.slug:
        return redirect(url_for("pages.lesson", lang=lang, slug=found.slug), 302)
    who = visitor().who.learner
    current = here.progress.current_attempt(who, found.id)
    known = here.progress.of_lesson(who, found.id, current[0] if current else None)
    steps = [model.step(one, number, lang, known.get(one.id)) for number, one in enumerate(found.steps, 1)]
    given: dict[str, Any] = context.context()
    given["boot"]["lesson"] = {
        "id": found.id, "slug": found.slug, "number": found.number, "minutes": found.minutes,
        "steps": [model.step_boot(one) for one in steps],
    }  # fmt: skip
    given["boot"]["glossary"] = here.glossary.page(lang)
    given["boot"]["glossary_url"] = url_for("pages.glossary", lang=lang)
    given["boot"]["progress"] = {"lesson": found.id, "steps": {id: one.as_json() for id, one in known.items()}}
    return render_template("lesson.html", **given, lesson=about(found, lang), steps=steps, **neighbours(found, lang))


@pages.get(f"/{LANG}/glossary/")
def glossary(lang: str) -> str:
    """Every word and what it is, in both languages."""
    entries = services().glossary.entries
    words = sorted(entries, key=lambda entry: entry.word["en"].casefold()) if lang == "en" else entries
    return render_template("glossary.html", words=words)


@pages.get(f"/{LANG}/source/<path:path>")
def source_file(lang: str, path: str) -> str:
    """A file of our own code, to read beside the lesson that names it."""
    text = source.read(services().paths.source, path)
    if text is None:
        abort(404)
    return render_template("source.html", path=path, html=source.highlight(path, text), lines=text.count("\n") + 1)


def machine() -> EngineInfo | None:
    """What the engine says of this machine; None while it is away."""
    engine = services().engine
    if not engine.connected:
        return None
    try:
        return engine.engine_info()
    except (Disconnected, EngineError):
        return None


def cannot(it: Lesson, lang: str, info: EngineInfo | None) -> str:
    """Why this machine cannot do the lesson; empty when it can, or when nobody can say."""
    gone = model.missing(it, info.namespaces if info and info.namespaces else None)
    if not gone:
        return ""
    return services().words.t(lang, "lab.kernel_lacks", kinds=", ".join(gone))


def _lacks(step: Step, lang: str) -> str:
    """Why a step is left out on this machine."""
    needs = step.needs[0].replace("-", "_")
    return services().words.t(lang, f"lab.kernel_lacks.{needs}", title=step.title[lang])


def about(it: Lesson, lang: str) -> dict[str, Any]:
    """The lesson's own words."""
    return {
        "id": it.id,
        "slug": it.slug,
        "number": it.number,
        "minutes": it.minutes,
        "title": it.title[lang],
        "question": it.question[lang],
        "intro": Markup(it.intro[lang]),
        "outro": Markup(it.outro[lang]),
        "notes": Markup(it.notes[lang]),
        "quiz": [Markup(lessons.form(asked, lang, "quiz")) for asked in it.quiz],
        "needs": [
            {"number": other.number, "title": other.title[lang], "url": address(other, lang)}
            for other in services().catalogue.lessons
            if other.number in it.needs
        ],
        "cannot": cannot(it, lang, machine()),
        "left_out": [_lacks(step, lang) for step in it.left_out],
    }


def neighbours(it: Lesson, lang: str) -> dict[str, Any]:
    """The lessons before and after."""
    lessons = services().catalogue.lessons
    at = lessons.index(it)
    before = lessons[at - 1] if at else None
    after = lessons[at + 1] if at + 1 < len(lessons) else None
    return {
        "previous_lesson": {"url": address(before, lang), "title": before.title[lang]} if before else None,
        "next_lesson": {"url": address(after, lang), "title": after.title[lang]} if after else None,
    }


def address(it: Lesson, lang: str) -> str:
    """URL of a lesson."""
    return url_for("pages.lesson", lang=lang, slug=it.slug)


@pages.get("/favicon.ico")
def favicon() -> Response:
    """Browsers ask for it unasked; the page names its own."""
    return Response(status=204)
