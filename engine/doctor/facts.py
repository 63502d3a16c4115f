"""What is found on this machine: read, asked and tried, with no opinion about it.

Reading needs no privilege. What is tried (a link, rules, an overlay) needs root, is done in a network namespace
or a context that is thrown away, and leaves nothing; without root those facts are None, "not looked at". Every function
here answers for a machine that lacks everything: what cannot be read is absent. See verdicts.py for what it means.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from engine.errors import EngineError
from engine.images import programs
from engine.linux import capabilities, namespaces, netns, procfs, rtnetlink, seccomp, syscalls
from engine.linux.cgroups import Cgroups
from engine.linux.rtnetlink import Route
from engine.network import firewall
from engine.network.addresses import segments
from engine.settings import Settings
from engine.storage import backing, disc, overlay_mount, union

# A rule set of a large Kubernetes node lists some megabytes of chains; what is beyond is not looked at.
CHAINS_BYTES = 8 * 1024 * 1024
DEADLINE_S = 10.0


@dataclass(frozen=True)
class Facts:
    """One machine. Sizes are bytes. A str that tells of a trial is "" when it worked, else what was said.

    Attributes:
        admin: whether CAP_SYS_ADMIN is effective here.
        userns_limit: of user namespaces (user.max_user_namespaces).
        userns_clone: Debian's kernel.unprivileged_userns_clone; None where there is no such file.
        apparmor_userns: Ubuntu's kernel.apparmor_restrict_unprivileged_userns.
        selinux: `enforcing`, `permissive` or "".
        overlay: how layers are named to it: `fd`, `string`, `page`; "" without overlay.
        union: why no overlay can be made for the data directory; "" where one can.
        drivers: what was found about each driver of storage/union.py, the preferred one first: name, ok, reason.
        bridge: name of the bridge of our containers.
        forwarding: whether the host routes for everybody already (net.ipv4.ip_forward).
        forward_drops: chains of others on the forward hook whose policy is drop, as `family table chain`.
        disc: whether a live CD's disc can be made and mounted.
        packages: names of system packages that are missing.
    """

    root: bool = False
    admin: bool = False
    kernel: str = ""
    machine: str = ""
    python: str = ""
    namespaces: tuple[str, ...] = ()
    userns_limit: int = 0
    userns_clone: bool | None = None
    apparmor_userns: bool = False
    selinux: str = ""
    overlay: str = ""
    overlay_userxattr: bool = False
    mount_api: bool = False
    mount_setattr: bool = False
    data: str = ""
    union: str | None = None
    drivers: tuple[tuple[str, bool, str], ...] = ()
    free_bytes: int = 0
    cgroup: str = ""
    controllers: tuple[str, ...] = ()
    loop: bool = False
    disc: str | None = None
    packages: tuple[str, ...] = ()
    package_tool: str = ""
    seccomp: str = ""
    rules: str | None = None
    wires: str | None = None
    bridge: str = "hakoc0"
    forwarding: bool = False
    forward_drops: tuple[str, ...] | None = None
    firewalld: bool = False
    ufw: bool = False
    uplinks: tuple[str, ...] = ()
    memory_bytes: int = 0
    available_bytes: int = 0
    ptys: int = 0
    processors: int = 0


def gather(settings: Settings) -> Facts:
    """Look at this machine. Takes about 0.1 s and changes nothing."""
    root = os.geteuid() == 0
    admin = _has_admin()
    tables, drops = _foreign_rules(settings.instance) if admin else ((), None)
    free, memory, available = _room(settings.data)
    kind, controllers = _cgroups()
    drivers = _drivers(settings.data) if admin else ()
    tool = "apt" if shutil.which("apt-get") else "dnf" if shutil.which("dnf") else ""
    return Facts(
        root=root,
        admin=admin,
        kernel=os.uname().release,
        machine=os.uname().machine,
        python=".".join(map(str, sys.version_info[:3])),
        namespaces=tuple(namespaces.available()),
        userns_limit=_number("/proc/sys/user/max_user_namespaces"),
        userns_clone=_switch("/proc/sys/kernel/unprivileged_userns_clone"),
        apparmor_userns=bool(_switch("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")),
        selinux={True: "enforcing", False: "permissive", None: ""}[_switch("/sys/fs/selinux/enforce")],
        overlay=_overlay(),
        overlay_userxattr=_overlay_takes("userxattr"),
        mount_api=_knows(lambda: syscalls.open_tree(-1, "", 0)),
        mount_setattr=_knows(lambda: syscalls.mount_setattr(-1, "", 0, attr_set=syscalls.MOUNT_ATTR_RDONLY)),
        data=str(settings.data),
        union=next((reason for name, ok, reason in drivers if name == "overlay" and not ok), "") if admin else None,
        drivers=drivers,
        free_bytes=free,
        cgroup=kind,
        controllers=controllers,
        loop=os.path.exists("/dev/loop-control"),
        disc=_attempt(_disc) if admin else None,
        packages=tuple(programs.packages("fedora" if tool == "dnf" else "debian", missing=True)),
        package_tool=tool,
        seccomp=_attempt(lambda: seccomp.compile_profile("lab", 0)),
        rules=_rules() if admin else None,
        wires=_wires() if admin else None,
        bridge=f"{settings.instance}c0",
        forwarding=bool(_switch("/proc/sys/net/ipv4/ip_forward")),
        forward_drops=drops,
        firewalld="firewalld" in tables or os.path.exists("/run/firewalld.pid"),
        ufw=_read("/etc/ufw/ufw.conf").find("ENABLED=yes") >= 0,
        uplinks=_uplinks(),
        memory_bytes=memory,
        available_bytes=available,
        ptys=_number("/proc/sys/kernel/pty/max"),
        processors=len(os.sched_getaffinity(0)),
    )


def _read(path: str) -> str:
    try:
        return procfs.read(path).decode(errors="replace")
    except OSError:
        return ""


def _number(path: str) -> int:
    text = _read(path).strip()
    return int(text) if text.isdigit() else 0


def _switch(path: str) -> bool | None:
    text = _read(path).strip()
    return None if not text else text != "0"


def _attempt(trial: Callable[[], object]) -> str:
    """ "" when it works, else what is said instead."""
    try:
        trial()
    except EngineError as error:
        return error.message
    except OSError as error:
        return str(error)
    return ""


def _knows(call: Callable[[], object]) -> bool:
    """Whether the kernel has a system call, from how it refuses arguments that make no sense."""
    try:
        call()
    except OSError as error:
        return error.errno != errno.ENOSYS
    return True


def _has_admin() -> bool:
    return bool(procfs.status(os.getpid()).cap_effective & capabilities.mask(["CAP_SYS_ADMIN"]))


def _overlay() -> str:
    try:
        return overlay_mount.form()
    except OSError:
        return "page" if "\toverlay\n" in _read("/proc/filesystems") else ""


def _overlay_takes(option: str) -> bool:
    try:
        context = syscalls.fsopen("overlay")
    except OSError:
        return False
    try:
        syscalls.fsconfig(context, syscalls.FSCONFIG_SET_FLAG, option)
    except OSError:
        return False
    finally:
        os.close(context)
    return True


def _drivers(data: Path) -> tuple[tuple[str, bool, str], ...]:
    place = _existing(data)
    lies = backing.verdict(place)
    if not lies.ok:
        # Layers and upper directories will lie on an ext4 image of our own (storage/backing.py), where overlay works.
        return (("overlay", True, lies.reason),)
    return tuple((driver.name, *driver.supported(place)) for driver in union.drivers())


def _existing(path: Path) -> Path:
    """The path, or the nearest directory above it that is there."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.is_dir())


