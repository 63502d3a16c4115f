"""A lesson's files come together, and a mistake in any of them is said with file, line and what was expected."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from web import lesson_lint, lesson_predicates, lessons
from web.lesson_model import LANGS, LessonError

YAML = """\
id: tiny
minutes: 5
quiz: [end]
steps:
  - id: one
    checks:
      - id: named
        predicates: [{hostname: {name: box}}]
    solve: {type: "unshare -u hostname box\\n"}
    wrong:
      - {id: outside, type: "hostname box\\n", check: named, code: lab_renamed}
"""
TEXT = """\
# Tiny

> Does it work?

Introduction.

## First {#one}

:::ask
Is it so?
:::

:::predict guess
What now?

- [x] This
  Because.
- [ ] That
  No.
:::

```run lab
unshare -u bash
```

:::see
Look at :ns[uts].
:::

:::figure f.svg
A figure.
:::

:::check named
Named `box`.
- `lab_renamed`: Not the lab.
:::

:::hint
a
:::

:::hint
b
:::

:::hint
c
:::

:::learnt
So it is.
:::

:::notes
Two minutes.
:::

## End {#outro}

Bye.

:::quiz end
Well?

- [ ] No
  Wrong.
- [x] Yes
  Right.
:::
"""
FIGURE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10">
  <title lang="ja">題</title>
  <title lang="en">Title</title>
  <desc lang="ja">説明</desc>
  <desc lang="en">Description</desc>
  <text lang="ja" x="1" y="2">箱</text>
  <text lang="en" x="1" y="2">box</text>
  <path class="wire" id="p" d="M0 0H9"/>
  <use href="#p"/>
</svg>
"""
CODES = {"lab_renamed", "no_own_ns"}
PREDICATES = lesson_predicates.known(Path(__file__).resolve().parents[2])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound lesson, to be spoilt by each test in its own way."""
    made = tmp_path / "lessons" / "07-tiny"
    (made / "figures").mkdir(parents=True)
    (made / "lesson.yaml").write_text(YAML, "utf-8")
    for lang in LANGS:
        (made / f"{lang}.md").write_text(TEXT, "utf-8")
    (made / "figures" / "f.svg").write_text(FIGURE, "utf-8")
    return made


def _change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def _lint(folder: Path) -> list[str]:
    return [str(error) for error in lesson_lint.lint(folder, Path(), CODES, PREDICATES)]


def test_a_sound_lesson_loads(folder: Path) -> None:
    """Everything is where pages and sockets look for it."""
    lesson = lessons.lesson(folder)
    step = lesson.step("one")
    assert (lesson.number, lesson.slug, lesson.id, lesson.minutes) == (7, "07-tiny", "tiny", 5)
    assert lesson.title["en"] == "Tiny" and lesson.question["ja"] == "Does it work?"
    assert lesson.intro["en"] == "<p>Introduction.</p>\n" and "Bye" in lesson.outro["ja"]
    assert [part.kind for part in step.parts["en"]] == ["html", "predict", "html", "html", "html"]
    assert step.blocks["ja"][0].text == "unshare -u bash"
    assert step.predictions[0].options[0].right and not step.predictions[0].options[1].right
    assert 'name="one-guess"' in step.html["en"] and 'class="see"' in step.html["en"]
    assert step.solve.typed[0].terminal == "show" and step.solve.typed[0].text.endswith("\n")
    assert step.check("named").tries["ja"]["lab_renamed"] == "Not the lab."
    assert lesson.quiz[0].id == "end"
    assert _lint(folder) == []


def test_one_of_several_predicates(folder: Path) -> None:
    """any_of holds a list, where the others hold a map."""
    _change(
        folder / "lesson.yaml", "[{hostname: {name: box}}]", "[{any_of: [{hostname: {name: box}}, {own_proc: {}}]}]"
    )
    (predicate,) = lessons.lesson(folder).step("one").check("named").predicates
    assert predicate == {"any_of": [{"hostname": {"name": "box"}}, {"own_proc": {}}]}


def test_a_figure_is_shown_in_one_language_with_ids_of_its_own(folder: Path) -> None:
    """The other language's words are taken out; references stay within the figure."""
    html = lessons.lesson(folder).step("one").html["ja"]
    assert "箱" in html and ">box<" not in html
    assert 'id="f-p"' in html and 'href="#f-p"' in html and 'aria-labelledby="f-title f-desc"' in html


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("minutes: 5", "minuts: 5", 2, 'unknown key "minuts".*did you mean "minutes"'),
        ("minutes: 5\n", "", 1, '"minutes" is missing'),
        ("minutes: 5", "minutes: five", 2, "minutes: 'five'; expected"),
        ("minutes: 5", "minutes: 5000", 2, "less than or equal to 120"),
        ("minutes: 5", "minutes: 5\nkernel: [utz]", 3, '"utz" is no kind of namespace'),
        ("[{hostname: {name: box}}]", "[{hostname: {name: box}, link: {}}]", 8, "2 names; expected one"),
        ("[{hostname: {name: box}}]", "[]", 8, "at least 1 item"),
        ("[{hostname: {name: box}}]", "[{hostname: box}]", 8, "hostname has 'box'; expected hostname: {…}"),
        ("[{hostname: {name: box}}]", "[{any_of: {hostname: {}}}]", 8, "expected any_of: \\[{…}, {…}]"),
        ("check: named, code", "check: name, code", 11, 'no check "name".*did you mean "named"'),
        ("solve: {type:", "solve: {tipe:", 9, 'unknown key "tipe".*did you mean "type"'),
        ('solve: {type: "unshare -u hostname box\\n"}', "solve: {}", 9, "does nothing"),
        ("- id: one", "- id: One Two", 5, "steps.0.id: 'One Two'"),
        ("id: tiny", "- a\n- b", 3, "is not YAML"),
    ],
)
def test_a_mistake_in_the_yaml(folder: Path, old: str, new: str, line: int, said: str) -> None:
    """File, line, what was expected, and the nearest known word."""
    _change(folder / "lesson.yaml", old, new)
    with pytest.raises(LessonError, match=said) as caught:
        lessons.lesson(folder)
    assert (caught.value.file, caught.value.line) == ("07-tiny/lesson.yaml", line)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("# Tiny", "Tiny", 1, "title first"),
        ("# Tiny", "## Tiny {#x}", 1, "title first"),
        ("> Does it work?", "Does it work?", 3, "question below its title"),
        ("{#one}", "", 7, "has no id"),
        ("{#one}", "{#on}", 7, 'not in lesson.yaml.*did you mean "one"'),
        (":::ask", ":::aks", 9, 'is no directive.*did you mean "ask"'),
        ("Is it so?\n:::", "Is it so?", 9, ":::ask is not closed"),
        (":::predict guess", ":::predict", 13, "expected :::predict ID"),
        ("- [x] This", "- [ ] This", 14, "one right option"),
        ("  Because.", "", 16, "reason below the option"),
        ("- [ ] That\n  No.\n", "", 14, "at least two options"),
        ("```run lab", "```rum lab", 22, "expected run, copy"),
        (":ns[uts]", ":ns[utc]", 27, "expected one of user, pid"),
        (":::figure f.svg", ":::figure g.svg", 30, "not there.*"),
        (":::check named", ":::check name", 34, 'check "name" is unknown.*did you mean "named"'),
        ("- `lab_renamed`: Not", "* lab_renamed Not", 35, "Named|"),
        (":::learnt", ":::notes", 7, "has 0 :::learnt"),
        (":::quiz end", ":::quiz ende", 63, 'quiz "ende" is unknown'),
    ],
)
def test_a_mistake_in_the_words(folder: Path, old: str, new: str, line: int, said: str) -> None:
    """The same for ja.md and en.md: nothing is passed over in silence."""
    _change(folder / "en.md", old, new)
    if said == "Named|":  # a list written otherwise becomes part of the goal: seen by the lint, not by the loader
        assert any("no advice for `lab_renamed`" in error for error in _lint(folder))
        return
    with pytest.raises(LessonError, match=said) as caught:
        lessons.lesson(folder)
    assert (caught.value.file, caught.value.line) == ("07-tiny/en.md", line)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<svg ", "<!DOCTYPE svg [<!ENTITY a 'b'>]><svg ", "DOCTYPE"),
        ("</svg>", "", "well-formed"),
        ("<path ", "<script>x</script><path ", "<script>"),
        ("<path ", '<path onload="x" ', "onload"),
        ("<path ", '<path style="x" ', "style"),
        ('class="wire"', 'fill="#ff0000"', "expected a class"),
        ('href="#p"', 'href="https://example.org/x"', "in the figure itself"),
        ('<desc lang="ja">説明</desc>', "", "desc"),
    ],
)
def test_a_figure_that_does_not_belong_in_a_page(folder: Path, old: str, new: str, said: str) -> None:
    """No script, no style, no colour of its own, nothing from elsewhere; a description in each language."""
    _change(folder / "figures" / "f.svg", old, new)
    with pytest.raises(LessonError, match=said) as caught:
        lessons.lesson(folder)
    assert caught.value.file == "07-tiny/figures/f.svg"


