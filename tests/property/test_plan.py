"""Plans by the thousand: whatever is asked for, the order that safety rests on holds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine import lab_plan
from engine.linux import capabilities
from engine.runtime import plan as plans
from engine.runtime import spec, words, zygote
from engine.runtime.plan import Plan
from engine.runtime.spec import RunSpec

NAMES = st.sampled_from([name.removeprefix("CAP_") for name in capabilities.NAMES] + ["ALL"])
WORDS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)

RUNS = st.builds(
    RunSpec,
    image=st.just("hako/mini"),
    args=st.lists(WORDS, min_size=1, max_size=4).map(tuple),
    hostname=WORDS,
    network=st.sampled_from(["bridge", "none", "host"]),
    readonly=st.booleans(),
    tty=st.booleans(),
    no_new_privs=st.booleans(),
    cap_add=st.lists(NAMES, max_size=4).map(tuple),
    cap_drop=st.lists(NAMES, max_size=4).map(tuple),
    volumes=st.lists(WORDS.map(lambda word: f"/{word}:/v/{word}:ro"), max_size=3, unique=True).map(tuple),
    memory_bytes=st.none() | st.integers(6 << 20, 1 << 40),
    pids=st.none() | st.integers(1, 10000),
)
STORAGE = plans.Storage(("/l/0", "/l/1"), "/up", "/wk")


def build(run: RunSpec) -> Plan:
    """The plan of a container asked for by `run`."""
    config = spec.config(run, {}, "0" * 64)
    config["network"] = run.network
    return plans.container(config, STORAGE, {"/etc/hosts": "/x/hosts"})


def position(plan: Plan, kind: str) -> int:
    """Where a step stands, -1 where it does not."""
    return next((number for number, step in enumerate(plan.steps) if step.kind == kind), -1)


@given(RUNS)
def test_who_takes_which_step(run: RunSpec) -> None:
    """The engine's steps come first, then one clone by the zygote, then the child's; the last is exec."""
    where = [step.where for step in build(run).steps]
    assert where == sorted(where, key=plans.WHERE.index)
    assert where.count("zygote") == 1
    assert build(run).steps[-1].kind == "exec"


@given(RUNS)
def test_limits_before_processes_and_entry_before_cost(run: RunSpec) -> None:
    """The group is limited before the clone, and entered before anything is mounted or shared."""
    plan = build(run)
    assert position(plan, "create_cgroup") < position(plan, "clone")
    join = position(plan, "join_cgroup")
    assert all(number > join for number, step in enumerate(plan.steps) if step.kind in ("rootfs", "mount", "devices"))
    unshared = [number for number, step in enumerate(plan.steps) if "cgroup" in step.args.get("kinds", [])]
    assert min(unshared) > join


@given(RUNS)
def test_nothing_is_mounted_after_the_root_changed(run: RunSpec) -> None:
    """Whatever needs the machine's tree comes before pivot_root; masks come after every mount."""
    plan = build(run)
    pivot, mask = position(plan, "pivot_root"), position(plan, "mask")
    mounting = ("rootfs", "mount", "cgroups", "devices", "bind_console", "readonly", "readonly_rootfs", "propagation")
    assert all(number < pivot for number, step in enumerate(plan.steps) if step.kind in mounting)
    assert all(number < mask for number, step in enumerate(plan.steps) if step.kind in ("mount", "cgroups", "devices"))
    assert position(plan, "propagation") < position(plan, "rootfs")


@given(RUNS)
def test_privileges_go_last(run: RunSpec) -> None:
    """seccomp needs a capability that `become` drops, unless no_new_privs is set, and then it is the very last."""
    plan = build(run)
    seccomp, become = position(plan, "seccomp"), position(plan, "become")
    assert position(plan, "pivot_root") < min(seccomp, become)
    assert (seccomp > position(plan, "no_new_privs") > become) if run.no_new_privs else (seccomp < become)


@given(RUNS)
def test_capabilities_are_those_asked_for(run: RunSpec) -> None:
    """Dropped by name is gone, whatever else was said; nothing outside the default comes unasked."""
    plan = build(run)
    held = plan.steps[position(plan, "become")].args["bounding"]
    dropped = capabilities.mask([name for name in run.cap_drop if name != "ALL"])
    assert held & dropped == 0
    assert held & ~(capabilities.DEFAULT | capabilities.mask(run.cap_add)) == 0


@given(RUNS)
def test_every_step_can_be_taken_and_told(run: RunSpec) -> None:
    """Each child's step has a function, and each step words in both languages with its arguments in them."""
    for step in build(run).steps:
        if step.where == "child":
            assert step.kind in zygote.HANDLERS
        for lang in ("en", "ja"):
            text = words.sentence(step.kind, step.args, lang)
            assert text
            assert "{" not in text


def test_lab_plan() -> None:
    """A lab's plan: its steps can be taken and told, ids are mapped before the inner namespaces, limits before them."""
    lab = lab_plan.LabSpec("ab", ("/l/0", "/l/1"), 1_000_000_000, "lab", 1 << 29, 1.0, 512, 1 << 31, disc="/l/2")
    plan = lab_plan.build(lab)
    kinds = [step.kind for step in plan.steps]
    inner = max(number for number, kind in enumerate(kinds) if kind == "clone")
    assert kinds.index("join_cgroup") < kinds.index("unshare") < kinds.index("map_ids") < inner
    assert kinds.index("limit_namespaces") < inner < kinds.index("stage") < kinds.index("overlay")
    assert set(plan.steps[inner].args["kinds"]) == set(lab_plan.KINDS)
    for step in plan.steps:
        assert words.sentence(step.kind, step.args, "ja")
        assert step.where != "child" or step.kind in zygote.HANDLERS


def test_words_and_steps_are_the_same() -> None:
    """No words without a step, no step without words."""
    engine_steps = {"create_cgroup", "union_mount", "network", "create_disk", "open_layers", "create_devices"}
    engine_steps.add("insert_disc")  # of a lab whose lesson has a live CD
    assert set(words.WORDS) == set(zygote.HANDLERS) | engine_steps


@given(st.text(max_size=40))
def test_hostile_names_are_refused(name: str) -> None:
    """A name that is let through has nothing in it that a path or a log line could be bent with."""
    try:
        spec.check_name(name)
    except spec.BadInput:
        return
    assert name.isascii()
    assert not set(name) & set("/\\\0\n ")
    assert name not in (".", "..")
