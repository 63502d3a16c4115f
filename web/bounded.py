"""Reading text that people edit by hand, within bounds and with a line for every mistake.

`text()` reads a file as UTF-8 and says which encoding it seems to be when it is not. `yaml_document()` reads one YAML
document and returns its data together with the tree of nodes that knows the lines. The safe loader alone does not
stop a document from growing to gigabytes by aliases ("billion laughs") or from exhausting the stack by nesting, so
both are refused before anything is built; duplicate keys, which YAML 1.2 section 3.2.1.1 forbids and PyYAML takes
silently, are an error. Lessons know no types but strings, numbers, booleans, lists and mappings: tags are refused.
"""

from __future__ import annotations

import difflib
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from web.lesson_model import LessonError

MAX_BYTES = 256 * 1024
MAX_DEPTH = 16
MAX_NODES = 20_000
OTHER_ENCODINGS = {"iso2022_jp": "ISO-2022-JP", "shift_jis": "Shift_JIS", "euc_jp": "EUC-JP", "cp932": "Shift_JIS"}


def text(path: Path, name: str) -> str:
    """The file's text with newlines as "\\n".

    Args:
        path: what to read.
        name: what to call it in errors.

    Raises:
        LessonError: missing, not a plain file, above MAX_BYTES, not UTF-8, or with control characters.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():  # a pipe would keep us waiting for ever
            raise LessonError(name, 0, "is not a plain file; expected one")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise LessonError(name, 0, f"cannot be read: {error.strerror}; expected a file here") from None
    if len(data) > MAX_BYTES:
        raise LessonError(name, 0, f"is larger than {MAX_BYTES // 1024} KiB; expected a smaller file: split the lesson")
    try:
        content = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        seems = _encoding_of(data)
        what = f"seems to be {seems}" if seems else f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise LessonError(name, line, f"{what}; expected UTF-8: save the file as UTF-8") from None
    content = content.replace("\r\n", "\n")
    for number, one in enumerate(content.split("\n"), 1):
        if any(ord(character) < 32 and character != "\t" for character in one):
            if "\x1b" in one and _encoding_of(data):  # ISO-2022-JP is plain ASCII to look at, but for its escapes
                raise LessonError(
                    name, number, f"seems to be {_encoding_of(data)}; expected UTF-8: save the file as UTF-8"
                )
            raise LessonError(name, number, "has a control character; expected text")
    return content


def yaml_document(content: str, name: str) -> tuple[Any, yaml.Node]:
    """One YAML document as data, and its node tree for `line_of`.

    Raises:
        LessonError: a syntax error, an alias, an anchor, a tag, too deep, too many nodes, a key twice, nothing in it.
    """
    try:
        _refuse_bombs(content, name)
        node = yaml.compose(content, Loader=yaml.SafeLoader)
        if node is None:
            raise LessonError(name, 1, "is empty; expected a mapping of keys")
        _refuse_duplicates(node, name)
        return yaml.load(content, Loader=yaml.SafeLoader), node
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise LessonError(
            name, mark.line + 1 if mark else 0, f"is not YAML: {error.problem or error.context}"
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        raise LessonError(name, 0, f"is not YAML: {error}") from None


def line_of(node: yaml.Node, path: Sequence[str | int]) -> int:
    """The line, from 1, of the place that `path` (keys, indexes) leads to, or of the nearest above it that exists."""
    line = node.start_mark.line + 1
    for part in path:
        found = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, found = key.start_mark.line + 1, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = node.value[part]
            line = found.start_mark.line + 1
        if found is None:
            break
        node = found
    return line


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` for the known word most like `word`, or nothing."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{found[0]}"?' if found else ""


def _encoding_of(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    for encoding, spelling in OTHER_ENCODINGS.items():
        try:
            guess = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        # Shift_JIS and EUC-JP accept much of each other's bytes: right is the one that gives kana
        if any("\u3041" <= character <= "\u30fc" for character in guess):
            return spelling
    return ""


def _refuse_bombs(content: str, name: str) -> None:
    """Walks the parser's events, which are made one by one and build nothing."""
    depth = nodes = 0
    for event in yaml.parse(content, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise LessonError(
                name, line, "uses a YAML anchor or alias (& or *); expected the value written out, or quoted"
            )
        if isinstance(event, yaml.NodeEvent):
            nodes += 1
            tag = getattr(event, "tag", None)
            if tag:
                raise LessonError(name, line, f"has the YAML tag {tag}; expected a plain value")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            raise LessonError(name, line, f"is nested deeper than {MAX_DEPTH} or has more than {MAX_NODES} values")


def _refuse_duplicates(node: yaml.Node, name: str) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise LessonError(name, key.start_mark.line + 1, "a key is a list or a mapping; expected a word")
            if key.value in seen:
                raise LessonError(
                    name, key.start_mark.line + 1, f'the key "{key.value}" stands here twice; expected once'
                )
            seen.add(key.value)
            _refuse_duplicates(value, name)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_duplicates(value, name)