def test_one_bad_lesson_leaves_the_others(folder: Path) -> None:
    """The catalogue has what can be read, and the mistakes of the rest."""
    other = folder.parent / "08-bad"
    other.mkdir()
    (other / "lesson.yaml").write_text("id: [", "utf-8")
    (folder.parent / "notes").mkdir()
    catalogue = lessons.load(folder.parent)
    assert [lesson.slug for lesson in catalogue.lessons] == ["07-tiny"]
    assert [error.file for error in catalogue.errors] == ["08-bad/lesson.yaml"]
    assert catalogue.get("tiny") is catalogue.get("7") is catalogue.get("07-tiny")
    with pytest.raises(KeyError):
        catalogue.get("08-bad")
    assert lessons.load(folder / "nowhere").lessons == ()


def test_two_lessons_with_one_id(folder: Path) -> None:
    """The second is left out."""
    twin = folder.parent / "09-twin"
    twin.mkdir()
    for path in folder.rglob("*.*"):
        target = twin / path.relative_to(folder)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    catalogue = lessons.load(folder.parent)
    assert len(catalogue.lessons) == 1 and "id of another" in str(catalogue.errors[0])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("unshare -u bash", "unshare -n bash", r"ja.md:22: code block differs from|en.md:22: code block differs"),
        (":::figure f.svg\nA figure.\n:::\n", "", "0 of figure; expected 1"),
        ("Introduction.", "See [here](https://example.org/).", "1 of link; expected 0"),
        ("Introduction.", "A DockerFile.", '"DockerFile" is not our word; expected Dockerfile'),
        ("Introduction.", "[x](../../source/engine/nothing.py#f)", "no such file"),
        ("Introduction.", "[x](../../source/engine/errors.py#from_kin)", 'no function.*did you mean "from_kind"'),
        ("Introduction.", "[x](figures/f.svg)", "expected ../../source"),
        ("```run lab\nunshare", "```run lab\nkill ‹PID›\nunshare", "a run block with a"),
        ("```run lab\nunshare", "```edit lab\nunshare", "an edit block without"),
        (":::hint\nc\n:::\n", "", "has 2 hints; expected 3"),
        (":::notes\nTwo minutes.\n:::\n", "", "no :::notes"),
        ("- `lab_renamed`: Not the lab.", "", "no advice for `lab_renamed`"),
        ("- `lab_renamed`:", "- `lab_renames`:", 'no result code "lab_renames".*did you mean'),
        ("```run lab", "```run third", 'terminal "third"; expected one of lab'),
        ("Look at", "**「Look」**at", "Markdown was left as it is"),
    ],
)
def test_lint_says_what_an_author_forgot(folder: Path, old: str, new: str, said: str) -> None:
    """One language spoilt, one sentence."""
    _change(folder / "en.md", old, new)
    if "third" in said:
        _change(folder / "ja.md", old, new)
    errors = "\n".join(_lint(folder))
    assert errors, f"expected {said}"
    assert re.search(said, errors), errors


