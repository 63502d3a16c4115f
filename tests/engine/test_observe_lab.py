"""A real lab host observed from outside: what a learner makes appears, and what he ends goes."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from engine.errors import NotFound
from engine.observe import Observation
from engine.observe.model import Process
from tests.engine.minilab import MiniLab, mini_lab, until

pytestmark = pytest.mark.root


@pytest.fixture
def lab(instance: str) -> Iterator[MiniLab]:
    """A lab with nothing running in it but its init."""
    with mini_lab(instance) as made:
        yield made


@pytest.fixture
def shell(lab: MiniLab) -> MiniLab:
    """The same with a shell on the terminal `lab`."""
    lab.spawn("bash", "--norc", "-i", terminal="lab")
    lab.wait_for("bash")
    until(lambda: lab.screen("lab"))
    return lab


def process(observation: Observation, comm: str) -> Process:
    """The youngest process of this name."""
    return max((one for one in observation.processes if one.comm == comm), key=lambda one: (one.start, one.pid))


def labels(lab: MiniLab) -> list[str]:
    """The way to the foreground of the terminal `lab`; empty in the instant in which one program follows another."""
    return [place.label for place in lab.observer.where("lab").path]


def test_new_lab_shows_its_init_and_eight_namespaces(lab: MiniLab) -> None:
    """All of them its own, the hostname and the map as the lab itself would read them."""
    seen = lab.observer.observe()
    (init,) = seen.processes
    assert (init.pid, init.nspid, init.uid, init.host_uid) == (lab.init, (1,), 0, 1_900_000_000)
    assert {one.kind for one in seen.namespaces if one.of_lab} == {
        *("user", "pid", "mnt", "net", "uts", "ipc", "cgroup", "time")
    }
    assert len(seen.namespaces) == 8
    uts = seen.namespace("uts", init.ns["uts"])
    user = seen.namespace("user", init.ns["user"])
    assert uts is not None and uts.hostname == "lab" and uts.owner == init.ns["user"]
    assert user is not None and user.uid_map == ((0, 0, 65536),)
    assert [link.name for link in seen.links[init.ns["net"]]] == ["lo"] and seen.links[init.ns["net"]][0].up
    assert [entry.path for entry in seen.cgroups] == ["/"] and seen.truncated == ()


def test_observation_travels_as_json(shell: MiniLab) -> None:
    """to_dict holds nothing but JSON, whatever bytes a learner gives a process for a name."""
    shell.spawn("bash", "-c", "exec -a $'\\xff\\xfe' sleep 60")
    shell.wait_for("sleep")
    told = json.loads(json.dumps(shell.observer.observe().to_dict()))
    argv = [one["argv"] for one in told["processes"] if one["comm"] == "sleep"]
    assert argv == [["\\xff\\xfe", "60"]]
    assert set(told) == {
        *("lab", "revision", "at", "init", "processes", "namespaces", "mounts", "links", "cgroups", "truncated"),
        *("controllers", "layers"),
    }
    json.dumps(shell.observer.where("lab").to_dict())


def test_process_knows_its_terminal(shell: MiniLab) -> None:
    """A program started on a terminal belongs to it, one started beside it does not."""
    shell.spawn("sleep", "61")
    shell.type("lab", "cat\n")
    shell.wait_for("sleep")
    shell.wait_for("cat")
    seen = shell.observer.observe()
    assert process(seen, "cat").tty == process(seen, "bash").tty == "lab"
    assert process(seen, "sleep").tty is None


def test_revision_grows_only_with_changes(shell: MiniLab) -> None:
    """Two looks at the same lab have one revision; a new hostname makes another."""
    until(lambda: shell.observer.observe().same_as(shell.observer.observe()))
    before, after = shell.observer.observe(), shell.observer.observe()
    assert before.revision == after.revision
    shell.run("hostname other")
    changed = shell.observer.observe()
    uts = changed.namespace("uts", changed.init_ns["uts"])
    assert changed.revision > after.revision and uts is not None and uts.hostname == "other"


def test_unshared_namespaces_hang_together(shell: MiniLab) -> None:
    """Parents, owners, inner pids and maps of a box in a nested user namespace."""
    shell.spawn("unshare", "-Urpfmn", "--mount-proc", "sleep", "60")
    shell.wait_for("sleep")
    seen = shell.observer.observe()
    sleep = process(seen, "sleep")
    assert sleep.nspid[-1] == 1 and len(sleep.nspid) == 2
    differs = {kind for kind, inode in sleep.ns.items() if inode != seen.init_ns[kind]}
    assert differs == {"user", "pid", "mnt", "net"}
    user, pid = seen.namespace("user", sleep.ns["user"]), seen.namespace("pid", sleep.ns["pid"])
    assert user is not None and pid is not None
    assert (user.parent, user.uid_map, user.of_lab) == (seen.init_ns["user"], ((0, 0, 1),), False)
    assert (pid.parent, pid.owner) == (seen.init_ns["pid"], sleep.ns["user"])
    proc = [entry for entry in seen.mounts[sleep.ns["mnt"]] if entry.target == "/proc" and entry.pid_ns]
    assert proc[-1].pid_ns == sleep.ns["pid"]
    lab_proc = [entry for entry in seen.mounts[seen.init_ns["mnt"]] if entry.target == "/proc" and entry.pid_ns]
    assert lab_proc[-1].pid_ns == seen.init_ns["pid"]
    assert [(link.name, link.up) for link in seen.links[sleep.ns["net"]]] == [("lo", False)]


def test_dead_pid_namespace_stays_with_who_asked_for_it(shell: MiniLab) -> None:
    """`unshare -p` without --fork: the shell is outside, its first child is gone, and the namespace shows as empty."""
    shell.type("lab", "unshare -p bash --norc\n")
    shell.wait_for("bash", 2)
    until(lambda: process(shell.observer.observe(), "bash").children_pid_ns == 0)
    shell.type("lab", "/bin/true\n/bin/true\n")
    until(lambda: b"Cannot allocate memory" in shell.screen("lab"))
    seen = shell.observer.observe()
    bash = process(seen, "bash")
    assert bash.children_pid_ns and bash.ns["pid"] == seen.init_ns["pid"]
    dead = seen.namespace("pid", bash.children_pid_ns)
    assert dead is not None and dead.processes == () and dead.kept_by == "process"
    assert dead.kept_at == f"{bash.pid}/ns/pid_for_children"


def test_namespace_kept_by_a_mount_is_shown_with_its_hostname(lab: MiniLab) -> None:
    """`unshare --uts=FILE` leaves nobody inside; the bind mount keeps it."""
    said = lab.run(
        "mount --make-private /mnt; touch /mnt/f; unshare --uts=/mnt/f hostname kept; nsenter --uts=/mnt/f hostname"
    )
    assert said == "kept\n"
    (kept,) = [one for one in lab.observer.observe().namespaces if one.kept_by == "mount"]
    assert (kept.kind, kept.hostname, kept.kept_at, kept.processes) == ("uts", "kept", "/mnt/f", ())
    assert kept.owner == lab.observer.observe().init_ns["user"]
    lab.run("umount /mnt/f")
    assert [one for one in lab.observer.observe().namespaces if one.kept_by == "mount"] == []


def test_namespace_kept_by_an_open_fd_is_shown(lab: MiniLab) -> None:
    """A program that left a namespace but holds it open."""
    lab.spawn("bash", "-c", "exec 9< <(unshare -u sleep 0.01); exec 9<&-; exec sleep 62")
    lab.spawn("bash", "-c", "unshare -u bash -c 'exec 8</proc/self/ns/uts; exec nsenter -t 1 -u sleep 63'")
    lab.wait_for("sleep", 2)
    found = {one.kept_by: one for one in lab.observer.observe().namespaces if not one.of_lab}
    until(lambda: "fd" in {one.kept_by for one in lab.observer.observe().namespaces})
    found = {one.kept_by: one for one in lab.observer.observe().namespaces if not one.of_lab}
    assert found["fd"].kind == "uts" and found["fd"].kept_at is not None and found["fd"].kept_at.endswith("/8")
    assert found["fd"].hostname == "lab"


def test_shared_mount_spreads_and_private_one_does_not(lab: MiniLab) -> None:
    """Propagation shows as a peer group on both sides, and the copy has the same device."""
    lab.run("mkdir /mnt/S; mount -t tmpfs S /mnt/S; mount --make-shared /mnt/S; mkdir /mnt/S/a")
    lab.spawn("unshare", "-m", "--propagation", "unchanged", "sleep", "60")
    lab.wait_for("sleep")
    lab.run("mount -t tmpfs leak /mnt/S/a")
    seen = lab.observer.observe()
    inner = process(seen, "sleep").ns["mnt"]
    tables = [{entry.target: entry for entry in seen.mounts[mnt]} for mnt in (seen.init_ns["mnt"], inner)]
    shared = [table["/mnt/S"].shared for table in tables]
    assert shared[0] is not None and shared[0] == shared[1]
    assert tables[0]["/mnt/S/a"].device == tables[1]["/mnt/S/a"].device
    assert tables[0]["/mnt/S/a"].source == "leak"


def test_veth_ends_find_each_other(lab: MiniLab) -> None:
    """A pair across two of the lab's network namespaces, its addresses, and the bridge one end is in."""
    lab.spawn("unshare", "-n", "sleep", "60")
    pid = lab.wait_for("sleep")
    inner_pid = lab.run("pgrep sleep").strip()
    lab.run(
        f"ip link add v0 type veth peer name v1 netns {inner_pid}; ip link add br0 type bridge;"
        "ip link set v0 master br0; ip link set v0 up; ip addr add 10.1.2.3/24 dev br0"
    )
    seen = lab.observer.observe()
    sleep = next(one for one in seen.processes if one.pid == pid)
    outer = {link.name: link for link in seen.links[seen.init_ns["net"]]}
    inner = {link.name: link for link in seen.links[sleep.ns["net"]]}
    assert outer["v0"].peer == (sleep.ns["net"], "v1") and inner["v1"].peer == (seen.init_ns["net"], "v0")
    assert (outer["v0"].master, outer["br0"].kind, outer["br0"].addresses) == ("br0", "bridge", ("10.1.2.3/24",))
    assert outer["v0"].up and not inner["v1"].up


