"""What the facts mean for Hako: one small judgement for each, in a table, pure.

A verdict is `ok`, `warn` (works, but less, or not everywhere) or `bad` (labs or containers cannot be made), with what
was seen and what to do. Texts are for the terminal of whoever runs the machine, in English.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from engine import lab_needs
from engine.doctor.facts import Facts

GB, MB = 1_000_000_000, 1_000_000
Level = Literal["ok", "warn", "bad"]

# In the words of cgroups(7). Without the first three there are no limits to keep a lab in.
NEEDED_CONTROLLERS = ("memory", "cpu", "pids")
NEEDED_NAMESPACES = ("mnt", "uts", "ipc", "pid", "net", "user", "cgroup", "time")
# The base images take some 180 MB, a lab writes a little even when idle, and work needs room.
DISK_BAD, DISK_WARN = 512 * MB, 4 * GB
MEMORY_BAD, MEMORY_WARN = 256 * MB, 1 * GB
NO_ROOT = "not looked at: this needs root"
AS_ROOT = "Run `sudo ./hako doctor`."


@dataclass(frozen=True)
class Verdict:
    """One line of the doctor's report.

    Attributes:
        name: what was judged.
        level: ok, warn or bad.
        seen: what was found.
        cure: what to do; empty for ok.
    """

    name: str
    level: Level
    seen: str
    cure: str = ""


def version(release: str) -> tuple[int, int]:
    """(6, 18) of "6.18.44-generic"; (0, 0) of what is no version."""
    match = re.match(r"(\d+)\.(\d+)", release)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _privilege(facts: Facts) -> Verdict:
    if facts.admin:
        return Verdict("privilege", "ok", "root with CAP_SYS_ADMIN")
    if facts.root:
        cure = "In a container, give it privilege: docker run --privileged … (see README.md)."
        return Verdict("privilege", "bad", "root without CAP_SYS_ADMIN", cure)
    return Verdict("privilege", "warn", "not root", "`./hako up` asks for root through sudo; some facts need root.")


def _kernel(facts: Facts) -> Verdict:
    if version(facts.kernel) < (5, 10):
        return Verdict("kernel", "bad", f"Linux {facts.kernel}", "Hako needs Linux 5.10 or newer.")
    if facts.machine not in ("x86_64", "aarch64"):
        return Verdict("kernel", "bad", facts.machine, "Hako knows x86_64 and aarch64.")
    return Verdict("kernel", "ok", f"Linux {facts.kernel}, {facts.machine}")


def _python(facts: Facts) -> Verdict:
    if version(facts.python) < (3, 11):
        return Verdict("python", "bad", facts.python, "Install Python 3.11 or newer.")
    return Verdict("python", "ok", facts.python)


def _namespaces(facts: Facts) -> Verdict:
    missing = [kind for kind in NEEDED_NAMESPACES if kind not in facts.namespaces]
    seen = " ".join(facts.namespaces)
    if missing == ["time"]:
        return Verdict("namespaces", "warn", f"{seen}; no time", "The step about time namespaces is left out.")
    if missing:
        cure = "Use a kernel built with them (CONFIG_NAMESPACES and what is below it)."
        return Verdict("namespaces", "bad", f"missing: {' '.join(missing)}", cure)
    return Verdict("namespaces", "ok", seen)


def _user_namespaces(facts: Facts) -> Verdict:
    name = "user namespaces"
    if facts.userns_limit == 0:
        return Verdict(name, "bad", "user.max_user_namespaces is 0", "sysctl user.max_user_namespaces=65536")
    if facts.userns_clone is False:
        return Verdict(
            name,
            "warn",
            "kernel.unprivileged_userns_clone is 0",
            "Labs work; inside, ordinary users cannot make one. To allow it: sysctl kernel.unprivileged_userns_clone=1",
        )
    if facts.apparmor_userns:
        return Verdict(
            name,
            "warn",
            "AppArmor restricts those made by unprivileged programs",
            "If `unshare -U` fails inside a lab: sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        )
    return Verdict(name, "ok", f"at most {facts.userns_limit}")


def _selinux(facts: Facts) -> Verdict:
    if facts.selinux == "enforcing":
        return Verdict(
            "SELinux",
            "warn",
            "enforcing",
            "If a lab is refused something, `ausearch -m avc -ts recent` names it; to make sure: setenforce 0",
        )
    return Verdict("SELinux", "ok", facts.selinux or "not in use")


def _overlay(facts: Facts) -> Verdict:
    if not facts.overlay:
        return Verdict("overlay", "bad", "this kernel has no overlay file system", "Load the module: modprobe overlay")
    if facts.union:
        cure = "Put the data directory on ext4 or xfs: ./hako up --data DIR"
        return Verdict("overlay", "bad", facts.union, cure)
    if not facts.overlay_userxattr and facts.admin:
        return Verdict(
            "overlay",
            "bad",
            "overlay without userxattr: not usable inside a lab",
            "No lab can be made: the kernel must be newer (5.11 brought it). `hako run` works.",
        )
    how = f"layers named by {facts.overlay}, userxattr" if facts.admin else "there"
    return Verdict("overlay", "ok", how)


def _storage(facts: Facts) -> Verdict:
    """Which driver lays the layers of `hako run`'s containers over one another, and why not another."""
    chosen = next((one for one in facts.drivers if one[1]), None)
    if chosen is None:
        return Verdict("layers", "ok", "not looked at: only root can try")
    name, _, reason = chosen
    others = "; ".join(f"{other}: {why}" for other, _, why in facts.drivers if other != name)
    seen = f"{name}: {reason}" + (f" (not used: {others})" if others else "")
    if name == "vfs":
        cure = "Slow, and each container takes the room of its image: put the data directory on ext4 or xfs."
        return Verdict("layers", "warn", seen, cure)
    return Verdict("layers", "ok", seen)


