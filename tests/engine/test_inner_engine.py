"""`hako` typed in a lab: containers of the lab's own engine, started by the first connection and gone when idle."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.lab import Lab
from tests.engine.engines import Engine, shared_images, wait_for
from tests.engine.labs import sh, text

pytestmark = pytest.mark.root

PROCESSES = "ps -eo args | grep -c '[d]aemon_inner'"


@pytest.fixture(scope="module")
def engine(module_instance: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine whose labs' own engines stay a second when nobody needs them."""
    with Engine(module_instance, tmp_path_factory.mktemp(module_instance), shared_images()) as made:
        made.labs.inner_env["HAKO_IDLE_S"] = "1"
        yield made


@pytest.fixture
def new_lab(engine: Engine) -> Iterator[Lab]:
    """A lab in which no engine ever ran."""
    made = engine.run(engine.labs.create("tests"))
    yield made
    engine.run(engine.labs.remove(made))


def hako(engine: Engine, lab: Lab, script: str) -> str:
    """What a script says that must end well."""
    done = sh(engine, lab, f"set -e; {script}", timeout_s=25)
    assert done.status == 0, text(done)
    return text(done)


def test_the_first_connection_starts_it_and_idleness_ends_it(engine: Engine, new_lab: Lab) -> None:
    """No engine runs in a new lab; `hako images` starts one; a second after its last client nothing of it is left."""
    lab = new_lab
    assert sh(engine, lab, PROCESSES).stdout.strip() == b"0"
    assert "hako/mini" in hako(engine, lab, "hako images")
    wait_for(lambda: sh(engine, lab, PROCESSES).stdout.strip() == b"0", 15)
    left = hako(engine, lab, "ps -eo args; ip -o link; ls /sys/fs/cgroup /sys/fs/cgroup/*; nft list tables")
    assert "zygote" not in left
    assert "hako" not in left.replace("/usr/libexec/hako/init", "")
    assert "hako/lab" in hako(engine, lab, "hako images"), "the socket is watched again"


