"""The views that hear more than observations: the charts of the cgroups, and the plan of the last run as a timeline."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.lesson_page import LessonPage
from tests.browser.stack import wait_until
from tests.browser.test_page import violations

pytestmark = [pytest.mark.browser, pytest.mark.root]
Open = Callable[..., LessonPage]

# On v1 each controller has a tree of its own, on v2 the lab has handed them down.
PLACE = "P=/sys/fs/cgroup/pids; C=/sys/fs/cgroup/cpu; [ -d $P ] || P=/sys/fs/cgroup C=/sys/fs/cgroup; cd /; clear\n"
QUOTA = "[ -e $C/box/cpu.max ] && echo 10000 >$C/box/cpu.max || echo 10000 >$C/box/cpu.cfs_quota_us\n"


def show(page: LessonPage, view: str) -> None:
    """Choose a view and wait until there is something in it."""
    page.page.click(f"#view-tab-{view}")


def row(page: LessonPage, path: str) -> str:
    """The line of a group, as it is read."""
    found = page.page.locator(f'#view-cgroups [data-key="group:{path}"] > .cg-row')
    return " ".join(found.inner_text().split()) if found.count() else ""


def marks(page: LessonPage) -> str:
    """The list below the open group."""
    return " ".join(page.page.locator("#view-cgroups .cg-item.open > .cg-marks").inner_text().split())


def test_a_limit_is_seen_when_it_is_written_and_when_it_bites(lesson: Open) -> None:
    """A new group opens by itself; its limit, the refused fork and the throttling stand beside its charts."""
    page = lesson()
    show(page, "cgroups")
    page.type(PLACE + "mkdir -p $P/box $C/box\n")
    wait_until(lambda: row(page, "/box"), "the group has a line")
    assert page.page.get_attribute('[data-key="group:/box"]', "aria-expanded") == "true"
    assert page.page.get_attribute('[data-key="group:/"]', "aria-expanded") == "false"
    page.type("echo 3 >$P/box/pids.max\n")
    wait_until(lambda: "pids 0 of 3" in row(page, "/box"), lambda: row(page, "/box"))
    assert "process limit 3" in marks(page)
    page.type("(echo $BASHPID >$P/box/cgroup.procs; for i in 1 2 3 4 5; do sleep 50 & done) 2>/dev/null\n")
    wait_until(lambda: "forks refused" in row(page, "/box"), lambda: row(page, "/box"))
    wait_until(lambda: "forks refused" in marks(page), lambda: marks(page))
    page.type(QUOTA + "(echo $BASHPID >$C/box/cgroup.procs; exec yes >/dev/null) &\n")
    wait_until(lambda: "of 10 % ✕ stopped in" in row(page, "/box"), lambda: row(page, "/box"))
    canvas = "#view-cgroups .cg-item.open .cg-cpu canvas"
    assert page.evaluate("s => document.querySelector(s).getBoundingClientRect().height", canvas) > 100
    assert violations(page.page) == []


def test_the_groups_are_walked_by_keys_and_told_as_tables(lesson: Open) -> None:
    """Arrows and Enter; a choice stays when others are made; the table has the same numbers and the marks in order."""
    page = lesson()
    show(page, "cgroups")
    page.type(PLACE + "mkdir -p $P/box/inner\n")
    wait_until(lambda: row(page, "/box/inner"), "the inner group has a line")
    page.page.keyboard.press("Control+Shift+Escape")
    page.evaluate("hako.views.focus()")
    page.page.keyboard.press("Home")
    page.page.keyboard.press("ArrowRight")
    assert page.page.get_attribute(":focus", "data-key") == "group:/box"
    assert page.page.get_attribute(":focus", "aria-level") == "2"
    page.page.keyboard.press("Enter")
    assert page.page.get_attribute(":focus", "aria-expanded") == "true"
    page.type("mkdir $P/other; echo 7 >$P/other/pids.max\n")
    wait_until(lambda: "of 7" in row(page, "/other"), lambda: row(page, "/other"))
    assert page.page.get_attribute('[data-key="group:/box"]', "aria-expanded") == "true"
    page.page.click(".views-bar button[aria-label='As a table']")
    tables = page.page.locator("#view-cgroups table")
    assert "/box/inner" in tables.first.inner_text()
    assert "process limit 7" in tables.nth(1).inner_text()
    assert violations(page.page) == []
    page.type("rmdir $P/other $P/box/inner\n")
    wait_until(lambda: "/box/inner" not in tables.first.inner_text(), "it is gone from the table")


def test_the_last_run_is_a_timeline_in_the_readers_language(lesson: Open) -> None:
    """Every step with its time, page and sentence; a run that failed says where; the other language says the same."""
    page = lesson()
    show(page, "timeline")
    assert "hako run" in page.page.inner_text("#view-timeline .view-empty")
    page.type("hako run --rm -h box hako/mini true\n")
    steps = page.page.locator("#view-timeline .tl-step")
    wait_until(lambda: steps.count() > 15, "the steps are there")
    first = " ".join(steps.first.inner_text().split())
    assert first.startswith("1 create_cgroup")
    assert "ms" in first
    assert "cgroups(7)" in first
    assert "Call itself box." in page.page.inner_text("#view-timeline")
    assert page.page.locator("#view-timeline .tl-step .tl-span").count() == steps.count()
    assert violations(page.page) == []
    page.page.keyboard.press("Control+Shift+Escape")
    page.evaluate("hako.views.focus()")
    page.page.keyboard.press("End")
    assert "exec" in page.page.inner_text(":focus")
    page.type("hako run --rm hako/mini /no/such\n")
    wait_until(lambda: page.page.locator("#view-timeline .tl-step.failed").count(), "the failure is told")
    assert "did not work" in page.page.inner_text("#view-timeline .tl-title")
    page.page.click("#switch-language")
    wait_until(lambda: "失敗" in page.page.inner_text("#view-timeline .tl-title"), "in Japanese")
    page.page.click(".views-bar button[aria-label='表で見る']")
    assert page.page.locator("#view-timeline tbody tr").count() > 15
    assert "cgroup" in page.page.inner_text("#view-timeline tbody")
    assert violations(page.page) == []
