"""The terminal in the page, on the real engine: nothing lost, nothing doubled, and said when it cannot be."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.lesson_page import LessonPage
from tests.browser.stack import Stack, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.root]
Open = Callable[..., LessonPage]


def test_what_is_typed_runs_and_is_shown(lesson: Open) -> None:
    """A command typed into the page is run by the lab's shell."""
    page = lesson()
    page.type("echo $((6 * 7))\n")
    page.until("\n42")


def test_japanese_goes_in_and_comes_out(lesson: Open) -> None:
    """Text of wide characters is echoed whole, two cells a letter."""
    page = lesson()
    page.page.click("#tab-lab")
    page.page.keyboard.insert_text("echo 日本語の名前空間")
    page.page.keyboard.press("Enter")
    page.until("\n日本語の名前空間")
    width = page.evaluate("hako.deck.frames.get('lab').terminal.term.buffer.active.getLine(1).getCell(0).getWidth()")
    assert width == 2


def test_a_double_click_on_run_types_once(lesson: Open) -> None:
    """Two presses in a row are one wish."""
    page = lesson()
    button = page.step.locator("figure.command[data-mode=run] button.primary").first
    button.dblclick()
    page.until("hostname box")
    page.type("echo -n; true\n")
    page.until("true")
    assert page.text().count("unshare -u bash") == 1


def test_a_reload_brings_the_screen_back_once(lesson: Open) -> None:
    """After a reload the screen shows what it showed, no line twice, and goes on."""
    page = lesson()
    page.type("for i in 1 2 3; do echo line-$i; done\n")
    page.until("\nline-3")
    before = page.text()
    page.page.reload()
    page.until("\nline-3")
    page.type("echo after\n")
    page.until("\nafter")
    assert page.text().startswith(before)
    assert page.text().count("\nline-2") == 1


def test_a_reload_types_no_answers_to_old_questions(lesson: Open) -> None:
    """Escape sequences that ask the terminal something are not answered again when they are shown again."""
    page = lesson()
    page.type("printf '\\033[c\\033[6n\\033]11;?\\007'; sleep 0.3; read -t 0.2 -n 999 x; clear; echo clean\n")
    page.until("clean\nroot@")  # the line itself, echoed, says "clean" too, long before `read` has taken the answers
    page.evaluate("sessionStorage.clear()")
    page.evaluate("addEventListener('pagehide', () => sessionStorage.clear())")
    page.page.reload()
    page.until("clean\nroot@")
    page.type("echo -n ok | cat -v\n")
    page.until("ok")
    assert "62;" not in page.text() and "1;1R" not in page.text()


def test_killing_the_web_process_loses_nothing(lesson: Open, stack: Stack) -> None:
    """A shell that prints while the server is killed has printed every line once when the page is back."""
    page = lesson()
    page.type("for i in $(seq 1 60); do echo n-$i; sleep 0.05; done\n")
    page.until("\nn-5\n")
    stack.kill_web()
    wait_until(lambda: not page.online(), "the page notices")
    page.until("\nn-60\n", deadline_s=40)
    lines = [line for line in page.text().splitlines() if line.startswith("n-")]
    assert lines == [f"n-{number}" for number in range(1, 61)]


def test_typing_while_the_connection_is_lost_is_said(lesson: Open, stack: Stack) -> None:
    """Keys that cannot be sent are not kept for later, and the page says so."""
    page = lesson()
    page.page.click("#tab-lab")
    stack.kill_web()
    wait_until(lambda: not page.online(), "the page notices")
    page.page.keyboard.type("echo lost")
    assert "Not sent" in page.page.inner_text("#frame-lab .strip")
    wait_until(page.online, "it heals by itself", 40)
    page.type("echo back\n")
    page.until("\nback")
    assert "echo lost" not in page.text()


def test_ctrl_c_works_while_yes_floods(lesson: Open) -> None:
    """The prompt comes back soon after Ctrl-C, whatever has been printed."""
    page = lesson()
    page.type("yes flood\n")
    page.until("flood\nflood")
    page.page.keyboard.press("Control+c")
    wait_until(lambda: "^C" in page.text()[-400:], "the flood ends", 5)


def test_a_paste_of_lines_asks_first_without_bracketed_paste(lesson: Open) -> None:
    """Several lines would run at once: a program that does not ask for bracketed paste gets them after a question."""
    page = lesson()
    page.type("cat\n")
    page.until("cat")
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.setData("text/plain", "one\\ntwo\\n");
            const area = hako.deck.frames.get("lab").terminal.term.textarea;
            area.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
        }"""
    )
    assert "2 lines" in page.page.inner_text("#frame-lab .strip")
    assert "one" not in page.text()
    page.page.click("#frame-lab .strip button.primary")
    page.until("one\ntwo\none\ntwo")


def test_search_finds_and_counts(lesson: Open) -> None:
    """Ctrl Shift F searches the terminal and says how many there are."""
    page = lesson()
    page.type("echo needle needle\n")
    page.until("\nneedle needle")
    page.page.keyboard.press("Control+Shift+F")
    page.page.keyboard.type("needle")
    wait_until(lambda: "of 4" in page.page.inner_text(".find-count"), "four matches are counted")
    page.page.keyboard.press("Escape")
    assert page.page.locator(".find").count() == 0


def test_the_size_is_the_frames(lesson: Open) -> None:
    """The shell's terminal has as many columns as the frame shows, also after the divider moved."""
    page = lesson()
    page.type("stty size\n")
    shown = "hako.deck.frames.get('lab').terminal.term"
    page.until(page.evaluate(f"`${{{shown}.rows}} ${{{shown}.cols}}`"))
    before = page.evaluate(f"{shown}.cols")
    page.page.focus(".work > .divider")
    page.page.keyboard.press("Shift+ArrowRight")
    wait_until(lambda: page.evaluate(f"{shown}.cols") < before, "fewer columns")
    page.type("clear; stty size\n")
    page.until(page.evaluate(f"`${{{shown}.rows}} ${{{shown}.cols}}`"))


def test_of_two_tabs_the_one_in_use_decides_the_size(lesson: Open) -> None:
    """The second tab is narrower; who goes back to the first finds the terminal as wide as its frame."""
    first = lesson(width=1440)
    second = lesson(width=1024)
    wide, narrow = (page.evaluate("hako.deck.frames.get('lab').terminal.term.cols") for page in (first, second))
    assert wide > narrow
    second.type("stty size\n")
    second.until(f" {narrow}\n")
    first.page.bring_to_front()
    first.page.evaluate("document.activeElement.blur()")
    first.type("stty size\n")
    first.until(f" {wide}\n")


def test_a_shell_that_ends_can_be_had_anew(lesson: Open) -> None:
    """exit says that the shell ended, with its status, and a button starts another."""
    page = lesson()
    page.type("exit 3\n")
    strip = page.page.locator("#frame-lab .strip")
    strip.get_by_text("status 3").wait_for()
    strip.get_by_role("button").click()
    # The first shell's prompt is still there until the second one's comes.
    wait_until(lambda: "root@" in page.text() and "exit 3" not in page.text(), "a second prompt")
    page.type("echo second life\n")
    page.until("\nsecond life")
