"""The daemon as web sees it: labs, terminals, looks and checks over the socket; floods, slow readers, sudden deaths."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.client import EngineClient, Lab
from engine.errors import BadInput, Conflict, Exhausted, NotFound
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


def test_engine_info_tells_of_this_machine(client: EngineClient) -> None:
    """Kernel, cgroups, storage, images and limits."""
    info = client.engine_info()
    assert info.cgroup in ("v1", "v2", "hybrid")
    assert "hako/lab:latest" in info.base_images
    assert "user" in info.namespaces
    assert info.limits["terminals_per_lab"] == 8


def test_a_lab_comes_works_and_goes(client: EngineClient) -> None:
    """Create, find, run in it, pause, resume, reset, remove; each step shows in its state and is told as an event."""
    states: list[str] = []
    client.on_event(lambda e: states.append(e["lab"]["state"]) if e["event"] == "lab.state" else None)
    lab = client.lab_create("ann", {"hostname": "here", "lesson": "namespaces"})
    assert lab.state == "ready"
    assert [each.id for each in client.lab_list("ann")] == [lab.id]
    assert client.lab_list("somebody else") == []
    done = client.lab_run(lab.id, ["sh", "-c", "hostname; echo oops >&2; exit 3"])
    assert (done.status, done.stdout, done.stderr) == (3, b"here\n", b"oops\n")
    assert client.lab_script(lab.id, "sleep 30", timeout_s=0.3).status == 137
    client.lab_script(lab.id, "echo hello > /root/file")
    assert client.lab_pause(lab.id).state == "paused"
    with pytest.raises(Conflict, match="paused"):
        client.terminal_open(lab.id, "lab", 24, 80)
    assert client.lab_resume(lab.id).state == "ready"
    assert client.lab_run(lab.id, ["cat", "/root/file"]).stdout == b"hello\n"
    assert client.lab_reset(lab.id).id == lab.id
    assert client.lab_run(lab.id, ["cat", "/root/file"]).status == 1
    client.lab_remove(lab.id)
    client.lab_remove(lab.id)  # again is no error
    with pytest.raises(NotFound):
        client.lab_get(lab.id)
    wait_for(lambda: states[-1:] == ["ended"])
    lasting = [state for state in states if state != "creating"]  # told only when making takes longer than a tick
    assert lasting == ["ready", "paused", "ready", "ready", "ended"]


def test_bad_words_get_their_error_and_harm_nothing(client: EngineClient, lab: Lab) -> None:
    """Names with slashes, shapes that do not exist, another's stream, terminals that are none."""
    with pytest.raises(BadInput, match=r"'\.\./x' is not a terminal's name"):
        client.terminal_open(lab.id, "../x", 24, 80)
    with pytest.raises(BadInput, match=r"shape has no speed"):
        client.lab_create("ann", {"speed": 9})
    with pytest.raises(NotFound, match=r"There is no lab '\.\./\.\./etc'"):
        client.lab_get("../../etc")
    with pytest.raises(NotFound, match=r"no such terminal"):
        client.terminal_attach("nothing", None, 24, 80)
    with pytest.raises(NotFound, match=r"No stream 99999"):
        client.terminal_detach(99999)
    with pytest.raises(BadInput, match=r"lab.run needs argv or script"):
        client.lab_run(lab.id, [])
    with pytest.raises(BadInput, match=r"role of terminal.attach is 'king'"):
        client.terminal_attach(client.terminal_open(lab.id, "lab", 24, 80).terminal, 0, 24, 80, role="king")
    assert client.lab_run(lab.id, ["true"]).status == 0


def test_a_terminal_is_opened_once_by_name_and_they_are_bounded(client: EngineClient, lab: Lab) -> None:
    """Idempotent by name; one more than allowed is refused with a sentence."""
    first = client.terminal_open(lab.id, "lab", 24, 80)
    assert client.terminal_open(lab.id, "lab", 24, 80).terminal == first.terminal
    for number in range(2, 9):
        client.terminal_open(lab.id, f"t{number}", 24, 80)
    with pytest.raises(Exhausted, match=r"8 terminals already"):
        client.terminal_open(lab.id, "one-more", 24, 80)
    assert len(client.terminal_list(lab.id)) == 8
    client.terminal_close(first.terminal)
    assert len(client.terminal_list(lab.id)) == 7


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


def test_watches_tell_what_changed_and_only_then(client: EngineClient, lab: Lab) -> None:
    """A new namespace shows up within two seconds; a quiet lab sends nothing more; where tells the way into it."""
    seen: list[dict[str, object]] = []
    where: list[dict[str, object]] = []
    client.on_event(lambda e: seen.append(e) if e["event"] == "lab.observed" else None)
    client.on_event(lambda e: where.append(e["where"]) if e["event"] == "terminal.where" else None)
    page = shell(client, lab)
    watch = client.observe_watch(lab.id)
    wait_for(lambda: seen)
    page.type("unshare --uts bash\n")
    page.wait("# ")
    page.type("hostname box\n")
    wait_for(lambda: any(len(w["path"]) == 2 and w["path"][1]["label"] == "box" for w in where), 5)  # type: ignore[arg-type, index]
    count = len(seen)
    revisions = [each["revision"] for each in seen]
    assert revisions == sorted(set(revisions)), "each revision is told once"
    time.sleep(2.5)  # nothing happens: that nothing comes can only be seen by waiting
    assert len(seen) <= count + 1
    client.observe_unwatch(watch)
    with pytest.raises(NotFound):
        client.observe_unwatch(watch)
    assert client.observe_where(page.terminal)["innermost"] == "uts"


