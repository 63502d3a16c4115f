"""Lab hosts on the real kernel: a root that can do what the lessons ask, and nothing to anybody outside."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from engine.lab import Lab
from tests.engine.engines import Engine, wait_for
from tests.engine.labs import sh, text, typed

pytestmark = pytest.mark.root


# What a lab's root can do

ABILITIES = {
    "uts": "unshare --uts sh -c 'hostname box; hostname' | grep -x box && hostname | grep -x lab",
    "pid": "unshare --pid --fork --mount-proc sh -c 'echo $$; ps -e | wc -l' | tr '\\n' ' ' | grep -E '^1 [1-4] '",
    "mount": "unshare --mount sh -c 'mount -t tmpfs x /mnt && findmnt /mnt' && ! findmnt /mnt",
    "propagation": "d=$(mktemp -d); mount -t tmpfs s $d; mount --make-shared $d; mkdir $d/a; unshare -m --propagation"
    " unchanged mount -t tmpfs leak $d/a; findmnt -n $d/a | grep leak; umount -R $d",
    "ipc": "ipcmk -Q >/dev/null; unshare --ipc ipcs -q | grep -c 0x | grep -x 0; ipcs -q | grep 0x",
    "net": "unshare --net ip -br link | grep -E '^lo +DOWN'",
    "user": "unshare --user --map-root-user sh -c 'id -u; cat /proc/self/uid_map' | tr -s ' \\n' ' ' | grep '^0 0 0 1'",
    "cgroup": "unshare --cgroup cat /proc/self/cgroup | grep -c ':/$'",
    # --fork: before Linux 6.3 only a child enters the new time namespace, not the program that unshare becomes.
    "time": "unshare --time --fork --boottime 86400 cut -d. -f1 /proc/uptime | awk '{exit !($1 > 86400)}'",
    "nested-proc": "unshare --user --map-root-user --pid --fork --mount --mount-proc ps -e | wc -l | grep -E '^[2-4]$'",
    "everything": "unshare --user --map-root-user --mount --pid --fork --uts --ipc --net --cgroup --mount-proc id -u",
    "overlay": "cd $(mktemp -d -p /var/lib/lab); mkdir l u w m; echo low > l/f; mount -t overlay o -o"
    " lowerdir=l,upperdir=u,workdir=w,userxattr m"
    " && echo up > m/f && rm m/f && stat -c %t:%T u/f | grep -x 0:0 && umount m",
    "aufs": "cd $(mktemp -d -p /var/lib/lab); mkdir rw ro cd m; echo low > ro/f; echo disc > cd/g; mount -t aufs -o"
    " br=$PWD/rw=rw:$PWD/ro=ro none m && rm m/f && ls -a rw | grep -x .wh.f && mount -t aufs -o"
    " remount,append=$PWD/cd=ro none m && mount -o remount,mod=$PWD/cd=rr m && grep disc m/g && umount m",
    "veth-bridge": "ip link add v0 type veth peer name v1 && ip link add b0 type bridge && ip link set v0 master b0 &&"
    " ip link del v0 && ip link del b0",
    "netns": "ip netns add n1 && ip netns exec n1 ip -br link | grep -E '^lo' && ip netns del n1",
    "nft": "nft add table ip t && nft 'add chain ip t c { type nat hook postrouting priority 100; }' &&"
    " nft add rule ip t c masquerade && nft delete table ip t",
    "tc": "tc qdisc add dev lo root tbf rate 1mbit burst 32k latency 400ms && tc qdisc del dev lo root",
    "chroot": "mkdir -p /tmp/c && cp -a /bin/busybox /tmp/c/ 2>/dev/null || cp /usr/bin/busybox /tmp/c/; chroot /tmp/c"
    " /busybox echo in",
    "pivot_root": "unshare --mount sh -c 'd=$(mktemp -d); mount -t tmpfs r $d; mkdir $d/old $d/bin; cp /usr/bin/busybox"
    " $d/bin/; cd $d; pivot_root . old && /bin/busybox ls /old/etc/hostname'",
    "nsenter": "sleep 60 & unshare --uts sleep 60 & p=$!; sleep 0.2; nsenter --uts -t $p hostname; kill %1 %2",
    "lsns": "lsns -t pid | grep init",
    "strace": "strace -f -e trace=execve true 2>&1 | grep execve",
    "kept-namespace": "touch /tmp/u && unshare --mount --propagation private sh -c 'mount --bind /tmp /tmp; mount"
    " --make-private /tmp; touch /tmp/ns; unshare --uts=/tmp/ns hostname kept; nsenter --uts=/tmp/ns hostname' |"
    " grep -x kept",
    "ping-self": "ping -c 1 -W 1 127.0.0.1",
    "japanese": "mkdir -p /tmp/箱 && ls /tmp | grep 箱",
    "engine-source": "python3 -c 'import engine.linux.namespaces as n; print(n.KINDS[\"uts\"])'",
}


@pytest.mark.parametrize("script", ABILITIES.values(), ids=ABILITIES)
def test_root_of_a_lab_can(engine: Engine, lab: Lab, script: str) -> None:
    """Each thing that lessons and their solutions do works for real."""
    done = sh(engine, lab, script)
    assert done.status == 0, text(done)


def test_cgroup_files_work(engine: Engine, lab: Lab) -> None:
    """In the delegated subtree groups can be made, entered and limited, with this machine's version of the files."""
    if engine.groups.hierarchy.v1:
        script = (
            "cd /sys/fs/cgroup/pids && mkdir box && echo 3 > box/pids.max && (echo 0 > box/tasks; for i in 1 2 3 4 5;"
            " do sleep 1 & done; wait) 2>&1 | grep -c fork; grep -E 'max [1-9]' box/pids.events; sleep 0.1; rmdir box"
        )
    else:
        script = (
            "cd /sys/fs/cgroup && mkdir box && mkdir rest && for p in $(cat cgroup.procs); do echo $p >"
            " rest/cgroup.procs; done; echo +pids > cgroup.subtree_control && echo 3 > box/pids.max && cat box/pids.max"
        )
    done = sh(engine, lab, script)
    assert done.status == 0, text(done)


