"""Terminals over the socket of a real daemon: floods, slow readers, sudden deaths, and no byte lost or doubled."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from engine.client import EngineClient, Lab
from tests.engine.daemons import Machine, Page, again, timed
from tests.engine.engines import wait_for

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def machine(module_instance: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One engine for the module."""
    with Machine(module_instance, tmp_path_factory.mktemp("daemon")) as made:
        yield made


@pytest.fixture
def client(machine: Machine) -> Iterator[EngineClient]:
    """A client."""
    with machine.client() as made:
        yield made


@pytest.fixture
def lab(client: EngineClient) -> Iterator[Lab]:
    """A lab, gone after the test."""
    made = client.lab_create("ann", {})
    yield made
    client.lab_remove(made.id)


def shell(client: EngineClient, lab: Lab, name: str = "lab") -> Page:
    """A page attached to a terminal at its prompt."""
    page = Page(client, client.terminal_open(lab.id, name, 24, 80).terminal)
    page.attach()
    page.wait("# ")
    return page


def counted(page: Page) -> list[bytes]:
    """The lines from "1" to before "all" of what a page has."""
    printed = bytes(page.data)
    return printed[printed.index(b"1\n2\n3\n") : printed.rindex(b"all\n")].split()


def test_a_block_is_typed_once_per_key_also_across_a_restart(machine: Machine, client: EngineClient, lab: Lab) -> None:
    """Double click, repeated call, engine killed in between: one line in the file."""
    page = shell(client, lab)
    line = b"echo once >> /root/log; echo do''ne\n"
    assert client.terminal_type(page.terminal, line, "step-1/block-1") is True
    assert client.terminal_type(page.terminal, line, "step-1/block-1") is False
    page.wait("done")
    machine.restart()
    assert client.terminal_type(page.terminal, line, "step-1/block-1") is False
    assert client.terminal_type(page.terminal, line, "step-1/block-2") is True
    wait_for(lambda: client.lab_run(lab.id, ["cat", "/root/log"]).stdout == b"once\n" * 2)


def test_size_is_the_owners_and_is_kept_in_bounds(client: EngineClient, lab: Lab) -> None:
    """A watcher's size changes nothing; nonsense is clamped."""
    page = shell(client, lab)
    client.terminal_attach(page.terminal, None, 50, 132, role="watcher")
    assert client.terminal_list(lab.id)[0].rows == 24
    client.terminal_resize(page.terminal, 40, 100)
    page.type("stty size\n")
    page.wait("40 100\r\n")
    client.terminal_resize(page.terminal, 1, 99999)
    page.type("stty size\n")
    page.wait("2 1000\r\n")


def test_two_pages_see_the_same_and_a_late_one_gets_the_past(client: EngineClient, lab: Lab) -> None:
    """A watcher that joins gets what the ring has; what comes then reaches both."""
    page = shell(client, lab)
    page.type("echo be''fore\n")
    page.wait("before\r\n")
    late = Page(client, page.terminal, role="watcher")
    late.attach()
    late.wait("before\r\n")
    page.type("echo af''ter\n")
    page.wait("after\r\n")
    late.wait("after\r\n")
    assert not page.wrong + late.wrong


def test_exit_is_told_after_the_last_byte_and_the_next_open_is_a_new_shell(client: EngineClient, lab: Lab) -> None:
    """The status travels; the name is free again."""
    page = shell(client, lab)
    page.type("echo la''st; exit 7\n")
    wait_for(lambda: page.exit == [7])
    assert b"last\r\n" in page.data
    assert client.terminal_open(lab.id, "lab", 24, 80).terminal != page.terminal


def test_ctrl_c_works_while_yes_floods(client: EngineClient, lab: Lab) -> None:
    """With a page that keeps up, the prompt is back at once; and the flood did flow."""
    page = shell(client, lab)
    page.type("yes\n")
    wait_for(lambda: page.consumed > 2_000_000)
    page.data.clear()
    page.type("\x03")

    def prompt() -> None:
        page.wait("^C")
        page.wait("# ")

    assert timed(prompt) < 1.0
    assert not page.wrong


