"""kill -9 of `hako up` itself: the next one finds nothing in its way, leaves nothing of the old one, and says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from engine.storage.disk import LabDisks
from tests.browser.lesson_page import LessonPage
from tests.browser.stack import Stack, wait_until
from tests.conftest import _new_instance

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.slow]


@pytest.fixture
def own_stack(stack: Stack) -> Iterator[Stack]:
    """A Hako for this test alone, with the base images of the session's."""
    with Stack(_new_instance(), images_of=stack) as running:
        yield running


def left_of(stack: Stack, lab: str) -> list[str]:
    """What there is of a lab on the machine: groups, loop device, link, files, mounts."""
    groups = Path("/sys/fs/cgroup").glob(f"**/{stack.instance}/labs/{lab}")
    loops = [f"loop device of {name}" for name in LabDisks(stack.data / "disks").attached() if name == lab]
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if lab in line]
    # Beside the bridge, `<instance>l0`, each lab has one.
    links = [path.name for path in Path("/sys/class/net").glob(f"{stack.instance}l[1-9]*")]
    return [*map(str, groups), *loops, *links, *map(str, stack.data.rglob(f"*{lab}*")), *mounts]


def _runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for the machine's init to reap it does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_after_kill_9_of_up_the_next_leaves_nothing_of_it(own_stack: Stack, chromium: Browser) -> None:
    """At once, on the same port: the old lab and all that was its is gone, the open page says so and offers another."""
    context = chromium.new_context()
    page = LessonPage(context.new_page(), own_stack.url).open()
    page.type("echo be''fore\n")
    page.until("\nbefore")
    lab = str(page.evaluate("hako.lab.id"))
    assert len(left_of(own_stack, lab)) >= 4  # so that finding nothing later means something
    old = [own_stack.pid(program) for program in ("zygote", "engine", "web")]
    own_stack.kill_up()
    own_stack.up()
    wait_until(lambda: not any(_runs(pid) for pid in old), "the processes of the old one have ended")
    wait_until(lambda: not left_of(own_stack, lab), lambda: f"left: {left_of(own_stack, lab)}")
    again = page.page.locator("#line").get_by_role("button", name="Make a new lab")
    again.wait_for(timeout=60_000)
    assert "did not outlive it" in page.page.inner_text("#line")
    again.click()
    wait_until(lambda: "root@" in page.text() and "before" not in page.text(), "a new shell", 60)
    page.type("echo af''ter\n")
    page.until("\nafter")
    assert page.complaints == []
    context.close()
