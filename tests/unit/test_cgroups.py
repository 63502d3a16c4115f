"""Decisions about cgroups, against a fake tree: which directory, which file, which value."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from engine.errors import BadInput, Failed, NotFound, Unsupported
from engine.linux import cgroup_end, cgroup_usage
from engine.linux.cgroup_hierarchy import Hierarchy, hierarchy_of
from engine.linux.cgroup_limits import UNLIMITED, Limits, Write, controllers, writes_v1, writes_v2
from engine.linux.cgroups import Cgroups, Group, Root
from engine.linux.procfs import parse_mountinfo

KNOWN = frozenset({"cpu", "cpuacct", "cpuset", "memory", "pids", "freezer", "devices"})


def v2_group(path: Path, *, controllers: str = "cpu memory pids", real_root: bool = False) -> Path:
    """The files a v2 group has at birth; empty where a test reads back what was written, as a real file never is."""
    path.mkdir(parents=True, exist_ok=True)
    for file, text in {
        "cgroup.controllers": controllers,
        "cgroup.subtree_control": "",
        "cgroup.procs": "",
        "cgroup.threads": "",
        "cgroup.max.descendants": "",
        **({} if real_root else {"cgroup.type": "domain", "cgroup.events": "populated 0\nfrozen 0"}),
        "memory.max": "",
        "memory.oom.group": "",
        "cpu.max": "",
        "cpu.weight": "",
        "pids.max": "",
    }.items():
        (path / file).write_text(text)
    return path


def v1_group(path: Path, files: dict[str, str]) -> Path:
    """The files a v1 group has at birth, and those of its controller."""
    path.mkdir(parents=True, exist_ok=True)
    for file, text in {"tasks": "", "cgroup.procs": "", "cgroup.clone_children": "0", **files}.items():
        (path / file).write_text(text)
    return path


def v2(tmp_path: Path) -> Hierarchy:
    return Hierarchy(unified=tmp_path, v2_controllers=frozenset({"cpu", "memory", "pids"}))


# --- where the trees are


def test_v1_v2_and_hybrid_are_told_apart(tmp_path: Path) -> None:
    """By what is mounted; options such as `rw` or `xattr` are not controllers, and the first mount of a tree counts."""
    line = "31 30 0:29 / {} rw,relatime shared:9 - {} cgroup rw,{}"
    (tmp_path / "cgroup.controllers").write_text("hugetlb io\n")
    cpu = line.format("/sys/fs/cgroup/cpu,cpuacct", "cgroup", "xattr,cpu,cpuacct")
    copy = line.format("/somewhere/else", "cgroup", "cpu,cpuacct")
    named = line.format("/sys/fs/cgroup/systemd", "cgroup", "name=systemd")
    unified = line.format(tmp_path, "cgroup2", "nsdelegate")

    def seen(*lines: str) -> Hierarchy:
        return hierarchy_of(parse_mountinfo("\n".join(lines).encode()), KNOWN)

    only_v1 = seen(cpu, copy, named)
    assert only_v1.kind == "v1" and only_v1.mounts == (Path("/sys/fs/cgroup/cpu,cpuacct"),)
    assert set(only_v1.v1) == {"cpu", "cpuacct"}
    assert seen(unified).kind == "v2" and seen(unified).v2_controllers == {"hugetlb", "io"}
    assert seen(cpu, unified).kind == "hybrid" and seen(cpu, unified).mounts[-1] == tmp_path
    assert seen().mounts == ()


def test_no_cgroup_file_system_is_said_in_words(tmp_path: Path) -> None:
    """With the command that mends it."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mountinfo").write_text("1 0 0:1 / / rw - ext4 /dev/vda rw\n")
    with pytest.raises(Unsupported, match="mount -t cgroup2"):
        Cgroups.detect(str(tmp_path))


# --- which value


def test_limits_in_the_words_of_both_versions() -> None:
    """One Limits, two dialects."""
    limits = Limits(memory_bytes=100, swap_bytes=20, cpus=0.5, cpu_weight=50, pids=7, oom_group=True, descendants=9)
    assert controllers(limits) == ("memory", "cpu", "pids")
    assert writes_v2(limits, "memory") == [
        Write("memory", "memory.max", "100"),
        Write("memory", "memory.swap.max", "20", optional=True),
        Write("memory", "memory.oom.group", "1"),
    ]
    assert writes_v1(limits, "memory") == [
        Write("memory", "memory.limit_in_bytes", "100"),
        Write("memory", "memory.memsw.limit_in_bytes", "120", optional=True),
    ]
    assert [entry.value for entry in writes_v2(limits, "cpu")] == ["50000 100000", "50"]
    assert [(entry.file, entry.value) for entry in writes_v1(limits, "cpu")] == [
        ("cpu.cfs_period_us", "100000"),
        ("cpu.cfs_quota_us", "50000"),
        ("cpu.shares", "512"),
    ]
    assert writes_v1(limits, "pids") == writes_v2(limits, "pids") == [Write("pids", "pids.max", "7")]
    assert writes_v2(limits, "") == [Write("", "cgroup.max.descendants", "9", optional=True)]


