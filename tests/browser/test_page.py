"""The page round the lesson: keyboard, languages, what it remembers, what it says, and that machines can read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import AXE
from tests.browser.lesson_page import SLUG, LessonPage
from tests.browser.stack import Stack, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.root]
Open = Callable[..., LessonPage]

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page) -> list[str]:
    """What axe-core finds, one line each."""
    page.evaluate(AXE.read_text("utf-8"))
    found: dict[str, Any] = page.evaluate("tags => axe.run({runOnly: tags})", WCAG)
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
        # In the drawing letters stand for words: an item is named "user 4026531837" where "U 4026531837" stands.
        if not (rule["id"] == "label-content-name-mismatch" and node["html"].startswith("<g "))
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["ja", "en"])
def test_every_page_can_be_read_by_all(stack: Stack, chromium: Browser, lang: str, scheme: str) -> None:
    """axe-core finds nothing on catalogue, source and error page; the browser reports no violation of the policy."""
    context = chromium.new_context(color_scheme=scheme)
    page = context.new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text) if "Content Security" in message.text else None)
    for path in ("", "source/engine/linux/namespaces.py", "nothing-here"):
        page.goto(f"{stack.url}/{lang}/{path}")
        assert violations(page) == [], path
    context.close()
    assert heard == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_lesson_can_be_read_by_all(lesson: Open, scheme: str) -> None:
    """The same with a lab at work: terminals, drawing, table, open menus."""
    page = lesson(color_scheme=scheme)
    page.type("unshare -u bash\n")
    page.page.locator(".map .group.fresh").wait_for()
    assert violations(page.page) == []
    page.page.get_by_role("button", name="As a table").click()
    page.page.click("#open-keys")
    assert violations(page.page) == []
    page.page.keyboard.press("Escape")


@pytest.mark.parametrize("width", [390, 1024, 1440, 1920])
def test_nothing_sticks_out(lesson: Open, width: int) -> None:
    """The page is as large as the window at every width; only its panes scroll."""
    page = lesson(width=width, height=800)
    size = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    assert page.evaluate(size) == [width, 800]


def test_a_way_out_of_the_terminal(lesson: Open) -> None:
    """Tab belongs to the terminal; two key combinations lead out of it, into the text."""
    page = lesson()
    for keys in ("Control+Shift+Escape", "Shift+F6"):
        page.page.click("#tab-lab")
        page.page.keyboard.press("Tab")
        assert page.evaluate("!!document.activeElement.closest('.screen')")
        page.page.keyboard.press(keys)
        assert page.evaluate("document.activeElement.tagName") == "H2"
    page.page.keyboard.press("F6")
    assert page.evaluate("!!document.activeElement.closest('.screen')")


def test_dividers_move_by_mouse_and_keys_and_are_remembered(lesson: Open) -> None:
    """What a person moved stands there after a reload."""
    page = lesson()
    divider = page.page.get_by_role("separator", name="Divider between text and terminals")
    box = divider.bounding_box()
    assert box
    page.page.mouse.move(box["x"] + 4, 400)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 104, 400)
    page.page.mouse.up()
    moved = int(divider.get_attribute("aria-valuenow") or 0)
    assert moved == 45
    page.page.keyboard.press("ArrowLeft")
    assert divider.get_attribute("aria-valuenow") == "43"
    page.page.reload()
    assert divider.get_attribute("aria-valuenow") == "43"
    divider.press("Enter")
    assert divider.get_attribute("aria-valuenow") == "38"


def test_the_language_changes_in_place(lesson: Open) -> None:
    """Step, connection and terminal stay; every word changes; the address too."""
    page = lesson(lang="en", step="pid")
    page.type("echo still-here\n")
    page.until("\nstill-here")
    generation = page.evaluate("hako.connection.generation")
    page.page.click("#switch-language")
    page.page.get_by_role("heading", name="なぜもうforkできない").wait_for()
    assert page.page.url.endswith(f"/ja/lessons/{SLUG}/#step-pid")
    assert page.evaluate("[document.documentElement.lang, hako.connection.generation]") == ["ja", generation]
    assert "still-here" in page.text()
    assert page.page.get_by_role("button", name="実行").count() > 0
    assert page.page.get_by_text("Check now").count() == 0
    page.type("echo also-here\n")
    page.until("\nalso-here")
    wait_until(lambda: "見えたもの" in page.step.locator(".checks").inner_text(), "the server speaks Japanese too")


def test_a_prediction_is_made_before_the_reason_is_shown_and_kept(lesson: Open) -> None:
    """Choose, then read why; after a reload the choice stands."""
    page = lesson()
    form = page.step.locator("form.predict").first
    assert form.locator(".why:visible").count() == 0
    assert form.locator("button").is_disabled()
    form.locator("label").nth(0).click()
    with page.page.expect_response("**/api/progress"):
        form.locator("button").click()
    assert form.locator(".why.right:visible").count() == 1
    page.page.reload()
    page.until("root@")
    assert page.step.locator("form.predict.answered .why.right:visible").count() == 1


def test_hints_come_one_by_one(lesson: Open) -> None:
    """The first press shows the first hint, and no other."""
    page = lesson()
    page.step.get_by_role("button", name="Hint 1 of 3").click()
    assert page.step.locator(".hints > li:visible").count() == 1
    page.step.get_by_role("button", name="Hint 2 of 3").click()
    assert page.step.locator(".hints > li:visible").count() == 2


def test_show_me_does_it_in_a_terminal_of_its_own(lesson: Open) -> None:
    """The solution is typed before one's eyes, and the step is done by it."""
    page = lesson()
    page.step.get_by_role("button", name="Show me").click()
    page.until("hostname box", "show")
    wait_until(lambda: page.state("own-name") == "done", "the kernel agrees")
    assert page.step.locator(".learnt").is_visible()