def test_checks_are_evaluated_on_the_lab_as_it_is(client: EngineClient, lab: Lab) -> None:
    """Pure predicates and commands in one list keep their order; a wrong word is named."""
    wanted = [{"command": {"script": "test -e /root/file"}}, {"process_in_ns": {"differs": ["uts"]}}]
    assert [result.ok for result in client.check_evaluate(lab.id, wanted)] == [False, False]
    client.lab_script(lab.id, "touch /root/file")
    page = shell(client, lab)
    page.type("unshare --uts sleep 1000\n")
    wait_for(lambda: [result.ok for result in client.check_evaluate(lab.id, wanted)] == [True, True])
    with pytest.raises(BadInput, match=r"process_in_ns"):
        client.check_evaluate(lab.id, [{"process_in_nss": {}}])


def test_a_lab_switched_off_from_within_is_told(client: EngineClient) -> None:
    """`kill 1` by the learner: the lab ends, and pages hear it without asking."""
    lab = client.lab_create("ann", {})
    told: list[str] = []
    client.on_event(lambda e: told.append(e["lab"]["state"]) if e["event"] == "lab.state" else None)
    page = shell(client, lab)
    page.type("kill 1\n")
    wait_for(lambda: told[-1:] == ["ended"], 10)
    wait_for(lambda: page.exit != [])


def test_labs_idle_out_with_a_word_beforehand_and_input_puts_the_clock_back(instance: str, tmp_path: Path) -> None:
    """With an idle time of 61 seconds the last minute begins after one second; then typing takes the warning back."""
    with Machine(instance, tmp_path, lab_idle_s=61) as machine, machine.client() as client:
        told: list[float] = []
        client.on_event(lambda e: told.append(e["lab"]["idle_ends_at"]) if e["event"] == "lab.state" else None)
        lab = client.lab_create("ann", {})
        wait_for(lambda: len(told) >= 2)
        assert told[-1] - time.time() <= 60
        page = Page(client, client.terminal_open(lab.id, "lab", 24, 80).terminal)
        page.attach()
        page.type("\n")
        assert client.lab_get(lab.id).idle_ends_at > told[0]


def test_labs_end_by_their_clocks(instance: str, tmp_path: Path) -> None:
    """Idle: ended with its reason. Paused: not idle. Extended: lives longer."""
    with Machine(instance, tmp_path, lab_idle_s=1, lab_life_s=600) as machine, machine.client() as client:
        reasons: dict[str, str] = {}
        client.on_event(
            lambda e: (
                reasons.update({e["lab"]["id"]: e["lab"]["reason"]})
                if e["event"] == "lab.state" and e["lab"]["state"] == "ended"
                else None
            )
        )
        idle, paused = client.lab_create("ann", {}), client.lab_create("bob", {})
        client.lab_pause(paused.id)
        wait_for(lambda: reasons == {idle.id: "idle"}, 10)
        before = client.lab_get(paused.id)
        assert before.state == "paused"
        assert client.lab_extend(paused.id, 60).ends_at == pytest.approx(before.ends_at + 60, abs=1)
        client.lab_extend(paused.id, 86_000)
        with pytest.raises(Exhausted, match=r"extended"):
            client.lab_extend(paused.id, 60)


def test_sigterm_leaves_labs_and_sigint_ends_them(instance: str, tmp_path: Path) -> None:
    """A restart by the service manager disturbs nobody; Ctrl-C leaves nothing."""
    with Machine(instance, tmp_path) as machine:
        with machine.client() as client:
            lab = client.lab_create("ann", {})
            machine.restart(signal.SIGTERM)
            assert client.lab_get(lab.id).state == "ready"
            assert client.lab_run(lab.id, ["true"]).status == 0
        assert machine.stop(signal.SIGINT) == 0
        assert not list((machine.settings.data / "labs").glob("*.json"))
        assert not machine.settings.lab_socket.exists()
        assert not machine.settings.engine_socket.exists()


def test_many_threads_make_and_end_labs_at_once(client: EngineClient) -> None:
    """Twelve at once: each its own, all gone after."""
    errors: list[Exception] = []

    def live() -> None:
        try:
            lab = client.lab_create("crowd", {})
            assert client.lab_run(lab.id, ["hostname"]).stdout == b"lab\n"
            client.lab_remove(lab.id)
        except Exception as error:  # the border of the thread
            errors.append(error)

    threads = [threading.Thread(target=live) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert client.lab_list("crowd") == []
