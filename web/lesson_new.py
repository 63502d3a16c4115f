"""A new lesson's folder: a pattern that passes lint and test as it stands, to be written over.

It is easier to change something that works than to learn from error messages which parts a step has. The pattern is
`web/lesson_template/`; a test lints it, so it cannot lag behind the rules.
"""

from __future__ import annotations

import re
from pathlib import Path

from web.lesson_model import LANGS, LessonError

TEMPLATE = Path(__file__).with_name("lesson_template")
LAST = 99
_SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_FOLDER = re.compile(r"(\d{2})-(.+)")


def make(root: Path, name: str) -> Path:
    """Make the folder of a lesson.

    Args:
        root: the folder of all lessons.
        name: "slug", which gets the next free number, or "NN-slug".

    Returns:
        The folder.

    Raises:
        LessonError: the name is no slug, or its number or id is taken, or there is no number left.
        OSError: it cannot be written.
    """
    numbered = _FOLDER.fullmatch(name)
    slug = numbered[2] if numbered else name
    if not _SLUG.fullmatch(slug) or len(slug) > 40:
        raise LessonError(name, 0, "expected a name in small letters, digits and hyphens, as pid-one or 07-pid-one")
    taken = {int(found[1]): found[2] for each in root.iterdir() if (found := _FOLDER.fullmatch(each.name))}
    number = int(numbered[1]) if numbered else max(taken, default=0) + 1
    if number in taken:
        raise LessonError(
            name, 0, f"the number {number:02d} is taken by {number:02d}-{taken[number]}; expected another"
        )
    if slug in taken.values():
        raise LessonError(name, 0, "there is a lesson of that name; expected another")
    if number > LAST:
        raise LessonError(name, 0, f"the numbers end at {LAST}; expected one that is free, as 07-{slug}")
    return _write(root / f"{number:02d}-{slug}", slug)


def _write(folder: Path, slug: str) -> Path:
    (folder / "figures").mkdir(parents=True)
    title = slug.replace("-", " ").capitalize()
    for name in ("lesson.yaml", *(f"{lang}.md" for lang in LANGS)):
        text = (TEMPLATE / name).read_text("utf-8").replace("id: ID\n", f"id: {slug}\n")
        (folder / name).write_text(text.replace("# TITLE\n", f"# {title}\n"), "utf-8")
    (folder / "figures" / "first.svg").write_text((TEMPLATE / "first.svg").read_text("utf-8"), "utf-8")
    return folder
