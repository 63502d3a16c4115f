"""The daemon as web sees it: labs and their clocks, looks and checks over the socket."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.client import EngineClient, Lab
from engine.errors import BadInput, Conflict, EngineError, Exhausted, NotFound
from tests.engine.daemons import Machine, Page
from tests.engine.engines import wait_for

pytestmark = pytest.mark.root

FAMILIES = {
    "engine": ("info",),
    "lab": ("create", "get", "list", "pause", "resume", "reset", "remove", "touch", "extend", "run"),
    "terminal": ("open", "list", "close", "attach", "detach", "input", "type", "ack", "resize"),
    "observe": ("snapshot", "where", "watch", "unwatch"),
    "check": ("evaluate",),
}
CALLS = [f"{family}.{verb}" for family, verbs in FAMILIES.items() for verb in verbs]


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


def test_two_thousand_hostile_requests_harm_nobody(machine: Machine, client: EngineClient, lab: Lab) -> None:
    """Calls with arguments of every wrong kind, from a fixed seed: each gets an answer, none is a fault of ours."""
    chance = random.Random(7)
    names = [
        "lab",
        "terminal",
        "stream",
        "watch",
        "name",
        "rows",
        "cols",
        "from",
        "data",
        "key",
        "argv",
        "script",
        "role",
    ]
    names += ["owner", "shape", "seconds", "timeout_s", "predicates", "answers", "consumed", "env", "stdin", "cwd"]
    values = [
        None,
        True,
        -1,
        0,
        7,
        2**63,
        1.5,
        "",
        "x" * 5000,
        "../..",
        "\0",
        "\ud83d\ude00",
        b"",
        b"\xff" * 300,
        [],
        [1],
    ]
    values += [
        ["a"] * 3000,
        {},
        {"a": {"b": [1]}},
        {"unknown": 1},
        [{"process_in_ns": 1}],
        [{}],
        [{"a": 1, "b": 2}],
        lab.id,
    ]
    calls = [call for call in CALLS if call not in ("lab.remove", "lab.create", "lab.reset", "lab.run")]
    faults = []
    for number in range(2000):
        call = chance.choice(calls)
        args = {name: chance.choice(values) for name in chance.sample(names, 6)}
        if number % 2:
            args["lab"] = lab.id
        try:
            client.call(call, args)
        except EngineError as error:
            if "fault of the engine" in error.message:
                faults.append((call, args, error.message))
    assert faults == []
    assert client.lab_list() != []
    assert machine.daemon is not None
    assert machine.daemon.poll() is None


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
        left: list[float] = []
        client.on_event(
            lambda e: left.append(e["lab"]["idle_ends_at"] - time.time()) if e["event"] == "lab.state" else None
        )
        lab = client.lab_create("ann", {})
        wait_for(lambda: left and left[-1] <= 60)
        before = client.lab_get(lab.id).idle_ends_at
        page = Page(client, client.terminal_open(lab.id, "lab", 24, 80).terminal)
        page.attach()
        page.type("\n")
        assert client.lab_get(lab.id).idle_ends_at > before
        wait_for(lambda: left[-1] > 60)


@pytest.mark.slow
def test_labs_end_by_their_clocks(instance: str, tmp_path: Path) -> None:
    """Idle: ended with its reason. Paused: not idle. Extended: lives longer."""
    with Machine(instance, tmp_path, lab_idle_s=4, lab_life_s=600) as machine, machine.client() as client:
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
        wait_for(lambda: reasons == {idle.id: "idle"})
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
