"""What `hako lesson serve` adds to the page: every HTML page gets a small script that waits for changes and shows the
mistakes; `/<lang>/author/` shows them beside the lines they are about.
"""

from __future__ import annotations

from html import escape
from typing import Any

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    jsonify,
    render_template,
    request,
    send_from_directory,
    url_for,
)
from markupsafe import Markup

from web.author.desk import Desk
from web.lesson_model import LessonError
from web.pages import source
from web.pages.views import LANG
from web.pages.visitor import greet, remember, request_lang
from web.services import services

PATIENCE_S = 4.0
"""A page that waits for news asks again after this: short, since a server that ends waits for it."""

author = Blueprint("author", __name__)
_OWN = ("desk.js", "desk.css")


def attach(app: Flask, desk: Desk) -> None:
    """Put the desk on an application that has not served a request yet."""
    app.extensions["desk"] = desk
    app.register_blueprint(author)

    @app.before_request
    def look() -> None:
        if request.endpoint not in ("author.news", "author.own", "static_files.built"):
            desk.look()

    @app.after_request
    def inject(response: Response) -> Response:
        if response.mimetype == "text/html" and not response.direct_passthrough and request.endpoint != "author.page":
            style, script = (url_for("author.own", name=name) for name in reversed(_OWN))
            where = f'data-news="{url_for("author.news")}" data-lang="{request_lang()}"'
            tags = f'<link rel="stylesheet" href="{style}">\n<script type="module" src="{script}" {where}></script>\n'
            response.set_data(response.get_data(as_text=True).replace("</body>", f"{tags}</body>"))
        return response


def _desk() -> Desk:
    found: Desk = current_app.extensions["desk"]
    return found


@author.get("/author/<any(desk.js, desk.css):name>")
def own(name: str) -> Response:
    """The script and its style."""
    assert author.root_path
    response = send_from_directory(author.root_path, name)
    response.headers["Cache-Control"] = "no-cache"
    return response


@author.get("/author/news")
def news() -> Response:
    """Waits until something has changed since `?seen=`, or a few seconds."""
    seen, lang = request.args.get("seen", default=-1, type=int), request_lang()
    found, words = _desk().wait(seen, PATIENCE_S), services().words
    return jsonify(
        {
            "revision": found.revision,
            "broken": found.broken,
            "title": words.t(lang, "author.mistakes", number=len(found.mistakes)),
            "mistakes": [
                {"text": str(error), "href": url_for("author.page", lang=lang) + f"#{anchor(error)}"}
                for error in found.mistakes
            ],
        }
    )


@author.get(f"/{LANG}/author/")
def page(lang: str) -> str:
    """Each file with a mistake in it, the mistakes beside their lines."""
    found = _desk().look()
    files = list(dict.fromkeys(error.file for error in found.mistakes))
    shown = [
        {"name": name, "html": beside(name, [one for one in found.mistakes if one.file == name])} for name in files
    ]
    return render_template("author.html", files=shown, mistakes=found.mistakes, anchor=anchor)


def anchor(error: LessonError) -> str:
    """Where on the page a mistake stands."""
    return f"{error.file}:{error.line}"


def beside(name: str, mistakes: list[LessonError]) -> Markup:
    """A file's text as HTML with its mistakes below the lines they are about; those about the whole file come first."""
    text = _read(name)
    lines = _highlighted(name, text) if text else []
    parts = []
    for number in range(len(lines) + 1):
        parts += [lines[number - 1]] if number else []
        last = number == len(lines)
        for error in mistakes:
            if error.line == number or (last and error.line > number):
                parts.append(f'<strong class="mistake" id="{escape(anchor(error))}">{escape(error.expected)}</strong>')
    return Markup("".join(parts))


def _read(name: str) -> str:
    """A lesson's file for reading, whatever is wrong with it; "" if there is none."""
    root = services().catalogue.root
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()) or not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(source.MAX).decode("utf-8", "replace").replace("\r\n", "\n")


def _highlighted(name: str, text: str) -> list[str]:
    """One piece of HTML for each line, with its number."""
    if name.endswith(tuple(source.ENDINGS)):
        html = str(source.highlight(name, text)).partition("<pre>")[2].rpartition("</pre>")[0]
        pieces = html.split('<span class="line" ')[1:]
        lines = [f'<span class="line" {piece}' for piece in pieces]
    else:
        lines = [f"<span>{escape(line)}\n</span>" for line in text.split("\n")]
    return [f'<span class="lineno">{number:4} </span>{line}' for number, line in enumerate(lines, 1)]


def protect() -> None:
    """The author's pages are for whoever may see the others."""
    if request.endpoint == "author.page":
        greet()


def remembered(response: Any) -> Any:
    """Cookies, as on the other pages."""
    return remember(response) if request.endpoint == "author.page" else response


author.before_request(protect)
author.after_request(remembered)