def test_ipc_objects_are_counted_where_they_are(lab: MiniLab) -> None:
    """A queue made inside an own ipc namespace is there and not in the lab's."""
    lab.run("ipcmk -M 4096")
    lab.spawn("unshare", "-i", "bash", "-c", "ipcmk -Q; exec sleep 60")
    lab.wait_for("sleep")
    seen = lab.observer.observe()
    outer = seen.namespace("ipc", seen.init_ns["ipc"])
    inner = seen.namespace("ipc", process(seen, "sleep").ns["ipc"])
    assert outer is not None and outer.ipc == {"msg": 0, "shm": 1, "sem": 0}
    assert inner is not None and inner.ipc == {"msg": 1, "shm": 0, "sem": 0}


def test_time_offsets_are_read(lab: MiniLab) -> None:
    """The seconds a learner shifted a clock by."""
    lab.spawn("unshare", "-T", "-f", "--boottime", "86400", "sleep", "60")
    lab.wait_for("sleep")
    seen = lab.observer.observe()
    time_ns = seen.namespace("time", process(seen, "sleep").ns["time"])
    assert time_ns is not None and not time_ns.of_lab and dict(time_ns.time_offsets or {})["boottime"] == 86400


def test_where_follows_the_foreground(shell: MiniLab) -> None:
    """On the lab host, then in a renamed uts namespace, then as pid 1 of a nested box, then back."""
    at_home = shell.observer.where("lab")
    assert at_home.readable and labels(shell) == ["lab"] and at_home.innermost is None
    shell.type("lab", "unshare -u bash --norc\nhostname box\n")
    until(lambda: labels(shell) == ["lab", "box"])
    where = shell.observer.where("lab")
    assert where.innermost == "uts" and where.path[-1].differs == ("uts",)
    shell.type("lab", "unshare -Upfrm --mount-proc bash --norc\n")
    until(lambda: (shell.observer.where("lab").foreground or _nobody()).nspid[-1] == 1)
    where = shell.observer.where("lab")
    assert where.innermost == "pid" and where.foreground is not None and where.foreground.comm == "bash"
    assert [place.differs for place in where.path[1:]] == [("uts",), ("user", "mnt"), ("pid",)]
    shell.type("lab", "exit\nexit\n")
    until(lambda: labels(shell) == ["lab"])


