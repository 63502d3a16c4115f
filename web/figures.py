"""Figures of the lessons: hand-written SVG put into the page itself, so that its colours follow the theme.

A figure carries both languages: `<title lang="ja">`, `<text lang="en">` …; `read()` returns the one for a page.
Colour comes from classes and `currentColor` only (no `<style>`, no `style=`: the Content-Security-Policy forbids them
anyway), nothing is loaded from elsewhere, ids are made unique by the figure's name. Source of the vocabulary: SVG 2,
chapters 5 and 11.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

from web import bounded
from web.lesson_model import LessonError

SVG = "http://www.w3.org/2000/svg"
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_ELEMENTS = """
    svg g path rect circle ellipse line polyline polygon text tspan title desc defs marker pattern use clipPath
"""
_ATTRIBUTES = """
    id class lang viewBox width height x y x1 y1 x2 y2 cx cy r rx ry d points transform fill stroke stroke-width
    stroke-dasharray stroke-linecap stroke-linejoin fill-opacity stroke-opacity opacity text-anchor dominant-baseline
    dx dy role aria-labelledby aria-hidden refX refY markerWidth markerHeight markerUnits orient marker-start marker-mid
    marker-end patternUnits patternTransform href font-size font-weight clip-path
"""
ELEMENTS = frozenset(_ELEMENTS.split())
ATTRIBUTES = frozenset(_ATTRIBUTES.split())
COLOURS = frozenset({"none", "currentColor"})


@lru_cache(maxsize=256)
def read(path: Path, name: str, lang: str) -> str:
    """One figure in one language, as an `<svg>` element for the page.

    Args:
        path: the file.
        name: what to call it in errors.
        lang: "ja" or "en".

    Raises:
        LessonError: unreadable, not well-formed, a forbidden element or attribute, or no title and description
            in this language.
    """
    content = bounded.text(path, name)
    if "<!DOCTYPE" in content or "<!ENTITY" in content:
        raise LessonError(name, 1, "has a DOCTYPE or an entity; expected plain SVG")
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise LessonError(name, error.position[0], f"is not well-formed XML: {error}") from None
    if root.tag != f"{{{SVG}}}svg" or not root.get("viewBox"):
        raise LessonError(name, 1, f'expected <svg xmlns="{SVG}" viewBox="…">')
    prefix = re.sub(r"[^a-z0-9]+", "-", path.stem.lower())
    _localise(root, lang)
    for element in root.iter():
        _strict(element, name, prefix)
    labels = [child for child in root if child.tag in ("title", "desc")]
    if [child.tag for child in labels] != ["title", "desc"]:
        raise LessonError(
            name, 1, f'expected <title lang="{lang}"> and then <desc lang="{lang}"> as the first children'
        )
    for child in labels:
        child.set("id", f"{prefix}-{child.tag}")
    root.set("role", "img")
    root.set("aria-labelledby", f"{prefix}-title {prefix}-desc")
    root.set("lang", lang)
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _localise(root: ElementTree.Element, lang: str) -> None:
    """Take out what is for the other language."""
    for parent in list(root.iter()):
        for child in list(parent):
            language = child.get("lang") or child.get(XML_LANG)
            if language and language != lang:
                parent.remove(child)
            elif language:
                child.attrib.pop("lang", None)
                child.attrib.pop(XML_LANG, None)


def _strict(element: ElementTree.Element, name: str, prefix: str) -> None:
    """Refuse what does not belong, drop the namespace prefix, make ids and references this figure's own."""
    tag = element.tag.removeprefix(f"{{{SVG}}}") if isinstance(element.tag, str) else "?"
    if tag not in ELEMENTS:
        raise LessonError(name, 0, f"has the element <{tag}>; expected only {', '.join(sorted(ELEMENTS))}")
    element.tag = tag
    for key, value in list(element.attrib.items()):
        if key not in ATTRIBUTES:
            raise LessonError(
                name,
                0,
                f"<{tag}> has the attribute {key}{bounded.nearest(key, ATTRIBUTES)}; colours and fonts come by class",
            )
        if key in ("fill", "stroke") and value not in COLOURS and not value.startswith("url(#"):
            raise LessonError(name, 0, f'<{tag} {key}="{value}">: expected a class, or none, or currentColor')
        if key == "href" and not value.startswith("#"):
            raise LessonError(name, 0, f'<{tag} href="{value}">: expected a place in the figure itself (#id)')
        if key == "id":
            element.set(key, f"{prefix}-{value}")
        elif key == "href":
            element.set(key, f"#{prefix}-{value[1:]}")
        elif "url(#" in value:
            element.set(key, value.replace("url(#", f"url(#{prefix}-"))