def _disc() -> None:
    disc.press()
    os.close(syscalls.fsopen("squashfs"))


def _room(data: Path) -> tuple[int, int, int]:
    found = os.statvfs(_existing(data))
    lines = dict(line.split(":", 1) for line in _read("/proc/meminfo").splitlines() if ":" in line)
    total, available = (int(lines.get(key, "0 kB").split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
    return found.f_bavail * found.f_frsize, total, available


def _cgroups() -> tuple[str, tuple[str, ...]]:
    try:
        hierarchy = Cgroups.detect().hierarchy
    except (EngineError, OSError):
        return "", ()
    return hierarchy.kind, tuple(sorted({*hierarchy.v1, *hierarchy.v2_controllers}))


def _rules() -> str:
    """Have the kernel judge our rules without taking them: `nft --check`, in a network namespace of its own."""
    containers, labs = segments("hako", IPv4Network("10.209.0.0/16"), 1)
    text = firewall.ruleset("hako", containers, labs)
    return _attempt(lambda: netns.run_inside(None, lambda: firewall.apply(text)))


def _wires() -> str:
    """Make a bridge and a veth pair on it, in network namespaces that are gone a moment later."""

    def trial() -> None:
        far = netns.run_inside(None, netns.open_here)
        try:
            with Route() as route:
                route.request(rtnetlink.add_bridge("trial0", "02:48:00:00:00:01", mtu=1500))
                master = next(link.index for link in route.links() if link.name == "trial0")
                veth = rtnetlink.add_veth(
                    "trial1",
                    master=master,
                    group=1,
                    mtu=1500,
                    peer="eth0",
                    peer_mac="02:48:00:00:00:02",
                    peer_netns=far,
                )
                route.request(veth, rtnetlink.set_port_up("trial1", isolated=True, alias="trial"))
        finally:
            os.close(far)

    return _attempt(lambda: netns.run_inside(None, trial))


def _uplinks() -> tuple[str, ...]:
    try:
        with Route() as route:
            names = {link.index: link.name for link in route.links()}
            return tuple(
                sorted({names.get(entry.index, "?") for entry in route.routes() if not entry.destination.prefixlen})
            )
    except OSError:
        return ()


def _foreign_rules(instance: str) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """Names of nftables tables, and the chains that forbid forwarding by default; None when nft could not be asked."""
    program = shutil.which("nft", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if program is None:
        return (), None
    try:
        done = subprocess.run(
            [program, "--json", "list", "chains"], capture_output=True, timeout=DEADLINE_S, check=True
        )
        return parse_chains(done.stdout[:CHAINS_BYTES], instance)
    except (subprocess.SubprocessError, OSError, ValueError):
        return (), None


def parse_chains(text: bytes, instance: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What `nft --json list chains` says: (names of tables, forward chains with policy drop), ours left out."""
    chains = [entry["chain"] for entry in json.loads(text).get("nftables", []) if "chain" in entry]
    foreign = [chain for chain in chains if chain.get("table") != instance]
    drops = [
        f"{chain['family']} {chain['table']} {chain['name']}"
        for chain in foreign
        if chain.get("hook") == "forward" and chain.get("policy") == "drop" and chain.get("family") != "ip6"
    ]
    return tuple(sorted({chain["table"] for chain in foreign})), tuple(drops)