def test_lint_knows_the_predicates_and_codes(folder: Path) -> None:
    """A name that the engine does not have is said with the nearest one."""
    _change(folder / "lesson.yaml", "{hostname: {", "{hostnam: {")
    _change(folder / "lesson.yaml", "code: lab_renamed", "code: lab_rename")
    errors = _lint(folder)
    assert any('yaml:8: step "one": no predicate "hostnam"' in error and '"hostname"?' in error for error in errors)
    assert any('yaml:11: step "one": no result code "lab_rename"' in error for error in errors)


def test_lint_finds_words_to_avoid_in_japanese(folder: Path) -> None:
    """ユーザー, not ユーザ; and the long form itself is left alone."""
    _change(folder / "ja.md", "Introduction.", "ユーザーとユーザ。")
    assert [error for error in _lint(folder) if "ユーザー" in error and ":5:" in error]


def test_the_right_answer_is_not_always_the_first(folder: Path) -> None:
    """Three questions whose right answer stands in the same place give the game away."""
    again = re.search(r":::predict guess.*?\n:::\n", TEXT, re.DOTALL)
    assert again
    more = "\n".join(again[0].replace("guess", name) for name in ("guess", "second", "third"))
    for lang in LANGS:
        _change(folder / f"{lang}.md", again[0], more)
        _change(
            folder / f"{lang}.md", "- [ ] No\n  Wrong.\n- [x] Yes\n  Right.", "- [x] Yes\n  Right.\n- [ ] No\n  Wrong."
        )
    assert any("number 1 of every question" in error for error in _lint(folder))