def test_where_looks_through_script(shell: MiniLab) -> None:
    """script(1) holds a pty of its own between the terminal and the shell."""
    shell.type("lab", "script -q -c 'unshare -u sleep 60' /dev/null\n")
    shell.wait_for("sleep")
    until(lambda: (shell.observer.where("lab").foreground or _nobody()).comm == "sleep")
    assert shell.observer.where("lab").innermost == "uts"


def test_where_of_an_unknown_and_of_a_closed_terminal(shell: MiniLab) -> None:
    """Unknown is an error; one whose program has ended is not readable, and no error."""
    with pytest.raises(NotFound, match="other"):
        shell.observer.where("other")
    shell.type("lab", "exit\n")
    until(lambda: not shell.pids("bash"))
    assert not shell.observer.where("lab").readable


def test_ended_lab_is_not_found(lab: MiniLab) -> None:
    """Whose init is gone, or waits to be reaped."""
    lab.group.kill()
    until(lambda: not lab.group.pids())
    with pytest.raises(NotFound, match="ended"):
        lab.observer.observe()


def test_frozen_lab_can_be_observed(shell: MiniLab) -> None:
    """A paused lab is read from outside like any other, without waiting for it."""
    shell.group.freeze()
    try:
        assert process(shell.observer.observe(), "bash").tty == "lab"
    finally:
        shell.group.thaw()


