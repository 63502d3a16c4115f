"""The docs are tested: a setting, a default, a command or a file that they name must be so, and none may be missing."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from pydantic_settings import BaseSettings

from engine.cli_run import _parser
from engine.cli_tools import hako
from engine.settings import Settings
from web.lesson_cli import main as lessons
from web.settings import WebSettings

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "README.ja.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BENCHES = ("observe", "start", "terminal")
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
ROWS = {cells[0]: cells[1] for cells in re.findall(r"^\| `([A-Z_]+)` \| ([^|]+) \| [^|]+ \|$", CONFIGURATION, re.M)}


def _variables(settings: type[BaseSettings]) -> dict[str, object]:
    """Each environment variable that `settings` reads, with its default."""
    prefix = settings.model_config["env_prefix"]
    return {
        str(field.validation_alias or f"{prefix}{name}").upper(): field.default
        for name, field in settings.model_fields.items()
    }


def _in_words(default: object) -> str:
    """A default as the table writes it."""
    if default in (None, "", ()):
        return "empty"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{','.join(default) if isinstance(default, tuple) else default}`"


@pytest.mark.parametrize("settings", [Settings, WebSettings])
def test_every_setting_is_documented_with_its_default(settings: type[BaseSettings]) -> None:
    """Each variable has a row in docs/configuration.md, and the row says the default that the code has."""
    expected = {name: _in_words(default) for name, default in _variables(settings).items()}
    documented = {name: ROWS.get(name) for name in expected}
    assert documented == expected


def _command_rows() -> dict[str, set[str]]:
    """Each command of docs/configuration.md with the options its row names."""
    rows = re.findall(r"^\| `\./hako ([a-z ]+)` \|([^|]*)\|", CONFIGURATION, re.M)
    return {command: set(re.findall(r"`(-[^`]+)`", options)) for command, options in rows}


def _of_argparse() -> dict[str, set[str]]:
    """The container commands and their options."""
    commands = next(action.choices for action in _parser()._actions if action.choices)
    return {
        command: {option for each in parser._actions for option in each.option_strings} - {"--help"}
        for command, parser in dict(commands).items()
    }


def _of_click(command: click.Command, name: str) -> dict[str, set[str]]:
    """A command's options, or those of the commands that it is a group of."""
    if isinstance(command, click.Group):
        return {
            full: options
            for word, each in command.commands.items()
            for full, options in _of_click(each, f"{name} {word}".strip()).items()
        }
    options = (each for each in command.params if isinstance(each, click.Option))
    return {name: {word for each in options for word in each.opts}}


def test_every_command_and_option_is_documented() -> None:
    """The row of each command names the options that the code knows, and no other; no command is missing or gone."""
    known = {**_of_argparse(), **_of_click(hako, ""), **_of_click(lessons, "lesson")}
    for name in BENCHES:
        source = (ROOT / "tests" / "bench" / f"{name}.py").read_text()
        known[f"bench {name}"] = set(re.findall(r'add_argument\("(--[a-z-]+)"', source))
    # These hand over to what stands above; the launcher's own have no parser.
    known = {name: options for name, options in known.items() if name not in ("lesson", "bench")}
    rows = {name: options for name, options in _command_rows().items() if name not in ("test", "setup")}
    assert rows == known


def test_every_word_of_the_launcher_is_documented() -> None:
    """What `./hako` takes as its first word has a row."""
    cases = re.search(r"^case \$command in\n(.*?)^esac", (ROOT / "hako").read_text(), re.M | re.S)
    assert cases
    words = {word for line in re.findall(r"^([a-z |]+)\)", cases[1], re.M) for word in line.split(" | ")}
    documented = {row.split()[0] for row in _command_rows()}
    assert words - {"help"} == documented


def test_no_documented_setting_is_gone() -> None:
    """A row whose variable no code reads any more would send people astray."""
    assert set(ROWS) - set(_variables(Settings)) - set(_variables(WebSettings)) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_our_files_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file that exists."""
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_the_readmes_quote_what_is_said() -> None:
    """Every message that the trouble tables put in quotes is one that the launcher, `hako up` or the page says."""
    sources = ("hako", "engine/preflight.py", "web/translations/en.json", "web/translations/ja.json")
    said = "".join((ROOT / name).read_text() for name in sources)
    for name in ("README.md", "README.ja.md"):
        quoted = re.findall(r'^\|[^|]*["「]([^"」|]+)["」][^|]*\|', (ROOT / name).read_text(), re.M)
        assert len(quoted) == 7, quoted
        assert [words for words in quoted if words not in said] == []


def test_both_readmes_name_the_two_commands() -> None:
    """`./hako up` and `./hako test` stand alone on a line, to be copied, in both languages."""
    for name in ("README.md", "README.ja.md"):
        lines = {line.strip() for line in (ROOT / name).read_text().splitlines()}
        assert {"./hako up", "./hako test"} <= lines, name


def test_both_readmes_show_the_same_commands() -> None:
    """No command, path or address stands in one language only."""
    texts = [(ROOT / name).read_text() for name in ("README.md", "README.ja.md")]
    shown = [set(re.findall(r"`([^`]+)`", text)) | set(re.findall(r"^    (.+)$", text, re.M)) for text in texts]
    assert shown[0] == shown[1]
