"""`ja.md` and `en.md`: cutting one file of words into titles, steps and directives, each with its line.

    # Namespaces                       the lesson's short title
    > How are processes separated?     its question, one quoted line
    introduction …
    ## May I rename it? {#uts}         a step, by the id it has in lesson.yaml
    text, command blocks (see `web.markup`), and directives:
    :::predict who                     a question: options are "- [x] right" and "- [ ] wrong", below each why, indented
    :::
    ## … {#outro}                      the end; `:::quiz ID` is a question like predict

Directives stand at the start of a line, do not nest, and end with a line `:::`. DIRECTIVES lists them. This module
knows the form, not what the ids mean: `web.lessons` brings words and lesson.yaml together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from web.bounded import nearest
from web.lesson_model import LessonError

DIRECTIVES = {
    "ask": "",  # the audience of the talk speaks
    "see": "",  # what to look at in the live view
    "figure": "FILE.svg",  # the caption inside
    "predict": "ID",
    "quiz": "ID",
    "check": "ID",  # the goal in one line, then "- `code`: advice" for results that need their own
    "hint": "",
    "when": "cgroup=v1",  # or v2: text and commands for kernels with that version of cgroups
    "learnt": "",
    "notes": "",  # for the instructor
}
OUTRO = "outro"

_HEADING = re.compile(r"(#{1,2}) +(.+?)(?: +\{#([a-z0-9-]+)\})? *")
_OPEN = re.compile(r":::([a-z]+)(?: +(\S+))? *")
_OPTION = re.compile(r"- \[([ x])\] +(.+)")
_FENCE = re.compile(r"(`{3,}|~{3,})")


@dataclass(frozen=True)
class Chunk:
    """A run of Markdown (`kind` "text") or one directive; `line` is where `text` begins."""

    kind: str
    arg: str
    text: str
    line: int


@dataclass
class Section:
    """A heading and what stands below it. The file's first one has the id ""."""

    id: str
    title: str
    line: int
    chunks: list[Chunk] = field(default_factory=list)

    def of(self, *kinds: str) -> list[Chunk]:
        return [chunk for chunk in self.chunks if chunk.kind in kinds]


@dataclass(frozen=True)
class OptionText:
    right: bool
    text: str
    why: str
    line: int


def sections(content: str, name: str) -> list[Section]:
    """The file in sections: the lesson's own first, then the steps in order, then perhaps "outro".

    Args:
        content: the whole file.
        name: the file's name for errors.

    Raises:
        LessonError: no title, a heading without an id, an unknown or unfinished directive.
    """
    found: list[Section] = []
    lines = content.split("\n")
    number = 0
    while number < len(lines):
        line = lines[number]
        heading = _HEADING.fullmatch(line)
        if heading and (section := _section(heading, found, name, number + 1)):
            found.append(section)
            number += 1
            continue
        if not found:
            if line.strip():
                raise LessonError(name, number + 1, "expected the lesson's title first: # Title")
            number += 1
            continue
        chunk, number = _directive(lines, number, name) if line.startswith(":::") else _prose(lines, number)
        if chunk.text.strip() or chunk.kind != "text":
            found[-1].chunks.append(chunk)
    if not found:
        raise LessonError(name, 1, "is empty; expected # Title")
    return found


def question(chunk: Chunk, name: str) -> tuple[str, list[OptionText]]:
    """The question and the options of a `predict` or `quiz` chunk.

    Raises:
        LessonError: no question, fewer than two options, an option without its reason, not exactly one right.
    """
    head: list[str] = []
    options: list[tuple[bool, str, list[str], int]] = []
    for offset, line in enumerate(chunk.text.split("\n")):
        match = _OPTION.fullmatch(line)
        if match:
            options.append((match[1] == "x", match[2], [], chunk.line + offset))
        elif options and (line.startswith("  ") or not line.strip()):
            options[-1][2].append(line[2:])
        elif options:
            raise LessonError(name, chunk.line + offset, "expected the reason of an option, indented by two spaces")
        else:
            head.append(line)
    made = [OptionText(right, text, "\n".join(why).strip(), line) for right, text, why, line in options]
    if not "\n".join(head).strip() or len(made) < 2:
        raise LessonError(
            name, chunk.line, f'{chunk.kind} "{chunk.arg}": expected a question and at least two options "- [ ] text"'
        )
    for option in made:
        if not option.why:
            raise LessonError(name, option.line, "expected the reason below the option, indented by two spaces")
    if sum(option.right for option in made) != 1:
        raise LessonError(
            name, chunk.line, f'{chunk.kind} "{chunk.arg}": expected exactly one right option "- [x] text"'
        )
    return "\n".join(head).strip(), made