def test_lifting_limits() -> None:
    """-1 is `max` in v2 and -1 in v1; None writes nothing."""
    lifted = Limits(memory_bytes=UNLIMITED, swap_bytes=UNLIMITED, cpus=UNLIMITED, pids=UNLIMITED)
    assert {entry.value for entry in writes_v2(lifted, "memory")} == {"max"}
    assert writes_v2(lifted, "cpu")[0].value == "max 100000"
    assert {entry.value for entry in writes_v1(lifted, "memory")} == {"-1"}
    assert writes_v1(lifted, "cpu")[1].value == "-1"
    assert controllers(Limits()) == () and writes_v1(Limits(), "memory") == writes_v2(Limits(), "cpu") == []


def test_least_quota_is_what_the_kernel_takes() -> None:
    """1 ms in each period; less is EINVAL there."""
    assert writes_v1(Limits(cpus=0.01), "cpu")[1].value == "1000"


@pytest.mark.parametrize("wrong", [{"memory_bytes": -2}, {"cpus": 0}, {"cpus": -0.5}, {"cpu_weight": 0}, {"pids": -7}])
def test_impossible_limits_are_refused(wrong: dict[str, float]) -> None:
    """Before any directory is made."""
    with pytest.raises(BadInput, match=next(iter(wrong))):
        Limits(**wrong)  # type: ignore[arg-type]


def test_v1_swap_alone_is_refused() -> None:
    """v1 limits the sum, so the memory limit must be known."""
    with pytest.raises(BadInput, match="memory_bytes"):
        writes_v1(Limits(swap_bytes=0), "memory")


# --- which directory


@pytest.mark.parametrize("name", ["", "..", "labs/..", "/labs", "labs//x", "labs/.x", "a b", "x\n", "labs/", "é"])
def test_hostile_names_never_become_paths(tmp_path: Path, name: str) -> None:
    """A name that leaves our group, or is odd, is refused before anything is made."""
    root = Root(v2(tmp_path), "hk")
    for call in (root.create, root.get):
        with pytest.raises(BadInput):
            call(name)
    assert list(tmp_path.iterdir()) == []


def test_v2_hands_controllers_down_before_it_makes_a_child(tmp_path: Path) -> None:
    """subtree_control is written in every group above the new one, and not in the new one."""
    v2_group(tmp_path, real_root=True)
    for name in ("hk", "hk/labs", "hk/labs/x", "hk/labs/x/payload"):
        v2_group(tmp_path / name)
    root = Cgroups(v2(tmp_path)).root("hk")
    root.create("labs/x/payload", Limits(memory_bytes=4096, pids=3))
    written = {path: (tmp_path / path / "cgroup.subtree_control").read_text() for path in (".", "hk", "hk/labs/x")}
    assert set(written.values()) == {"+cpu +memory +pids"}
    leaf = tmp_path / "hk/labs/x/payload"
    assert (leaf / "cgroup.subtree_control").read_text() == ""
    assert ((leaf / "memory.max").read_text(), (leaf / "pids.max").read_text()) == ("4096", "3")
    assert root.children("labs") == ["x"] and root.children("nothing") == []
    assert root.get("labs/x").name == "labs/x"
    with pytest.raises(NotFound):
        root.get("labs/y")


def test_v1_top_group_gets_cpus_and_nodes(tmp_path: Path) -> None:
    """An empty cpuset takes no process, so ours is filled from above and passes it on."""
    cpuset = v1_group(tmp_path / "cpuset", {"cpuset.cpus": "0-1\n", "cpuset.mems": "0\n"})
    v1_group(cpuset / "hk", {"cpuset.cpus": "\n", "cpuset.mems": "\n"})
    memory = v1_group(tmp_path / "memory", {})
    v1_group(memory / "hk", {"memory.use_hierarchy": "0"})
    Cgroups(Hierarchy({"cpuset": cpuset, "memory": memory})).root("hk")
    read = {
        file: (cpuset / "hk" / file).read_text() for file in ("cpuset.cpus", "cpuset.mems", "cgroup.clone_children")
    }
    assert read == {"cpuset.cpus": "0-1", "cpuset.mems": "0", "cgroup.clone_children": "1"}
    assert (memory / "hk" / "memory.use_hierarchy").read_text() == "1"


def test_hybrid_limits_go_where_the_controller_is(tmp_path: Path) -> None:
    """memory on v1, pids on v2: each value lands in its own tree in its own dialect."""
    v2_group(tmp_path / "unified/hk/box")
    v1_group(tmp_path / "memory/hk/box", {"memory.limit_in_bytes": "", "memory.memsw.limit_in_bytes": ""})
    hierarchy = Hierarchy({"memory": tmp_path / "memory"}, tmp_path / "unified", frozenset({"pids"}))
    group = Root(hierarchy, "hk").get("box")
    group.limit(Limits(memory_bytes=10, swap_bytes=0, pids=5, descendants=4))
    assert (tmp_path / "memory/hk/box/memory.limit_in_bytes").read_text() == "10"
    assert (tmp_path / "memory/hk/box/memory.memsw.limit_in_bytes").read_text() == "10"
    assert (tmp_path / "unified/hk/box/pids.max").read_text() == "5"
    assert (tmp_path / "unified/hk/box/cgroup.max.descendants").read_text() == "4"
    assert group.tasks_paths() == (tmp_path / "memory/hk/box/tasks",)
    with pytest.raises(Unsupported, match="cpu controller"):
        group.limit(Limits(cpus=1))


