"""The drawer of the live views: its tabs, the network as a graph, the layers file by file; by keys and for all."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.lesson_page import LessonPage
from tests.browser.stack import wait_until
from tests.browser.test_page import violations

pytestmark = [pytest.mark.browser, pytest.mark.root]
Open = Callable[..., LessonPage]

VETH = "ip netns add red; ip link add br0 type bridge; ip link add v1 master br0 type veth peer name eth0 netns red\n"
LAYERS = (
    "cd /var/lib/lab; mkdir -p low/old up wk m; echo 1 >low/one; echo 2 >low/two; echo 3 >low/old/x\n"
    "mount -t overlay -o userxattr,lowerdir=low,upperdir=up,workdir=wk none m\n"
)
AUFS = (
    "mkdir -p rw ro b; echo 1 >ro/one; mount -t aufs -o br=$PWD/rw=rw:$PWD/ro=ro none b; echo 2 >>b/one; echo written\n"
)


def choose(page: LessonPage, view: str) -> None:
    """The tab of a view."""
    page.page.click(f"#view-tab-{view}")


def label(page: LessonPage, start: str) -> str:
    """What a screen reader says of the first item of the shown drawing that begins so; "" without one."""
    items = page.page.locator(".view:not([hidden]) [role=treeitem]")
    labels = items.evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
    return next((one for one in labels if one.startswith(start)), "")


def told(page: LessonPage, view: str) -> str:
    """What the view told a screen reader last."""
    return page.page.inner_text(f"#view-{view} > .unseen")


def test_the_tabs_are_walked_by_arrow_keys_and_say_what_changed_behind_them(lesson: Open) -> None:
    """One tab is in the tab order, arrows choose; a view that changes behind another bears a mark till looked at."""
    page = lesson()
    tabs = page.page.locator(".views-bar [role=tab]")
    wait_until(lambda: page.evaluate("!!hako.views.named('network').seen"), "the lab is seen")
    page.type("ip link add d0 type bridge\n")
    network = page.page.locator("#view-tab-network")
    wait_until(lambda: "(changed)" in (network.text_content() or ""), "the network's tab bears a mark")
    page.page.locator("#view-tab-namespaces").focus()
    while page.page.get_attribute(":focus", "id") != "view-tab-network":
        page.page.keyboard.press("ArrowRight")
    assert tabs.evaluate_all("all => all.filter(one => one.tabIndex === 0).length") == 1
    assert page.page.locator("#view-network").is_visible()
    assert page.page.locator("#view-namespaces").is_hidden()
    assert "(changed)" not in (network.text_content() or "")


def test_the_network_is_a_graph_and_a_table(lesson: Open) -> None:
    """A veth pair is a cable from the bridge's port to the other namespace; what came is said; keys lead along."""
    page = lesson()
    choose(page, "network")
    page.page.locator("#view-network .map").wait_for()
    page.type(VETH)
    wait_until(lambda: "v1" in told(page, "network"), lambda: told(page, "network"))
    assert page.page.locator("#view-network path.cable.down").count() == 1
    assert "port of br0, cable to eth0 in red" in label(page, "v1")
    page.type("ip link set v1 up; ip -n red link set eth0 up; ip -n red addr add 10.1.0.2/24 dev eth0\n")
    wait_until(lambda: "eth0 10.1.0.2/24" in told(page, "network"), lambda: told(page, "network"))
    assert "10.1.0.2/24" in label(page, "eth0, veth, up, 10.1.0.2/24")
    wait_until(lambda: page.page.locator("#view-network path.cable.down").count() == 0, "the cable carries")
    page.page.keyboard.press("Control+Shift+Escape")
    page.evaluate("hako.views.focus()")
    page.page.keyboard.press("End")
    assert (page.page.get_attribute(":focus", "aria-label") or "").startswith("eth0")
    assert page.page.locator("#view-network path.cable.lit").count() == 1
    page.page.keyboard.press("ArrowLeft")
    assert "red" in (page.page.get_attribute(":focus", "aria-label") or "")
    assert violations(page.page) == []
    page.page.get_by_role("button", name="As a table").click()
    row = page.page.locator("#view-network tbody tr").filter(has_text="v1").first
    assert "port of br0, cable to eth0 in red" in row.inner_text()


def test_layers_are_shown_file_by_file(lesson: Open) -> None:
    """A copy-up, a whiteout, an opaque directory and a new file of an overlay, each drawn, said, and in the table."""
    page = lesson()
    choose(page, "layers")
    page.type(LAYERS)
    wait_until(lambda: label(page, "/one").endswith("seen from lower"), lambda: label(page, "/one"))
    page.type("cd m; echo 4 >>one; rm two; rm -r old; mkdir old; echo 5 >new; cd ..\n")
    wait_until(lambda: "/new (added)" in told(page, "layers"), lambda: told(page, "layers"))
    assert "copied up from lower to upper" in label(page, "/one")
    assert "a whiteout in upper hides what lower has" in label(page, "/two")
    assert "opaque in upper, what lower has in it is hidden" in label(page, "/old:")
    assert label(page, "/old/x") == "/old/x: hidden"
    assert page.page.locator("#view-layers path.copy-up").count() == 1
    assert violations(page.page) == []
    page.page.get_by_role("button", name="As a table").click()
    rows = page.page.locator("#view-layers tbody tr").all_inner_texts()
    assert any(row.startswith("/two\twhiteout") for row in rows), rows
    assert violations(page.page) == []


def test_the_page_says_which_aufs_is_at_work(lesson: Open) -> None:
    """The union in user space is named as that, with its branches and where new files go."""
    page = lesson()
    choose(page, "layers")
    page.type("cd /var/lib/lab; " + AUFS)
    page.until("\nwritten")
    wait_until(lambda: "copied up from branch 1: ro" in label(page, "/one"), lambda: label(page, "/one"))
    assert "aufs, in user space (FUSE) · create=tdp" in label(page, "Union file system /var/lib/lab/b")


def test_a_step_opens_the_view_it_is_about(lesson: Open) -> None:
    """And a person's choice stays while the steps that follow are about the same view."""
    page = lesson()
    choose(page, "network")
    page.evaluate("hako.course.move(1)")
    assert page.page.locator("#view-network").is_visible()
    page.evaluate("hako.views.follow('layers')")
    assert page.page.locator("#view-layers").is_visible()