def test_groups_a_learner_makes_are_seen(shell: MiniLab) -> None:
    """With the processes in them, by their path below the learner's top group."""
    top = shell.group.processes_path
    (top / "box").mkdir()
    pid = shell.wait_for("bash")
    (top / "box" / "cgroup.procs").write_text(str(pid))
    seen = shell.observer.observe()
    assert process(seen, "bash").cgroup == "/box"
    assert {entry.path: entry.processes for entry in seen.cgroups}["/box"] == (pid,)


def test_looking_leaves_nothing_behind(shell: MiniLab) -> None:
    """No fd, no thread, and no namespace kept alive by the look."""
    shell.spawn("unshare", "-nu", "sleep", "60")
    pid = shell.wait_for("sleep")
    shell.observer.observe()
    before = set(os.listdir("/proc/self/fd")), len(threading.enumerate())
    for _ in range(20):
        shell.observer.observe()
    assert (set(os.listdir("/proc/self/fd")), len(threading.enumerate())) == before
    # A thread that was joined may still be on its way out in the kernel.
    until(lambda: len(os.listdir("/proc/self/task")) == before[1])
    os.kill(pid, 9)
    until(lambda: not [one for one in shell.observer.observe().namespaces if not one.of_lab])


def test_a_look_at_fifty_processes_reads_few_files(lab: MiniLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine links and two files for each, the status of one in four: what a look costs (tests/bench/observe.py)."""
    for _ in range(49):
        lab.spawn("sleep", "60")
    lab.wait_for("sleep", 49)
    opened, followed = [], []
    first = lab.observer.observe()
    assert len(first.processes) == 50
    pids = {str(process.pid) for process in first.processes}
    real_open, real_readlink = os.open, os.readlink

    def counting_open(path: Any, *args: Any, **options: Any) -> int:
        opened.append(str(path))
        return real_open(path, *args, **options)

    def counting_readlink(path: Any, **options: Any) -> Any:
        followed.append(str(path))
        return real_readlink(path, **options)

    monkeypatch.setattr(os, "open", counting_open)
    monkeypatch.setattr(os, "readlink", counting_readlink)
    for _ in range(4):
        lab.observer.observe()
    monkeypatch.undo()

    def of(paths: list[str], file: str) -> int:
        return sum(path.split("/")[2] in pids and path.endswith(file) for path in paths if path.startswith("/proc/"))

    assert (of(opened, "/stat"), of(opened, "/cmdline"), of(opened, "/status")) == (200, 200, 50)
    assert of(followed, "") < 4 * (50 * 9 + 80)
    assert of(opened, "") < 4 * (50 * 2.25 + 40)


def _nobody() -> Process:
    return Process(0, (0,), 0, 0, 0, "", (), "", 0, 0, 0, None, "/", {}, None, 0, 0)