def _mounts(facts: Facts) -> Verdict:
    if not facts.mount_api:
        return Verdict(
            "mount API", "bad", "no open_tree(2)", "Hako needs Linux 5.10 or newer, or a seccomp filter less."
        )
    if not facts.mount_setattr or version(facts.kernel) < lab_needs.KERNEL:
        lacking = (
            "no overlay of id-mapped layers" if facts.mount_setattr else "no mount_setattr(2), so no id-mapped mounts"
        )
        needed = ".".join(map(str, lab_needs.KERNEL))
        cure = f"No lab can be made: labs need Linux {needed} or newer. `hako run` works."
        return Verdict("mount API", "bad", lacking, cure)
    return Verdict("mount API", "ok", "fsopen, open_tree, mount_setattr, id-mapped mounts")


def _cgroups(facts: Facts) -> Verdict:
    if not facts.cgroup:
        return Verdict("cgroups", "bad", "none mounted", "mount -t cgroup2 none /sys/fs/cgroup")
    missing = [name for name in NEEDED_CONTROLLERS if name not in facts.controllers]
    seen = f"{facts.cgroup}: {' '.join(facts.controllers)}"
    if missing:
        cure = f"Boot with the controllers on (for memory: cgroup_enable=memory). Missing: {' '.join(missing)}"
        return Verdict("cgroups", "bad", seen, cure)
    return Verdict("cgroups", "ok", seen)


def _loop(facts: Facts) -> Verdict:
    if facts.loop:
        return Verdict("loop devices", "ok", "/dev/loop-control")
    return Verdict("loop devices", "bad", "no /dev/loop-control", "Lab disks need it: modprobe loop")


def _disc(facts: Facts) -> Verdict:
    if facts.disc is None:
        return Verdict("live CD", "warn", NO_ROOT, AS_ROOT)
    if facts.disc:
        cure = "Only the lesson with the live CD needs it: install squashfs-tools, and modprobe squashfs."
        return Verdict("live CD", "warn", facts.disc, cure)
    return Verdict("live CD", "ok", "mksquashfs, and a kernel that mounts what it makes")


def _programs(facts: Facts) -> Verdict:
    if not facts.packages:
        return Verdict("system packages", "ok", "all there")
    seen = f"missing: {' '.join(facts.packages)}"
    if facts.package_tool:
        return Verdict("system packages", "warn", seen, "`./hako up` installs them, after naming them.")
    return Verdict("system packages", "warn", seen, "Neither apt nor dnf is here: install what corresponds by hand.")