def test_missing_swap_accounting_is_not_an_error_but_a_missing_limit_is(tmp_path: Path) -> None:
    """memory.memsw is optional on v1; memory.limit_in_bytes is not, and the error names the file."""
    v1_group(tmp_path / "memory/hk/box", {"memory.limit_in_bytes": ""})
    group = Group(Hierarchy({"memory": tmp_path / "memory"}), "hk", "box")
    group.limit(Limits(memory_bytes=10, swap_bytes=0))
    (tmp_path / "memory/hk/box/memory.limit_in_bytes").unlink()
    with pytest.raises(Failed, match=r"memory\.limit_in_bytes"):
        group.limit(Limits(memory_bytes=10))


def test_delegation_never_touches_limits_or_devices(tmp_path: Path) -> None:
    """The learner gets the files that move processes; the rest stays root's."""
    owner = os.getuid(), os.getgid()
    for tree in ("devices", "pids"):
        v1_group(tmp_path / tree / "hk/p", {"pids.max": "max"})
    v2_group(tmp_path / "unified/hk/p")
    hierarchy = Hierarchy(
        {"devices": tmp_path / "devices", "pids": tmp_path / "pids"}, tmp_path / "unified", frozenset()
    )
    chowned: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "chown", lambda path, uid, gid: chowned.append(str(Path(path).relative_to(tmp_path))))
        Group(hierarchy, "hk", "p").delegate(*owner)
    assert chowned == [
        *(f"pids/hk/p{file}" for file in ("", "/tasks", "/cgroup.procs")),
        *(f"unified/hk/p{file}" for file in ("", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control")),
    ]


# --- who is in it, what it used


def test_pids_are_gathered_from_all_groups_below(tmp_path: Path) -> None:
    """Ours and those a learner made; 0 is a process of another pid namespace and no pid."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "cgroup.procs").write_text("1\n0\n")
    (tmp_path / "a" / "cgroup.procs").write_text("")
    (tmp_path / "a" / "b" / "cgroup.procs").write_text("22\n23\n")
    assert cgroup_end.pids_below(tmp_path) == [1, 22, 23]
    assert cgroup_end.pids_below(tmp_path / "gone") == []
    assert cgroup_end.directories_below(tmp_path) == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]


def test_usage_of_v2(tmp_path: Path) -> None:
    """Counters by their v2 names; `max` is no limit, a file that is not there is None."""
    for file, text in {
        "memory.current": "4096\n",
        "memory.max": "max\n",
        "memory.stat": "anon 1\nfile 2048\n",
        "memory.events": "low 0\nmax 3\noom 1\noom_kill 2\n",
        "cpu.stat": "usage_usec 77\nnr_periods 10\nnr_throttled 4\nthrottled_usec 900\n",
        "cpu.max": "50000 100000\n",
        "pids.max": "9\n",
    }.items():
        (tmp_path / file).write_text(text)
    usage = cgroup_usage.usage_v2(tmp_path)
    assert usage.to_dict() == {
        "memory_bytes": 4096,
        "memory_limit_bytes": None,
        "cache_bytes": 2048,
        "oom_kills": 2,
        "memory_limit_hits": 3,
        "cpu_us": 77,
        "cpu_quota_us": 50000,
        "periods": 10,
        "throttled_periods": 4,
        "throttled_us": 900,
        "pids": None,
        "pids_limit": 9,
        "pids_refused": None,
    }


def test_usage_of_v1(tmp_path: Path) -> None:
    """Counters by their v1 names and units: nanoseconds become microseconds, 2^63 and -1 are no limit."""
    for file, text in {
        "memory.usage_in_bytes": "4096\n",
        "memory.limit_in_bytes": "9223372036854771712\n",
        "memory.stat": "cache 1\ntotal_cache 2048\n",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        "cpu.stat": "nr_periods 10\nnr_throttled 4\nthrottled_time 900000\n",
        "cpu.cfs_quota_us": "-1\n",
        "cpuacct.usage": "77000\n",
    }.items():
        (tmp_path / file).write_text(text)
    usage = cgroup_usage.usage_v1(dict.fromkeys(("memory", "cpu", "cpuacct"), tmp_path))
    assert (usage.memory_bytes, usage.memory_limit_bytes, usage.cache_bytes, usage.oom_kills) == (4096, None, 2048, 2)
    assert (usage.cpu_us, usage.cpu_quota_us, usage.throttled_us, usage.pids) == (77, None, 900, None)


def test_a_group_that_goes_while_it_is_ended_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two who end one group at once: the second finds it gone between open(2) and write(2), ENODEV, and is content."""

    def gone(path: Path, value: str) -> None:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(cgroup_end, "_write", gone)
    cgroup_end.kill(tmp_path, None)
    cgroup_end.thaw(tmp_path)