def advice(chunk: Chunk, name: str) -> tuple[str, dict[str, tuple[str, int]]]:
    """The goal of a `check` chunk, and result code -> (Markdown, line).

    Raises:
        LessonError: no goal, or a line that is neither.
    """
    goal = ""
    found: dict[str, tuple[str, int]] = {}
    code = ""
    for number, line in enumerate(chunk.text.split("\n"), chunk.line):
        match = re.fullmatch(r"- `([a-z0-9_.]+)`: (.+)", line)
        if match:
            code = match[1]
            found[code] = (match[2], number)
        elif code and line.startswith("  "):
            found[code] = (f"{found[code][0]}\n{line.strip()}", found[code][1])
        elif line.strip() and not found:
            goal = f"{goal}\n{line}".strip()
        elif line.strip():
            raise LessonError(name, number, "expected - `result.code`: advice")
    if not goal:
        raise LessonError(name, chunk.line, f'check "{chunk.arg}": expected the goal in one line')
    return goal, found


def _section(heading: re.Match[str], found: Iterable[Section], name: str, line: int) -> Section | None:
    marks, title, ref = heading.groups()
    first = not list(found)
    if (marks == "#") != first:
        expected = (
            "the lesson's title first: # Title"
            if first
            else "## Title {#id}; one # Title stands at the top of the file"
        )
        raise LessonError(name, line, f"expected {expected}")
    if not first and not ref:
        raise LessonError(name, line, f"the heading has no id; expected ## {title} {{#id-in-lesson-yaml}}")
    return Section(ref or "", title, line)


def _directive(lines: list[str], start: int, name: str) -> tuple[Chunk, int]:
    match = _OPEN.fullmatch(lines[start])
    kind, arg = (match[1], match[2] or "") if match else ("", "")
    if kind not in DIRECTIVES:
        raise LessonError(
            name,
            start + 1,
            f'"{lines[start]}" is no directive; expected one of {", ".join(DIRECTIVES)}{nearest(kind, DIRECTIVES)}',
        )
    if bool(arg) != bool(DIRECTIVES[kind]):
        raise LessonError(name, start + 1, f"expected :::{kind} {DIRECTIVES[kind]}".rstrip())
    fence = ""
    for number in range(start + 1, len(lines)):
        fence = _fence_after(lines[number], fence)
        if not fence and lines[number].rstrip() == ":::":
            return Chunk(kind, arg, "\n".join(lines[start + 1 : number]), start + 2), number + 1
        if not fence and lines[number].startswith((":::", "# ", "## ")):
            break
    raise LessonError(name, start + 1, f":::{kind} is not closed; expected a line :::")


def _prose(lines: list[str], start: int) -> tuple[Chunk, int]:
    """Everything up to the next directive or heading that does not stand in a code block."""
    fence = ""
    number = start
    while number < len(lines):
        line = lines[number]
        if number > start and not fence and (line.startswith(":::") or _HEADING.fullmatch(line)):
            break
        fence = _fence_after(line, fence)
        number += 1
    return Chunk("text", "", "\n".join(lines[start:number]), start + 1), number


def _fence_after(line: str, fence: str) -> str:
    """The fence that is open after this line, or ""."""
    match = _FENCE.match(line)
    if not match:
        return fence
    if not fence:
        return match[1]
    return "" if match[1].startswith(fence) and not line[len(match[1]) :].strip() else fence