def test_unused_figures_are_said(folder: Path) -> None:
    """A figure nobody shows is a mistake too."""
    (folder / "figures" / "g.svg").write_text(FIGURE, "utf-8")
    assert any("g.svg: is used nowhere" in error for error in _lint(folder))


def _with_variants(folder: Path) -> None:
    """The small lesson, with text, a solution and a wrong action for each version of cgroups."""
    for lang in LANGS:
        block = ":::when cgroup={v}\nOn {v}.\n\n```run lab\necho {v}\n```\n:::\n\n"
        both = block.format(v="v1") + block.format(v="v2")
        _change(folder / f"{lang}.md", ":::figure f.svg", both + ":::figure f.svg")


def test_each_kernel_gets_its_own_commands_and_sees_the_other(folder: Path) -> None:
    """The other's are folded up and cannot be run; hybrid counts as v1."""
    _with_variants(folder)
    assert _lint(folder) == []
    catalogue = lessons.load(folder.parent)
    for kind, here, other in (("v1", "v1", "v2"), ("hybrid", "v1", "v2"), ("v2", "v2", "v1")):
        catalogue.choose(kind)
        step = catalogue.lessons[0].steps[0]
        texts = [block.text for block in step.blocks["en"]]
        assert f"echo {here}" in texts and f"echo {other}" not in texts
        folded = step.html["en"].partition('<details class="other-kernel">')[2].partition("</details>")[0]
        assert f"echo {other}" in folded and 'data-mode="run"' not in folded


def test_what_is_said_for_one_version_only_is_a_mistake(folder: Path) -> None:
    """And so is a version that there is not."""
    _with_variants(folder)
    for lang in LANGS:
        _change(folder / f"{lang}.md", ":::when cgroup=v2", ":::when cgroup=v1")
    assert any("says less for cgroup v2" in error for error in _lint(folder))
    _change(folder / "ja.md", ":::when cgroup=v1", ":::when cgroup=v3")
    assert any("expected cgroup=v1 or cgroup=v2" in error for error in _lint(folder))


def test_checks_and_actions_can_differ_by_version(folder: Path) -> None:
    """One id for both; each kernel has its own predicates, solution and wrong action. Twice for one is a mistake."""
    yaml = folder / "lesson.yaml"
    check = "      - {{id: named, when: {{cgroup: {0}}}, predicates: [{{hostname: {{name: box-{0}}}}}]}}\n"
    solve = '      - {{when: {{cgroup: {0}}}, type: "echo {0}\\n"}}\n'
    wrong = '      - {{id: outside, when: {{cgroup: {0}}}, type: "no {0}\\n", check: named, code: lab_renamed}}\n'
    parts = [piece.format("v1") + piece.format("v2") for piece in (check, solve, wrong)]
    text = YAML.partition("    checks:\n")[0]
    text += f"    checks:\n{parts[0]}    solve:\n{parts[1]}    wrong:\n{parts[2]}"
    yaml.write_text(text, "utf-8")
    for cgroup in ("v1", "v2"):
        step = lessons.lesson(folder, cgroup).steps[0]
        assert [check.predicates[0]["hostname"]["name"] for check in step.checks] == [f"box-{cgroup}"]
        assert step.solve.typed[0].text == f"echo {cgroup}\n"
        assert [one.action.typed[0].text for one in step.wrong] == [f"no {cgroup}\n"]
    yaml.write_text(text.replace("{cgroup: v2}", "{cgroup: v1}"), "utf-8")
    with pytest.raises(LessonError, match="is there already"):
        lessons.lesson(folder)
    yaml.write_text(text.replace(solve.format("v2"), ""), "utf-8")
    with pytest.raises(LessonError, match="0 solutions for cgroup v2"):
        lessons.lesson(folder)
