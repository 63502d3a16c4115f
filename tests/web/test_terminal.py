"""Terminal bytes through the whole web stack: real websocket, real relay, real bash at the other end."""

from __future__ import annotations

import hashlib
import random
from functools import partial

import pytest

from tests.web.conftest import Stack
from tests.web.lab_client import LabSocket, until


def _open(stack: Stack, **options: object) -> LabSocket:
    """A page with the lesson and its lab open."""
    browser = stack.browser()
    stack.lab(browser)
    page = browser.socket(**options)
    answer = page.ask("open", {"lesson": "try", "step": "one", "lang": "en"})
    assert answer["lab"]["state"] == "ready"
    return page


def test_keys_go_in_and_output_comes_out(shared: Stack) -> None:
    """Bytes stay bytes: Japanese and broken UTF-8 alike."""
    with _open(shared) as page:
        stream = page.attach("bytes")
        page.tell("input", "bytes", "echo 箱 | od -An -tx1; printf '\\377\\376'\n".encode())
        page.wait_text(stream, b"e7 ae b1")
        page.wait_text(stream, b"\xff\xfe")


def test_the_first_size_is_set_before_the_shell_starts_and_later_ones_follow(shared: Stack) -> None:
    """Otherwise the first program would draw for 80 by 24."""
    with _open(shared) as page:
        stream = page.attach("size", rows=33, cols=101)
        page.tell("input", "size", b"stty size\n")
        page.wait_text(stream, b"33 101")
        page.tell("resize", {"terminal": "size", "rows": 20, "cols": 90})
        until(lambda: shared.engine.called("terminal.resize"), "resized")
        page.tell("input", "size", b"stty size\n")
        page.wait_text(stream, b"20 90")


def test_a_new_connection_goes_on_where_the_old_one_stopped(shared: Stack) -> None:
    """From the offset consumed: nothing twice, nothing lost, no reset."""
    page = _open(shared)
    first = page.attach("resume")
    page.tell("input", "resume", b"echo one; sleep 0.3; echo two\n")
    page.wait_text(first, b"\r\none\r\n")
    seen = bytes(page.streams[first])
    consumed = page.offsets[first] + len(seen)
    page.close()
    with _open(shared) as page:
        stream = page.attach("resume", consumed)
        page.wait_text(stream, b"two\r\n")
        assert page.of("reset") == []
        assert (seen + bytes(page.streams[stream])).count(b"\r\none\r\n") == 1


def test_an_offset_the_engine_no_longer_has_begins_afresh(shared: Stack) -> None:
    """With `reset`, before the first output."""
    with _open(shared) as page:
        page.attach("afresh")
        page.tell("input", "afresh", b"head -c 400000 /dev/zero | tr '\\0' x; echo end-$((1+1))\n")
        page.wait_text(1, b"end-2")
        answer = page.ask("attach", {"terminal": "afresh", "stream": 2, "from": 1, "rows": 24, "cols": 80})
        assert answer["reset"] is True
        page.wait_text(2, b"end-2")
        names = [name for name, args in page.events if name in ("reset", "output") and args[0] == 2]
        assert names[0] == "reset"


def test_a_page_that_acknowledges_nothing_is_sent_no_more_than_its_credit(shared: Stack) -> None:
    """So memory stays flat whatever runs in the terminal, and Ctrl-C works."""
    with _open(shared, acks=False) as page:
        stream = page.attach("credit")
        page.tell("input", "credit", b"yes\n")
        page.wait(lambda: len(page.streams.get(stream, b"")) >= 128 * 1024, "the whole credit")
        with _open(shared) as other:
            number = other.attach("quiet")
            other.tell("input", "quiet", b"echo still-$((1+1))\n")
            other.wait_text(number, b"still-2")
        assert len(page.streams[stream]) == 128 * 1024
        page.tell("input", "credit", b"\x03")
        page.tell("ack", stream, page.offsets[stream] + 128 * 1024)
        page.acks = True
        page.tell("input", "credit", b"echo stopped-$((1+1))\n")
        page.wait_text(stream, b"stopped-2")