def test_a_page_that_reads_nothing_stops_the_flood_and_grows_nothing(
    machine: Machine, client: EngineClient, lab: Lab
) -> None:
    """Backpressure reaches the program; the daemon's memory stays; another terminal is as quick as ever."""
    page, other = shell(client, lab), shell(client, lab, "second")
    page.slow = True
    before = machine.memory()
    page.type("yes\n")
    wait_for(lambda: page.consumed > 100_000)
    stuck = page.consumed
    other.type("echo qui''ck\n")
    assert timed(lambda: other.wait("quick\r\n")) < 0.5
    assert page.consumed - page.acked <= 128 * 1024
    assert page.consumed == stuck or page.consumed - page.acked <= 128 * 1024
    assert machine.memory() - before < 4 * 1024 * 1024
    page.type("\x03")
    page.slow = False
    page.ack()
    page.wait("^C")


def test_a_watcher_that_reads_nothing_holds_nobody_up(client: EngineClient, lab: Lab) -> None:
    """It falls off the ring and is reset when it reads again; the owner got every byte."""
    page = shell(client, lab)
    with_nothing = Page(client, page.terminal, role="watcher", slow=True)
    with_nothing.attach()
    page.type("seq 300000; echo do''ne\n")
    page.wait("done\r\n", 30)
    assert not page.wrong
    with_nothing.slow = False
    with_nothing.ack()
    wait_for(lambda: with_nothing.resets == 1)
    with_nothing.wait("done\r\n")


@pytest.mark.slow
def test_no_byte_is_lost_when_the_daemon_is_killed_20_times(machine: Machine, client: EngineClient, lab: Lab) -> None:
    """kill -9 in the middle of output that never stops: what the page has at the end is what the program printed."""
    page = shell(client, lab)
    stop = again(client, page)
    try:
        page.type("stty -onlcr; clear; seq 1 2000000; echo al''l\n")
        for _ in range(20):
            here = page.consumed
            wait_for(lambda: page.consumed > here + 20_000)  # noqa: B023 - called before the next turn
            assert b"all\n" not in page.data, "the kill must come in the middle"
            machine.restart(signal.SIGKILL)
        page.wait("all\n", 60)
    finally:
        stop()
    numbers = counted(page)
    assert page.wrong == []
    assert page.resets == 0
    assert numbers == [b"%d" % n for n in range(1, 2_000_001)]


def test_no_byte_is_lost_when_the_web_server_is_killed(machine: Machine, lab: Lab) -> None:
    """The client vanishes mid-flood, a new one attaches from what the page consumed: nothing missing, nothing twice."""
    consumed, data, terminal = 0, b"", ""
    for turn in range(10):
        with machine.client() as web:
            if not terminal:
                terminal = web.terminal_open(lab.id, "flood", 24, 80).terminal
            page = Page(web, terminal)
            page.data, page.consumed = bytearray(data), consumed
            attached = page.attach(consumed)
            assert not attached.reset
            if turn == 0:
                page.wait("# ")
                page.type("stty -onlcr; clear; seq 1 200000; echo al''l\n")
            wait_for(lambda: page.consumed > consumed + 30_000 or b"all\n" in page.data)  # noqa: B023
            page.stop()
            # What arrived is kept by the browser, whether or not the server that died had acknowledged it.
            consumed, data = page.consumed, bytes(page.data)
            assert not page.wrong
    with machine.client() as web:
        page = Page(web, terminal)
        page.data, page.consumed = bytearray(data), consumed
        page.attach(consumed)
        page.wait("all\n")
    numbers = counted(page)
    assert numbers == [b"%d" % n for n in range(1, 200_001)]


def test_a_shell_outlives_the_daemon_with_its_state(machine: Machine, client: EngineClient, lab: Lab) -> None:
    """Variables, directory, size, scrollback: all as before; the lab's clocks too."""
    page = shell(client, lab)
    page.type("cd /tmp; word=kept; echo rea''dy\n")
    page.wait("ready\r\n")
    client.terminal_resize(page.terminal, 33, 99)
    machine.restart()
    fresh = Page(client, client.terminal_open(lab.id, "lab", 33, 99).terminal)
    fresh.attach(None, 33, 99)
    fresh.wait("ready\r\n")
    assert fresh.terminal == page.terminal
    fresh.type("echo $word $PWD; stty size\n")
    fresh.wait("kept /tmp\r\n33 99\r\n")