def test_output_status_and_errors_are_those_of_the_machine(engine: Engine, lab: Lab) -> None:
    """stdout, stderr and the exit status come through; 127 for no such program; words of the machine are not there."""
    done = sh(engine, lab, "hako run --rm hako/mini sh -c 'echo out; echo err >&2; exit 7'")
    assert (done.status, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
    assert sh(engine, lab, "hako run --rm hako/mini /no/such").status == 127
    done = sh(engine, lab, "hako lab list")
    assert (done.status, b"in a lab there are" in done.stderr) == (2, True)


def test_the_script_of_a_container_builds_it_in_a_lab_too(engine: Engine, lab: Lab) -> None:
    """`hako run --script` gives lines that a lab's root can carry out: same status, output, limits; nothing is left."""
    program = "'hostname; cat /proc/self/cgroup; exit 7'"
    script = f"hako run --script --name twin -h twin --pids 20 hako/mini sh -c {program} > /root/twin"
    hako(engine, lab, "hako run -d --name keeper hako/mini sleep 100")  # without a container the bridge may be gone
    done = sh(engine, lab, f"{script}; sh /root/twin; echo $?; ls /var/lib/lab/hako; ip -o link", timeout_s=25)
    hako(engine, lab, "hako rm -f keeper")
    lines = text(done).splitlines()
    assert lines[0] == "twin"
    assert "7" in lines
    assert not any(word in text(done) for word in ("by-hand", "byhand"))


def test_a_container_in_a_lab_has_namespaces_of_its_own(engine: Engine, lab: Lab) -> None:
    """All six but the user's, which is the lab's; it is process 1 and root without power over the lab."""
    script = "hako run --rm hako/mini sh -c 'echo $$; cd /proc/self/ns; for each in *; do readlink $each; done'"
    script += "; readlink /proc/self/ns/*"
    lines = hako(engine, lab, script).splitlines()
    assert lines[0] == "1"
    inside, outside = (set(each) for each in (lines[1 : 1 + len(lines) // 2], lines[1 + len(lines) // 2 :]))
    assert {line.split(":")[0] for line in inside & outside} == {"user", "time"}


def test_limits_hold_below_those_of_the_lab(engine: Engine, lab: Lab) -> None:
    """--memory ends what takes more, --pids refuses the next fork; the group lies in the lab's own."""
    assert sh(engine, lab, "hako run --rm -m 16m hako/mini tail /dev/zero").status == 137
    script = "hako run --rm --pids 4 hako/mini sh -c 'for i in 1 2 3 4 5 6; do sleep 9 & done; echo all' 2>&1"
    assert "all" not in text(sh(engine, lab, script))
    name = hako(engine, lab, "hako run -d --name limited -m 16m hako/mini sleep 100").strip()
    groups = [str(path) for path in lab.group(engine.machine, "payload").processes_path.rglob("*")]
    assert any(group.endswith(f"/hako/containers/{name}") for group in groups)
    hako(engine, lab, "hako rm -f limited")


def test_two_containers_reach_each_other_over_the_labs_bridge(engine: Engine, lab: Lab) -> None:
    """Each has an address on a bridge in the lab's network, and the machine's bridge has neither."""
    hako(engine, lab, "hako run -d --name one hako/mini sleep 100; hako run -d --name two hako/mini sleep 100")
    found = hako(engine, lab, "hako exec two ip -4 -o addr show eth0")
    address = re.search(r"inet ([0-9.]+)/", found)
    assert address is not None
    assert "1 packets received" in hako(engine, lab, f"hako exec one ping -c 1 -W 5 {address[1]}")
    assert "hakoc0" in hako(engine, lab, "ip -o link show type bridge")
    assert f"{engine.settings.instance}c0" not in hako(engine, lab, "ip -o link")
    hako(engine, lab, "hako rm -f one two")


def test_logs_stop_and_start(engine: Engine, lab: Lab) -> None:
    """`logs` has what it said, also when the engine was gone meanwhile; `stop` sends TERM; `start` runs it again."""
    program = "trap 'echo bye; exit 3' TERM; echo hello; echo oops >&2; while :; do sleep 0.1; done"
    hako(engine, lab, f'hako run -d --name talker hako/mini sh -c "{program}"')
    wait_for(lambda: sh(engine, lab, "hako logs talker").stderr == b"oops\n")
    done = sh(engine, lab, "hako logs talker")
    assert (done.stdout, done.stderr) == (b"hello\n", b"oops\n")
    assert hako(engine, lab, "hako stop talker; hako stop talker") == "talker\ntalker\n"
    assert "Exited (3)" in hako(engine, lab, "hako ps -a")
    wait_for(lambda: sh(engine, lab, PROCESSES).stdout.strip() == b"0", 15)
    assert sh(engine, lab, "hako logs talker").stdout == b"hello\nbye\n"
    assert hako(engine, lab, "hako start talker") == "talker\n"
    follow = "hako logs -f talker & hako stop talker >/dev/null; wait"
    assert sh(engine, lab, follow).stdout.startswith(b"hello\n")
    hako(engine, lab, "hako rm talker")
    assert "talker" not in hako(engine, lab, "hako ps -a")


def test_what_ignores_term_is_killed_when_the_time_is_over(engine: Engine, lab: Lab) -> None:
    """A first process without a handler does not hear TERM, as in Docker; -t says how long to wait."""
    hako(engine, lab, "hako run -d --name deaf hako/mini sleep 1000; hako stop -t 0 deaf")
    assert "Exited (137)" in hako(engine, lab, "hako ps -a")
    hako(engine, lab, "hako rm deaf")


def test_containers_outlive_their_engine(engine: Engine, lab: Lab) -> None:
    """Killed with -9, it leaves its containers running; the next `hako ps` starts one that finds them."""
    hako(engine, lab, "hako run -d --name survivor hako/mini sleep 1000")
    hako(engine, lab, "pkill -9 -f '[d]aemon_inner'")
    assert "survivor" in hako(engine, lab, "hako ps")
    hako(engine, lab, "hako exec survivor true; hako rm -f survivor")


def test_the_layers_are_shared_and_cannot_be_written(engine: Engine, lab: Lab) -> None:
    """A container's image lies in the machine's store, shown read-only: no copy is on the lab's disk."""
    mounts = hako(engine, lab, "hako run --rm hako/mini cat /proc/mounts").splitlines()[0]
    assert "/run/hako/layers/sha256-" in mounts
    assert "userxattr" in mounts
    assert "Read-only file system" in text(sh(engine, lab, "for each in /run/hako/layers/*/fs; do touch $each/x; done"))
    assert int(hako(engine, lab, "du -sk /var/lib/lab/hako | cut -f1")) < 2048


def test_the_machines_sockets_are_not_in_the_lab(engine: Engine, lab: Lab) -> None:
    """The only socket of an engine is the lab's own, for the lab's root only; the inner engine is no root outside."""
    assert hako(engine, lab, "find / -xdev -name '*.sock' -type s 2>/dev/null; ls /run/hako/*.sock").split()[0] == (
        "/run/hako/engine.sock"
    )
    learner = sh(engine, lab, "setpriv --reuid 1000 --regid 1000 --clear-groups hako ps")
    assert learner.status == 1
    hako(engine, lab, "hako ps")
    pids = lab.group(engine.machine, "payload").pids()
    daemons = [pid for pid in pids if b"daemon_inner" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(daemons) == 1
    assert Path(f"/proc/{daemons[0]}").stat().st_uid == lab.first_id