def test_typing_with_a_key_happens_once(shared: Stack) -> None:
    """Also when it is asked again on another connection, as after a lost answer."""
    page = _open(shared)
    page.attach("once")
    body = {"terminal": "once", "text": "echo typed-$((1+1))\n", "key": "one-1.abc"}
    assert page.ask("type", body) == {"typed": True}
    assert page.ask("type", body) == {"typed": False}
    page.close()
    with _open(shared) as page:
        stream = page.attach("once")
        assert page.ask("type", body) == {"typed": False}
        page.wait_text(stream, b"typed-2")
        page.tell("input", "once", b"echo last-$((1+1))\n")
        assert page.wait_text(stream, b"last-2").count(b"typed-2") == 1


def test_a_message_that_is_too_long_is_explained_and_types_nothing(shared: Stack) -> None:
    """The page shows the sentence in place; the terminal goes on."""
    with _open(shared) as page:
        stream = page.attach("long")
        page.tell("input", "long", b"x" * 16385)
        (trouble,) = page.wait_event("trouble")
        assert trouble["code"] == "input_too_long"
        assert "16384" in trouble["message"]
        page.tell("input", "long", b"echo alive-$((1+1))\n")
        assert b"xxx" not in page.wait_text(stream, b"alive-2")


def test_a_message_beyond_all_bounds_ends_only_its_own_connection(shared: Stack) -> None:
    """It is refused while it arrives, so it never lies in memory whole."""
    with _open(shared) as page, _open(shared) as other:
        page.attach("huge")
        page.tell("input", "huge", b"x" * 5_000_000)
        page.wait_event("disconnect")
        stream = other.attach("huge")
        other.tell("input", "huge", b"echo alive-$((1+1))\n")
        assert b"xxx" not in other.wait_text(stream, b"alive-2")


def test_a_page_that_asks_too_fast_is_told_so(shared: Stack) -> None:
    """And is served again a moment later."""
    with _open(shared) as page:
        answers = [page.ask("check") for _ in range(30)]
        assert {tuple(answer) for answer in answers} == {("results",), ("error",)}
        (trouble,) = page.wait_event("trouble")
        assert trouble["code"] == "too_fast"
        until(lambda: "results" in page.ask("check"), "served again")


def test_another_learners_terminal_has_no_name_here(shared: Stack) -> None:
    """Neither the engine's id of it nor a name this page never attached reaches anything."""
    with _open(shared) as page:
        page.attach("mine")
        foreign = next(iter(shared.engine.terminals))
        before = len(shared.engine.called("terminal.input"))
        for name in (foreign, "never-attached"):
            page.tell("input", name, b"echo intruder\n")
            page.wait_event("trouble")
            assert "error" in page.ask("type", {"terminal": name, "text": "x", "key": "k"})
            assert "error" in page.ask("close", {"terminal": name})
        assert len(shared.engine.called("terminal.input")) == before


def test_before_open_nothing_can_be_attached(shared: Stack) -> None:
    """A lab is authorised when it is opened."""
    with shared.browser().socket() as page:
        answer = page.ask("attach", {"terminal": "lab", "stream": 1, "from": None, "rows": 24, "cols": 80})
        assert answer["error"]["kind"] == "no_lab"


@pytest.mark.parametrize(
    ("event", "args"),
    [
        ("attach", [{"terminal": "../x", "stream": 1, "rows": 24, "cols": 80}]),
        ("attach", [{"terminal": "lab", "stream": "1", "rows": 24, "cols": 80}]),
        ("attach", [{"terminal": "lab", "stream": 1, "rows": "many", "cols": None}]),
        ("attach", ["lab"]),
        ("attach", []),
        ("type", [{"terminal": "lab", "text": 7, "key": "k"}]),
        ("type", [{"terminal": "lab", "text": "x", "key": "a b"}]),
        ("step", [{"step": "nowhere"}]),
        ("solve", [{"step": ["one"]}]),
        ("detach", [{}]),
        ("close", [None]),
        ("open", [{"lesson": {"a": 1}}]),
    ],
)
def test_a_malformed_message_is_answered_and_the_connection_lives(
    shared: Stack, event: str, args: list[object]
) -> None:
    """An error in words, not a cut line."""
    with _open(shared) as page:
        answer = page.client.call(event, tuple(args), namespace="/lab", timeout=10)
        assert answer["error"]["message"], answer
        assert page.ask("check") is not None


def test_the_end_of_a_shell_is_told_with_its_status(shared: Stack) -> None:
    """After its last byte."""
    with _open(shared) as page:
        stream = page.attach("ending")
        page.tell("input", "ending", b"echo bye; exit 7\n")
        assert page.wait_event("exit") == (stream, 7)
        assert b"bye\r\n" in page.streams[stream]
        assert page.ask("close", {"terminal": "ending"}) == {}