def _seccomp(facts: Facts) -> Verdict:
    if facts.seccomp:
        return Verdict("seccomp", "bad", facts.seccomp, "Install libseccomp2 (Debian, Ubuntu) or libseccomp (Fedora).")
    return Verdict("seccomp", "ok", "libseccomp")


def _network(facts: Facts) -> Verdict:
    if facts.wires is None or facts.rules is None:
        return Verdict("network", "warn", NO_ROOT, AS_ROOT)
    if facts.wires:
        return Verdict("network", "bad", facts.wires, "Load the modules: modprobe bridge; modprobe veth")
    if facts.rules:
        cure = "Install the package nftables; the kernel needs nf_tables (inet, bridge), nat, limit, connlimit."
        return Verdict("network", "bad", facts.rules, cure)
    return Verdict("network", "ok", "bridge, veth, nftables")


def _way_out(facts: Facts) -> Verdict:
    name = "way out"
    reach = "Labs do not need it; for `hako run` to reach the internet:"
    if not facts.uplinks:
        return Verdict(name, "warn", "no default route", "Containers have no internet; labs do not need it.")
    if facts.firewalld:
        cure = f"{reach} firewall-cmd --zone=trusted --add-interface={facts.bridge}"
        return Verdict(name, "warn", "firewalld", cure)
    if facts.ufw:
        cure = f"{reach} ufw route allow in on {facts.bridge} out on {facts.uplinks[0]}"
        return Verdict(name, "warn", "ufw", cure)
    if facts.forward_drops:
        docker = any(drop.startswith("ip filter ") for drop in facts.forward_drops)
        chain = "DOCKER-USER" if docker else "FORWARD"
        cure = (
            f"{reach} iptables -I {chain} -i {facts.bridge} -j ACCEPT; "
            f"iptables -I {chain} -o {facts.bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
        )
        return Verdict(name, "warn", f"not forwarded by default: {', '.join(facts.forward_drops)}", cure)
    how = "the host routes already" if facts.forwarding else "turned on for our bridge when a container needs it"
    return Verdict(name, "ok", f"by {', '.join(facts.uplinks)}; forwarding: {how}")


def _disk(facts: Facts) -> Verdict:
    seen = f"{facts.free_bytes / GB:.1f} GB free for {facts.data}"
    if facts.free_bytes < DISK_BAD:
        return Verdict("disk", "bad", seen, "Make room, or choose another disk: ./hako up --data DIR")
    if facts.free_bytes < DISK_WARN:
        return Verdict("disk", "warn", seen, "A lab may fill 2 GB: make room, or choose another disk with --data DIR.")
    return Verdict("disk", "ok", seen)


def _memory(facts: Facts) -> Verdict:
    seen = f"{facts.available_bytes / GB:.1f} of {facts.memory_bytes / GB:.1f} GB available"
    if facts.available_bytes < MEMORY_BAD:
        return Verdict("memory", "bad", seen, "Close something: the engine and one lab need some 250 MB.")
    if facts.available_bytes < MEMORY_WARN:
        return Verdict("memory", "warn", seen, "Enough for a few idle labs; each idle learner takes about 25 MB.")
    return Verdict("memory", "ok", f"{seen}, {facts.processors} processors")


def _ptys(facts: Facts) -> Verdict:
    if facts.ptys < 1024:
        return Verdict("terminals", "warn", f"kernel.pty.max is {facts.ptys}", "sysctl kernel.pty.max=65536")
    return Verdict("terminals", "ok", f"at most {facts.ptys}")


# In the order of the report: what everything rests on first.
JUDGES: tuple[Callable[[Facts], Verdict], ...] = (
    _privilege,
    _kernel,
    _python,
    _programs,
    _namespaces,
    _user_namespaces,
    _cgroups,
    _overlay,
    _storage,
    _mounts,
    _loop,
    _disc,
    _seccomp,
    _selinux,
    _network,
    _way_out,
    _disk,
    _memory,
    _ptys,
)


def judge(facts: Facts) -> list[Verdict]:
    """Every verdict, in the order of the report."""
    return [judge(facts) for judge in JUDGES]
