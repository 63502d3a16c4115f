"""A plan as a shell script: every step has its lines, and nothing a person typed is taken for shell."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from engine.runtime import plan as plans
from engine.runtime import script, script_steps, spec
from engine.runtime.spec import RunSpec

STORAGE = plans.Storage(("/l/0", "/l/with:colon"), "/up", "/wk")
NASTY = """a'b"c $(touch /no) `touch /no` \\ ;&|"""


def place(**more: Any) -> script.Place:
    """A machine with one v1 tree and the v2 tree beside it."""
    given: dict[str, Any] = {
        "folder": "/d/by-hand/box",
        "trees": (("/cg/memory", "hako/by-hand/box"), ("/cg/unified", "hako/by-hand/box")),
        "limits": (("/cg/memory/hako/by-hand/box/memory.limit_in_bytes", "64", False),),
        "join": ("/cg/memory/hako/by-hand/box/tasks",),
        "cgroups": {"mounts": [("", "tmpfs", ["nosuid", "mode=755"]), ("memory", "cgroup", ["memory"])], "links": []},
        "files": {"/etc/hosts": "127.0.0.1 localhost\n"},
        "bridge": "hakoc0",
        "address": "10.0.0.9/24",
        "gateway": "10.0.0.1",
        "mac": "02:00:00:00:00:09",
    }
    return script.Place(**{**given, **more})


def made(run: RunSpec, lang: str = "en", *, inside: bool = False, **more: Any) -> str:
    """The script of what was asked for."""
    config = spec.config(run, {}, "box")
    config["network"] = run.network
    plan = plans.container(config, STORAGE, {"/etc/hosts": "/d/by-hand/box/etc/hosts"}, inside=inside)
    return script.script(plan, place(**more), "hako run --script", lang)


EVERYTHING = RunSpec(
    image="hako/mini",
    args=("echo", NASTY),
    env=(f"WORD={NASTY}",),
    hostname="box",
    user="learner:users",
    volumes=("/srv/a b:/v:ro", "/srv/c:/w"),
    readonly=True,
    no_new_privs=True,
    tty=True,
    workdir="/a b",
)


@pytest.mark.parametrize("network", ["bridge", "none", "host"])
@pytest.mark.parametrize("inside", [False, True])
def test_it_is_shell(network: str, inside: bool) -> None:
    """sh(1) can read it, whatever was asked for: quotes, dollars and blanks stay what they are."""
    run = RunSpec(**{**{name: getattr(EVERYTHING, name) for name in RunSpec.__dataclass_fields__}, "network": network})
    text = made(run, inside=inside)
    checked = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, timeout=10, check=False)
    assert checked.returncode == 0, checked.stderr
    for name in ("first", "second"):
        inner = text.partition(f"cat >\"$DIR/{name}\" <<'END'\n")[2].partition("\nEND\n")[0]
        assert subprocess.run(["sh", "-n"], input=inner, text=True, timeout=10, check=False).returncode == 0
    words = text.partition("set -- ")[2].partition("\nexec 8<>")[0]
    said = subprocess.run(["sh", "-c", f'set -- {words}; printf %s "$2"'], capture_output=True, text=True, timeout=10)
    assert said.stdout == NASTY


def test_each_step_stands_below_its_number_and_sentence() -> None:
    """All steps of the plan are there, once, in both languages."""
    for lang, sentence in (("en", "Swap the root and let go of the machine's files."), ("ja", "ルートを入れ替え")):
        text = made(RunSpec(image="hako/mini", args=("true",)), lang)
        numbers = [
            int(line[2:].partition(".")[0]) for line in text.splitlines() if line[2:3].isdigit() and ". " in line
        ]
        heads = sorted(number for number in numbers if f"\n# {number}. " in text)
        assert heads == list(range(1, heads[-1] + 1))
        assert sentence in text


def test_no_step_is_without_shell() -> None:
    """What a container's plan may hold, a script can say."""
    kinds = {
        step.kind
        for network in ("bridge", "none", "host")
        for tty in (True, False)
        for step in plans.container(
            {**spec.config(RunSpec("x", ("y",), network=network, tty=tty, readonly=True, no_new_privs=True), {}, "box"),
             "network": network}, STORAGE, {}
        ).steps
    }  # fmt: skip
    assert kinds <= set(script_steps.SHELL)
    assert set(script_steps.SHELL) - kinds == set(), "shell for a step that no container has"


def test_layers_are_named_from_the_top_and_a_colon_does_not_part_them() -> None:
    """overlayfs: the leftmost lower directory is the uppermost."""
    assert "LAYERS='/l/with\\:colon:/l/0'" in made(RunSpec(image="hako/mini", args=("true",)))


def test_in_a_lab_nodes_are_bound_and_devices_not_listed() -> None:
    """A lab's root may neither make a node nor write the list."""
    text = made(RunSpec(image="hako/mini", args=("true",)), inside=True, overlay=("userxattr",))
    assert "mknod" not in text.replace("mknod(2)", "").replace("+mknod", "")
    assert "devices.deny" not in text
    assert ",userxattr" in text