def test_where_and_observations_reach_the_page(stack: Stack) -> None:
    """Where by the page's own name for the terminal; the newest picture also for one who comes later."""
    with _open(stack) as page:
        page.attach("lab")
        lab = next(iter(stack.engine.labs))
        stack.engine.observe(lab, {"processes": [{"pid": 1}], "namespaces": []})
        page.wait_event("observed", lambda told: told["observation"]["processes"] == [{"pid": 1}])
        terminal = next(iter(stack.engine.terminals))
        where = {"path": [{"label": "lab", "pid": 1, "differs": []}], "innermost": None}
        stack.engine.tell("terminal.where", terminal=terminal, where=where)
        assert page.wait_event("where") == ({"terminal": "lab", "where": where},)
        with _open(stack) as late:
            late.attach("lab")
            assert late.wait_event("where") == ({"terminal": "lab", "where": where},)
            late.wait_event("observed", lambda told: told["observation"]["processes"] == [{"pid": 1}])


def test_usage_and_the_last_plan_reach_the_page(stack: Stack) -> None:
    """The newest of each also for one who comes later; those of a lab nobody looks at go nowhere."""
    with _open(stack) as page:
        lab = next(iter(stack.engine.labs))
        page.wait_event("observed")
        stack.engine.tell("lab.usage", lab="another", groups=[{"path": "/secret"}])
        for used in (1, 2):
            stack.engine.tell("lab.usage", lab=lab, groups=[{"path": "/", "usage": {"cpu_us": used}}])
        stack.engine.tell("lab.plan", lab=lab, plan={"name": "box", "steps": []})
        assert page.wait_event("plan") == ({"plan": {"name": "box", "steps": []}},)
        assert [args[0] for args in page.of("usage")] == [
            {"groups": [{"path": "/", "usage": {"cpu_us": used}}]} for used in (1, 2)
        ]
        with _open(stack) as late:
            assert late.wait_event("usage") == ({"groups": [{"path": "/", "usage": {"cpu_us": 2}}]},)
            assert late.wait_event("plan") == ({"plan": {"name": "box", "steps": []}},)


def test_a_labs_state_is_pushed_in_the_pages_language(stack: Stack) -> None:
    """With the times it will end at; the reason in words."""
    browser = stack.browser("ja")
    lab = stack.lab(browser)
    with browser.socket() as page:
        page.ask("open", {"lesson": "try", "lang": "ja"})
        stack.engine.labs[lab].update(state="ended", reason="idle")
        stack.engine.tell("lab.state", lab=stack.engine.labs[lab])
        (told,) = page.wait_event("lab")
        assert (told["state"], told["reason"]) == ("ended", "しばらく使われなかったためです。")
        assert "owner" not in told


@pytest.mark.slow
def test_no_byte_is_lost_or_doubled_over_many_lost_connections(stack: Stack) -> None:
    """A known stream of bytes, cut at random; the digest of what was consumed is that of what was written."""
    rng = random.Random(7)
    page = _open(stack)
    page.attach("stream")
    page.tell("input", "stream", b"stty -onlcr; echo ready-$((1+1))\n")
    page.wait_text(1, b"ready-2\n")
    start = page.offsets[1] + len(page.streams[1])
    page.tell("input", "stream", b"seq 1 200000; echo done-$((1+1))\n")
    collected, number, at = b"", 1, 0
    for _ in range(60):
        wanted = rng.randrange(1, 60_000)
        page.wait(partial(_has, page, number, wanted), f"{wanted} bytes")
        page.close()
        page.wait_event("disconnect")
        collected += bytes(page.streams[number])
        if b"done-2" in collected[-64:]:
            break
        at = page.offsets[number] + len(page.streams[number])
        page = _open(stack)
        number = page.attach("stream", at)
        assert page.of("reset") == []
    else:
        raise AssertionError("sixty connections were not enough")
    body = collected[start:]
    body = body[body.index(b"\n1\n") + 1 : body.index(b"done-2")]
    wanted_bytes = "".join(f"{n}\n" for n in range(1, 200001)).encode()
    assert hashlib.sha256(body).hexdigest() == hashlib.sha256(wanted_bytes).hexdigest()


def _has(page: LabSocket, stream: int, wanted: int) -> bool:
    held = page.streams.get(stream, b"")
    return len(held) >= wanted or b"done-2" in held
