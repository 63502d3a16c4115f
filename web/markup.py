"""Markdown of the lessons to HTML that can stand in a page under a strict Content-Security-Policy.

CommonMark and tables through markdown-it-py with raw HTML and images off (figures are a directive, see
`web.lesson_text`). Added:

    ```run lab          a command with a button that types it into the terminal "lab"; also `copy` and `edit`
    ```output           what the machine answers
    :ns[uts]            the mark of a kind of namespace: letter, word, colour by class
    :key[Ctrl-C]        a key
    :term[shared|layer] a word of the glossary (`web.glossary`), which are also found by themselves

Links go to http(s), to a place in the page or to another page of ours; anything else stays plain text. Between two
Japanese characters a line break in the source is no space in the page. This module does not know lessons, files or
steps.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from html import escape, unescape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from web.bounded import nearest
from web.glossary import Terms
from web.lesson_model import Block

NAMESPACES = {"user": "U", "pid": "P", "mnt": "M", "net": "N", "uts": "H", "ipc": "I", "cgroup": "C", "time": "T"}
"""Kind of namespace, as /proc/PID/ns spells it, to its letter in every picture of ours."""

MODES = ("run", "copy", "edit")
PLAIN_LANGUAGES = ("", "text", "sh", "c", "python", "yaml")

_ROLE = re.compile(r":(ns|key|term)\[([^\]\n]{1,60})\]")
_LINK = re.compile(r"(?:https?://|#|\.{0,2}/)[^\s]*", re.IGNORECASE)
_TERMINAL = re.compile(r"[a-z][a-z0-9-]{0,15}")


@dataclass
class Rendered:
    """HTML, the command blocks found in it in order, and what was wrong as (line, sentence)."""

    html: str
    blocks: list[Block] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)


def render(text: str, *, line: int = 1, prefix: str = "block", first: int = 1, terms: Terms | None = None) -> Rendered:
    """Markdown to HTML.

    Args:
        text: Markdown, newlines as "\\n".
        line: the line in its file at which `text` begins, for problems and blocks.
        prefix, first: command blocks get the ids `prefix-first`, `prefix-(first+1)`, …
        terms: the words of the glossary to mark; it remembers which were.
    """
    out = Rendered("")
    env: MutableMapping[str, Any] = {"out": out, "line": line, "prefix": prefix, "next": first, "terms": terms}
    out.html = _MARKDOWN.render(text, env)
    return out


def render_line(text: str, *, line: int = 1) -> Rendered:
    """Markdown of one paragraph to HTML without the <p> around it."""
    out = Rendered("")
    out.html = _MARKDOWN.renderInline(text, {"out": out, "line": line})
    return out


def plain(text: str) -> str:
    """One line of Markdown as text alone: what a title or an accessible name needs."""
    return unescape(re.sub(r"<[^>]+>", "", render_line(text).html))


def mark(kind: str) -> str:
    """The chip of one kind of namespace. Raises KeyError for an unknown kind."""
    return f'<span class="ns ns-{kind}"><b>{NAMESPACES[kind]}</b> {kind}</span>'


def _fence(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    token = tokens[index]
    words = token.info.split()
    out: Rendered = env["out"]
    line = env["line"] + (token.map[0] if token.map else 0)
    code = escape(token.content, quote=False)
    if words and words[0] in MODES:
        mode, terminal = words[0], words[1] if len(words) > 1 else "lab"
        if len(words) > 2 or not _TERMINAL.fullmatch(terminal):
            out.problems.append((line, f"```{token.info}: expected ```{mode} and the name of one terminal"))
            terminal = "lab"
        block = Block(f"{env['prefix']}-{env['next']}", mode, terminal, token.content.rstrip("\n"), line)
        env["next"] += 1
        out.blocks.append(block)
        attributes = f'data-mode="{mode}" data-terminal="{terminal}" data-block="{escape(block.id)}"'
        return f'<figure class="command" {attributes}><pre><code>{code.rstrip()}</code></pre></figure>\n'
    if words == ["output"]:
        return f'<pre class="output"><code>{code}</code></pre>\n'
    if " ".join(words) not in PLAIN_LANGUAGES:
        out.problems.append(
            (line, f"```{token.info}: expected run, copy, edit, output or one of {', '.join(PLAIN_LANGUAGES[1:])}")
        )
    return f'<pre class="code"><code>{code}</code></pre>\n'


def _role(state: StateInline, silent: bool) -> bool:
    """Inline rule for :ns[…] and :key[…]; an unknown kind is reported and left as it was written."""
    found = _ROLE.match(state.src, state.pos)
    if not found:
        return False
    name, word = found.groups()
    if name == "ns" and word not in NAMESPACES:
        if not silent:
            state.env["out"].problems.append(
                (state.env["line"], f":ns[{word}]: expected one of {', '.join(NAMESPACES)}")
            )
        return False
    if name == "term" and not _known(word, state, silent):
        return False
    if not silent:
        token = state.push("html_inline", "", 0)
        shown, _, ref = word.partition("|")
        match name:
            case "ns":
                token.content = mark(word)
            case "key":
                token.content = f"<kbd>{escape(word)}</kbd>"
            case _:
                token.content = term(shown, ref)
    state.pos = found.end()
    return True


def term(shown: str, ref: str) -> str:
    """A word that says what it is when it is pressed."""
    attributes = f'type="button" class="term" data-term="{escape(ref)}" aria-haspopup="dialog"'
    return f"<button {attributes}>{escape(shown, quote=False)}</button>"


def _known(word: str, state: StateInline, silent: bool) -> bool:
    """Whether `shown|id` names a word of the glossary; else it is reported."""
    terms: Terms | None = state.env.get("terms")
    shown, _, ref = word.partition("|")
    if terms is None:
        return bool(shown and ref)
    if shown and ref in terms.glossary.by_id:
        terms.first(terms.glossary.by_id[ref])
        return True
    if not silent:
        said = f":term[{word}]: expected shown text|id of glossary.yaml{nearest(ref, terms.glossary.by_id)}"
        state.env["out"].problems.append((state.env["line"], said))
    return False


def _mark_terms(state: StateCore) -> None:
    """Core rule: words of the glossary in running text, not in headings and links."""
    terms: Terms | None = state.env.get("terms")
    if terms is None:
        return
    for before, token in zip([None, *state.tokens], state.tokens, strict=False):
        if token.type == "inline" and not (before and before.type == "heading_open"):
            token.children = list(_marked(token.children or [], terms))


def _marked(children: Sequence[Token], terms: Terms) -> Iterator[Token]:
    links = 0
    for child in children:
        links += {"link_open": 1, "link_close": -1}.get(child.type, 0)
        if child.type != "text" or links:
            yield child
            continue
        for piece, ref in terms.pieces(child.content):
            yield Token("html_inline", "", 0, content=term(piece, ref)) if ref else Token("text", "", 0, content=piece)


def _link_open(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    token = tokens[index]
    if str(token.attrGet("href")).lower().startswith("http"):
        token.attrSet("rel", "noopener noreferrer external")
    return renderer.renderToken(tokens, index, options, env)


def _allowed_link(url: str) -> bool:
    return bool(_LINK.fullmatch(url))


def _is_wide(text: str) -> bool:
    return bool(text) and unicodedata.east_asian_width(text) in "WF"


def _join_japanese_lines(state: StateCore) -> None:
    """Core rule: a soft break beside a wide character disappears; between two narrow ones it stays a space."""
    for token in state.tokens:
        children = token.children or []
        for index, child in enumerate(children):
            if child.type != "softbreak":
                continue
            # Emphasis and links have tokens without text of their own at either side.
            before = next((one.content for one in reversed(children[:index]) if one.content), "")
            after = next((one.content for one in children[index + 1 :] if one.content), "")
            if _is_wide(before[-1:]) or _is_wide(after[:1]):
                child.type, child.content = "text", ""


def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "html_block", "html_inline"])
    markdown.inline.ruler.before("emphasis", "role", _role)
    markdown.core.ruler.push("japanese_lines", _join_japanese_lines)
    markdown.core.ruler.push("terms", _mark_terms)
    markdown.validateLink = _allowed_link  # type: ignore[method-assign]  # the documented way to set a policy
    markdown.add_render_rule("fence", _fence)
    markdown.add_render_rule("link_open", _link_open)
    return markdown


_MARKDOWN = _markdown()