def test_reset_gives_a_fresh_lab_and_asks_first(lesson: Open) -> None:
    """Everything in the lab is gone, the progress is not, and no ghost of the old shells is shown."""
    page = lesson()
    page.type("touch /root/mine; unshare -u bash\n")
    page.page.locator(".map .group.fresh").wait_for()
    page.step.get_by_role("button", name="Reset the lab").click()
    assert "thrown away" in page.step.locator(".help-said").inner_text()
    page.step.get_by_role("button", name="Throw away").click()
    page.step.get_by_text("A fresh lab, set up").wait_for()
    page.until("root@")
    page.type("ls /root/mine\n")
    page.until("No such file")
    assert "unshare" not in page.text()
    assert page.page.inner_text("#frame-lab .strip") == ""


def test_the_frame_says_where_one_is(lesson: Open) -> None:
    """Entering a namespace puts its mark on the frame, leaving takes it off."""
    page = lesson()
    page.type("unshare -u bash\nhostname box\nexec bash\n")
    frame = page.page.locator("#frame-lab .where")
    frame.get_by_text("box").wait_for()
    assert frame.locator("abbr").all_inner_texts() == ["H"]
    assert page.page.locator("#frame-lab .frame-outline.ns-uts").count() == 1
    page.type("exit\n")
    wait_until(lambda: frame.locator("abbr").count() == 0, "back on the lab host")


def test_the_drawing_is_walked_by_arrow_keys_and_says_what_came(lesson: Open) -> None:
    """A new namespace is drawn inside the lab, announced once, reachable by keys, and listed in the table."""
    page = lesson()
    page.type("unshare -u bash\nhostname <b>box\n")
    page.page.locator(".map .group.fresh").wait_for()
    wait_until(lambda: "uts" in page.page.inner_text(".view > .unseen"), "a screen reader is told")
    page.page.keyboard.press("Control+Shift+Escape")
    page.evaluate("hako.views.focus()")
    page.page.keyboard.press("End")
    assert "bash" in (page.page.get_attribute(":focus", "aria-label") or "")
    page.page.keyboard.press("ArrowLeft")
    assert "uts" in (page.page.get_attribute(":focus", "aria-label") or "")
    page.page.keyboard.press("ArrowLeft")
    assert "Your lab" in (page.page.get_attribute(":focus", "aria-label") or "")
    page.page.get_by_role("button", name="As a table").click()
    assert page.page.locator(".ns-table tbody tr").first.get_by_text("uts").is_visible()
    assert page.page.locator(".ns-table tbody tr").count() == 9


def test_a_step_may_be_linked_to_and_gone_back_from(lesson: Open) -> None:
    """The address names the step; the browser's back button goes to the one before."""
    page = lesson(step="mount")
    assert page.step.get_attribute("id") == "step-mount"
    page.page.keyboard.press("Alt+PageDown")
    assert page.page.url.endswith("#step-talk")
    page.page.go_back()
    assert page.step.get_attribute("id") == "step-mount"


def test_a_paused_lab_says_so_and_goes_on(lesson: Open) -> None:
    """One sentence in place, a button, and the same shell afterwards."""
    page = lesson()
    page.type("echo before\n")
    page.until("\nbefore")
    page.evaluate("hako.labVerb('pause')")
    page.page.get_by_role("button", name="Go on", exact=True).click()
    wait_until(lambda: page.evaluate("hako.lab.state") == "ready", "it goes on")
    page.type("echo after\n")
    page.until("\nafter")
    assert "before" in page.text()
