"""Control groups on the real kernel, whichever version it has."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.errors import Failed
from engine.linux import cgroup_end, mounts, syscalls
from engine.linux.cgroup_files import enable_controllers
from engine.linux.cgroups import Cgroups, Group, Hierarchy, Limits, Root
from tests.engine.engines import trees

pytestmark = pytest.mark.root


def hierarchies() -> dict[str, Hierarchy]:
    """This host's trees; and, where it is hybrid, each half as if there were no other.

    So the code of each version meets the real kernel on any host. The v2 half of a hybrid has no controllers: it tells
    who is in, freezes and kills, and can limit nothing.
    """
    found = trees().hierarchy
    kinds = {found.kind: found}
    if found.kind == "hybrid":
        kinds["v1 alone"] = Hierarchy(found.v1, None)
        kinds["v2 alone"] = Hierarchy({}, found.unified, found.v2_controllers)
    return kinds


def made(hierarchy: Hierarchy, instance: str) -> Iterator[Root]:
    """Our group in every tree; all processes in it are killed and it is removed."""
    root = Cgroups(hierarchy).root(instance)
    yield root
    for name in root.children():
        group = root.get(name)
        group.kill()
        group.remove()
    root.remove()
    assert not any((mount / instance).exists() for mount in root.hierarchy.mounts)


@pytest.fixture
def root(instance: str) -> Iterator[Root]:
    """Below our group in the trees as this host has them, with limits."""
    yield from made(trees().hierarchy, instance)


@pytest.fixture(params=list(hierarchies()))
def any_root(request: pytest.FixtureRequest, instance: str) -> Iterator[Root]:
    """The same for each of `hierarchies`."""
    yield from made(hierarchies()[request.param], instance)


def start(group: Group, work: Callable[[], object]) -> int:
    """A child that joins the group as the zygote's children do, then does its work; its host pid."""
    fd = group.open_fd()
    try:
        pid, pidfd = syscalls.clone3(0, cgroup_fd=fd)
    finally:
        if fd >= 0:
            os.close(fd)
    if pid == 0:
        try:
            for path in group.tasks_paths():
                handle = os.open(path, os.O_WRONLY)
                os.write(handle, b"0")
                os.close(handle)
            work()
        finally:
            os._exit(0)
    os.close(pidfd)
    return pid