# What it cannot do

REFUSALS = {
    "core-pattern": "echo '|/bin/sh' > /proc/sys/kernel/core_pattern",
    "sysrq": "echo h > /proc/sysrq-trigger",
    "device-node": "mknod /tmp/mem c 1 1",
    "clock": "date -s 2001-01-01",
    "module": "python3 -c \"import ctypes,os; l=ctypes.CDLL(None,use_errno=True); exit(l.syscall(313,0,b'',0)==0)\""
    " && false",
    "kernel-log": "dmesg",
    "kcore": "head -c 1 /proc/kcore",
    "af-alg": "python3 -c 'import socket; socket.socket(38, socket.SOCK_SEQPACKET)'",
    "af-vsock": "python3 -c 'import socket; socket.socket(40, socket.SOCK_STREAM)'",
    "open-by-handle": "python3 -c \"import ctypes; exit(0 if ctypes.CDLL(None).syscall(304,0,0,0)==0 else 1)\"",
    "bpf": "python3 -c \"import ctypes; exit(0 if ctypes.CDLL(None).syscall(321,0,0,0)>=0 else 1)\"",
    "raw-disk": "dd if=/dev/loop0 of=/dev/null count=1",
    "mount-disk": "mount -t ext4 /dev/loop0 /mnt",
    "limit-level": "f=/sys/fs/cgroup/pids/pids.max; [ -e $f ] || f=/sys/fs/cgroup/pids.max; echo 9999 > $f",
    "release-agent": "cd /sys/fs/cgroup; echo /tmp/x > memory/release_agent || echo /tmp/x > pids/release_agent",
    "sys-writable": "mount -o remount,rw /sys && echo 0 > /sys/kernel/mm/ksm/run",
    "other-processes": "ls -d /proc/[0-9]* | wc -l | awk '{exit !($1 > 40)}'",
}  # fmt: skip


@pytest.mark.parametrize("script", REFUSALS.values(), ids=REFUSALS)
def test_root_of_a_lab_cannot(engine: Engine, lab: Lab, script: str) -> None:
    """Each of these is refused by the kernel, however much root the learner is."""
    done = sh(engine, lab, script)
    assert done.status != 0, text(done)


def test_ids_are_a_block_of_its_own(engine: Engine, lab: Lab) -> None:
    """Its root is another id on the machine, another one than that of any other lab."""
    other = engine.run(engine.labs.create("tests"))
    try:
        assert lab.process is not None
        assert other.process is not None
        firsts = [Path(f"/proc/{each.process.pid}").stat().st_uid for each in (lab, other) if each.process]
        assert firsts == [lab.first_id, other.first_id]
        assert abs(firsts[0] - firsts[1]) >= 65536
        assert min(firsts) >= 1_000_000_000
    finally:
        engine.run(engine.labs.remove(other))