def until(condition: Callable[[], bool], deadline_s: float = 5.0) -> None:
    """Wait for what nothing announces."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def sleep() -> None:
    os.execvp("sleep", ["sleep", "60"])


def test_child_is_in_the_group_in_every_tree(any_root: Root) -> None:
    """clone3 and the tasks files put it there, and pids() finds it in groups below too."""
    group = any_root.create("labs/one")
    below = any_root.create("labs/one/payload")
    pid = start(below, sleep)
    until(lambda: group.pids() == [pid] and _comm(pid) == "sleep")
    with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
        places = [line.rstrip("\n").split(":", 2) for line in file]
    trees = any_root.hierarchy.v1.keys() | ({""} if any_root.hierarchy.unified else set())
    ours = {path for _, controllers, path in places if set(controllers.split(",")) & trees}
    assert ours == {f"/{any_root.instance}/labs/one/payload"}
    group.kill()
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    until(lambda: below.pids() == [])


def test_memory_limit_kills_and_counts(root: Root) -> None:
    """A process that takes more than its group may have is killed, and oom_kills says so."""
    group = root.create("small", Limits(memory_bytes=20 << 20, swap_bytes=0))
    pid = start(group, lambda: bytearray(b"x") * (80 << 20))
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    usage = group.usage()
    assert (usage.oom_kills, usage.memory_limit_bytes) == (1, 20 << 20)


def test_limits_can_be_lowered_raised_and_lifted(root: Root) -> None:
    """In both directions although v1 wants memory <= memory+swap at each moment."""
    group = root.create("box", Limits(memory_bytes=64 << 20, swap_bytes=0))
    for size in (32 << 20, 128 << 20):
        group.limit(Limits(memory_bytes=size, swap_bytes=0))
        assert group.usage().memory_limit_bytes == size
    group.limit(Limits(memory_bytes=-1, swap_bytes=-1))
    assert group.usage().memory_limit_bytes is None


def test_pids_limit_refuses_forks_and_counts(root: Root) -> None:
    """The fork fails inside, the counter says how often."""
    group = root.create("few", Limits(pids=1))

    def fork() -> None:
        try:
            os.fork()
        except BlockingIOError:
            os._exit(11)

    assert os.waitstatus_to_exitcode(os.waitpid(start(group, fork), 0)[1]) == 11
    assert group.usage().pids_limit == 1 and (group.usage().pids_refused or 0) >= 1


def test_cpu_quota_throttles(root: Root) -> None:
    """Half a second of busy loop at a tenth of a CPU is stopped in most periods."""
    group = root.create("slow", Limits(cpus=0.1, cpu_weight=50))

    def busy() -> None:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            pass

    os.waitpid(start(group, busy), 0)
    usage = group.usage()
    assert usage.cpu_quota_us == 10_000 and (usage.throttled_periods or 0) >= 2
    assert (usage.cpu_us or 0) < 300_000


def test_frozen_group_stands_still_and_dies_all_the_same(any_root: Root) -> None:
    """While frozen nothing runs; kill works on it without a thaw by the caller."""
    group = any_root.create("ice")
    pid = start(group, sleep)
    until(lambda: _comm(pid) == "sleep")
    group.freeze()
    os.kill(pid, signal.SIGCONT)
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    group.thaw()
    group.freeze()
    group.kill()
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL


def test_kill_reaches_groups_a_learner_froze(any_root: Root) -> None:
    """On v1 SIGKILL waits for a frozen process until it is thawed, so kill thaws what is below."""
    group, below = any_root.create("lab"), any_root.create("lab/made-by-learner")
    pid = start(below, sleep)
    until(lambda: _comm(pid) == "sleep")
    below.freeze()
    group.kill()
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL


def test_busy_forkers_are_killed(any_root: Root) -> None:
    """Also where it must be done one by one: frozen in between, nothing forks away."""
    group = any_root.create("bomb")
    pid = start(
        group,
        lambda: os.execvp(
            "bash", ["bash", "-c", "for i in 1 2 3 4 5 6 7 8; do (while :; do /bin/true; done) & done; wait"]
        ),
    )
    until(lambda: len(group.pids()) >= 9)
    group.kill()
    os.waitpid(pid, 0)
    until(lambda: not group.pids())


def test_group_with_a_process_is_not_removed_and_says_who(any_root: Root) -> None:
    """rmdir is refused by the kernel; the error names the pid; after the kill it works, nested groups included."""
    group = any_root.create("busy/a/b")
    pid = start(group, sleep)
    until(lambda: group.pids() == [pid] and _comm(pid) == "sleep")
    with pytest.raises(Failed, match=str(pid)):
        any_root.get("busy").remove(deadline_s=0.05)
    any_root.get("busy").kill()
    os.waitpid(pid, 0)
    any_root.get("busy").remove()
    assert any_root.children() == []
    group.remove()  # gone already: nothing happens


def test_learner_moves_processes_but_not_limits(root: Root) -> None:
    """After delegation another uid makes groups below and joins them; the limit stays out of reach."""
    group = root.create("lab/payload", Limits(pids=30, memory_bytes=64 << 20))
    group.delegate(100_000, 100_000)
    pids = group.path("pids")
    assert pids is not None
    join = group.processes_path
    file = "cgroup.procs"
    script = (
        f"mkdir {join}/mine && echo $$ > {join}/mine/{file} && echo moved; echo 999 > {pids}/pids.max || echo refused"
    )

    def learner() -> None:
        os.setresgid(100_000, 100_000, 100_000)
        os.setresuid(100_000, 100_000, 100_000)
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
        os._exit(0 if done.stdout.split() == ["moved", "refused"] else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(start(group, learner), 0)[1]) == 0
    assert group.usage().pids_limit == 30


def test_busy_root_of_a_cgroup_namespace_is_made_free(root: Root) -> None:
    """As in a container: processes that come and go sit in the top group; they move to a leaf, and limits are there."""
    if root.hierarchy.kind != "v2":
        pytest.skip("the cgroup v2 tree has no controller here")
    group = root.create("docker")

    def engine() -> None:
        syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWCGROUP)
        mounts.propagation("/", "private")
        syscalls.mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0)
        busy = subprocess.Popen(["sh", "-c", "while :; do /bin/true; done"])
        box = Cgroups.detect().root("inner").create("box", Limits(pids=7))
        places = {Path(f"/proc/{pid}/cgroup").read_text() for pid in ("self", busy.pid)}
        os._exit(0 if (box.usage().pids_limit, places) == (7, {"0::/init\n"}) else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(start(group, engine), 0)[1]) == 0
    assert group.usage().pids_limit is None


def test_a_group_that_was_given_to_us(instance: str) -> None:
    """As systemd gives a service its own: everything of ours is below it, also where its process sits in it already."""
    found = trees().hierarchy
    if found.unified is None:
        pytest.skip("no cgroup v2 tree is mounted")
    given = found.unified / f"{instance}.slice" / f"{instance}.service"
    given.mkdir(parents=True)
    for above in (found.unified, given.parent):  # as systemd hands them down to a unit with Delegate=yes
        enable_controllers(above, found.v2_controllers)
    with subprocess.Popen(["sleep", "60"]) as service:
        try:
            (given / "cgroup.procs").write_text(str(service.pid))
            root = trees().below(f"{instance}.slice/{instance}.service").root(instance)
            group = root.create("box", Limits(pids=7))
            fd = group.open_fd()
            assert os.readlink(f"/proc/self/fd/{fd}") == str(given / instance / "box")
            os.close(fd)
            assert group.usage().pids_limit == 7
            group.remove()
            root.remove()
        finally:
            service.kill()
            service.wait()
            cgroup_end.remove_tree(given.parent)
    with pytest.raises(Failed, match="no cgroup"):
        trees().below("nothing.slice")


def test_create_of_a_failing_limit_leaves_nothing(root: Root) -> None:
    """A value the kernel refuses takes the new directories away again."""
    group = Group(root.hierarchy, root.instance, "bad")
    with pytest.raises(Failed):
        root.create("bad", Limits(pids=2**62))
    assert not group.exists()


def _comm(pid: int) -> str:
    with open(f"/proc/{pid}/comm", encoding="ascii") as file:
        return file.read().strip()