def test_files_belong_to_the_block(engine: Engine, lab: Lab) -> None:
    """What the lab's root writes lies on its own disk with its own ids, never as the machine's root."""
    sh(engine, lab, "echo x > /root/mine; chown 1000 /root/mine; chmod 4755 /root/mine")
    assert lab.process is not None
    seen = os.stat(f"/proc/{lab.process.pid}/root/root/mine")
    assert seen.st_uid == lab.first_id + 1000


def test_layers_are_not_changed(engine: Engine, lab: Lab) -> None:
    """A lab that deletes a program deletes it for itself alone."""
    other = engine.run(engine.labs.create("tests"))
    sh(engine, other, "rm /usr/bin/cmp /etc/hosts; echo > /usr/bin/diff")
    assert text(sh(engine, lab, "ls /etc/hosts")) == "/etc/hosts\n"
    engine.run(engine.labs.remove(other))


def test_disk_is_bounded(engine: Engine) -> None:
    """A lab that fills its disk is stopped by its own file system."""
    lab = engine.run(engine.labs.create("tests"))
    done = sh(engine, lab, "fallocate -l 3G /root/big; df --output=size -B1 / | tail -1")
    assert int(done.stdout) <= engine.settings.lab_disk_bytes
    assert b"No space left" in done.stderr
    engine.run(engine.labs.remove(lab))


def test_memory_is_bounded(engine: Engine, lab: Lab) -> None:
    """A program that wants more memory than the lab has is killed; the lab goes on."""
    done = sh(engine, lab, "python3 -c 'x = bytearray(900 << 20)'")
    assert done.status == 137
    assert sh(engine, lab, "echo alive").stdout == b"alive\n"


def test_namespaces_are_bounded(engine: Engine) -> None:
    """More user namespaces than the outer one allows are refused, though the learner raises the limit it sees."""
    lab = engine.run(engine.labs.create("tests"))  # of its own: the kernel gives the places back a moment later
    script = (
        "echo 100000 > /proc/sys/user/max_user_namespaces;"
        " for i in $(seq 40); do unshare -U sh -c 'echo in; exec sleep 97' & done 2>&1 | head -n 40; pkill -x sleep"
    )
    done = engine.within(70, engine.labs.run(lab, ["bash", "-c", script], timeout_s=60))  # slow where emulated
    assert "No space left on device" in text(done)
    engine.run(engine.labs.remove(lab))


def test_terminals_are_bounded(engine: Engine, lab: Lab) -> None:
    """Its devpts gives 64 terminals, not all of the machine's."""
    script = (
        "import os\nfds=[]\ntry:\n while len(fds)<400: fds += os.openpty()\nexcept OSError: pass\nprint(len(fds)//2)"
    )
    done = engine.run(engine.labs.run(lab, ["python3", "-c", script]))
    assert 30 <= int(done.stdout) <= 64


def test_fork_bomb_leaves_a_way_in(engine: Engine) -> None:
    """When the learner's group is full of processes, a new terminal still opens, and can end them."""
    lab = engine.run(engine.labs.create("tests"))
    terminal = engine.run(engine.labs.terminal(lab, "lab", 24, 80))
    terminal.write(b"bomb() { bomb | bomb & }; bomb 2>/dev/null\n")
    payload = lab.group(engine.machine, "payload")
    wait_for(lambda: (payload.usage().pids or 0) >= engine.settings.lab_pids)
    second = engine.run(engine.labs.terminal(lab, "second", 24, 80))
    assert "ALIVE" in engine.run(typed(second, b"echo AL''IVE\n", "ALIVE"))
    assert (lab.group(engine.machine).usage().pids or 0) <= engine.settings.lab_pids + 64
    engine.run(engine.labs.remove(lab))


# Its network


@pytest.mark.slow
def test_labs_are_cut_off(engine: Engine, lab: Lab) -> None:
    """A lab reaches neither another lab nor a service of the machine nor the world."""
    other = engine.run(engine.labs.create("tests"))
    address = text(sh(engine, other, "ip -4 -br addr show eth0")).split()[2].split("/")[0]
    gateway = engine.network.adopt_lab  # the address of the bridge is the labs' first
    assert gateway is not None
    first = re.sub(r"\d+$", "1", address)
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        script = "timeout 1 bash -c 'echo > /dev/tcp/{}/{}' 2>/dev/null && echo REACHED; true"
        engine.run(engine.labs.run(other, ["bash", "-c", "nc -l -p 7000 </dev/null >/dev/null 2>&1 &"]))
        seen = [text(sh(engine, lab, script.format(host, number))) for host, number in
                ((address, 7000), (first, port), (first, 22), ("192.0.2.1", 80))]  # fmt: skip
    assert seen == [""] * 4
    engine.run(engine.labs.remove(other))
