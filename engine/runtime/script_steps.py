"""What each step of a plan is in shell: the lines that script.py puts together.

A step's lines may belong to several of the script's shells; what was made outside adds a line that unmakes it. Pure.
The order in which the lines of one shell stand is the plan's. Man pages: those of the steps, in words.py.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.linux import capabilities
from engine.runtime.plan import Step
from engine.runtime.words import WORDS

Args = Mapping[str, Any]

#: namespace -> unshare(1)'s letter.
LETTERS = {"pid": "p", "mnt": "m", "uts": "u", "ipc": "i", "net": "n", "cgroup": "C", "user": "U", "time": "T"}
#: Where the old root lies between pivot_root and umount: a directory that every image has.
OLD = "tmp"


@dataclass(frozen=True)
class Place:
    """What a script must know of the machine.

    Attributes:
        folder: for the files of this container, on a file system that can hold an overlay's upper directory.
        trees: (mount point of a cgroup tree, path of the group below it), for each tree.
        limits: (file, value, whether the file may be missing) of the group.
        join: the files to which the container's first process writes 0.
        cgroups: arguments of the `cgroups` step, as machine.py finds them.
        files: destination -> text of what the engine writes for a container.
        bridge, address, gateway, mac, mtu: of its network.
        overlay: more options for the overlay mount.
        devices_file: directory of the group in the v1 tree for devices, "" where there is none.
    """

    folder: str
    trees: tuple[tuple[str, str], ...]
    limits: tuple[tuple[str, str, bool], ...]
    join: tuple[str, ...]
    cgroups: Mapping[str, Any]
    files: Mapping[str, str]
    bridge: str = ""
    address: str = ""
    gateway: str = ""
    mac: str = ""
    mtu: int = 1500
    overlay: tuple[str, ...] = ()
    devices_file: str = ""


@dataclass
class Text:
    """The script while it is made: lines of the outer shell, of `first` and `second`, and of the outer one's end."""

    outer: list[str] = field(default_factory=list)
    first: list[str] = field(default_factory=list)
    second: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    undo: list[str] = field(default_factory=list)
    #: What PID 1 executes last, from the outside in: setsid(1), setpriv(1), env(1).
    chain: list[str] = field(default_factory=list)
    letters: str = ""


def _q(text: object) -> str:
    return shlex.quote(str(text))


def _quoted(words: list[str]) -> str:
    return " ".join(_q(word) for word in words)


def _options(words: list[str]) -> str:
    return f"-o {_q(','.join(words))} " if words else ""


# -- the engine's steps ------------------------------------------------------------------------------------------------


def _create_cgroup(text: Text, head: list[str], step: Step, place: Place) -> None:
    text.outer += [
        *head,
        "make_group() {  # below $1, the directories named by the other words; a cpuset begins empty and takes nobody",
        "    at=$1; shift",
        "    for part; do",
        '        [ ! -e "$at/cgroup.subtree_control" ] || for name in cpu memory pids; do',
        '            ! grep -qw "$name" "$at/cgroup.controllers" || echo "+$name" >"$at/cgroup.subtree_control"',
        "        done",
        "        at=$at/$part",
        '        [ -d "$at" ] || mkdir "$at"',
        "        for file in cpuset.cpus cpuset.mems; do",
        '            [ ! -e "$at/tasks" ] || [ ! -e "$at/$file" ] || [ -n "$(cat "$at/$file")" ] ||',
        '                cat "$at/../$file" >"$at/$file"',
        "        done",
        "    done",
        "}",
    ]
    for mount, group in place.trees:
        text.outer.append(f"make_group {_q(mount)} {_quoted(group.split('/'))}")
        text.undo.append(_removed(mount, group))
    for file, value, optional in place.limits:
        line = f"echo {_q(value)} >{_q(file)}"
        text.outer.append(f"[ ! -e {_q(file)} ] || {line}" if optional else line)
    if step.args["devices"] and place.devices_file:
        where = place.devices_file
        text.outer.append(f"echo a >{_q(where + '/devices.deny')}")
        lines = ["c *:* m", "b *:* m"]
        lines += [
            f"{kind} {major}:{'*' if minor is None else minor} rwm" for kind, major, minor in step.args["devices"]
        ]
        text.outer.append(f"for line in {_quoted(lines)}; do")
        text.outer.append(f'    echo "$line" >{_q(where + "/devices.allow")}')
        text.outer.append("done")
    elif step.args["devices"]:
        text.outer.append("# cgroup v2 has no file for the devices: the engine attaches a small program, see bpf(2).")


def _removed(mount: str, group: str) -> str:
    """Its last processes leave it a moment after their end: a few tries, for one group."""
    path, above = _q(f"{mount}/{group}"), _q(f"{mount}/{group.rpartition('/')[0]}")
    again = f"for try in 1 2 3 4 5 6 7 8 9; do rmdir {path} 2>/dev/null && break; sleep 0.1; done"
    return f"{again}; rmdir {above} 2>/dev/null"


def _union_mount(text: Text, head: list[str], step: Step, place: Place) -> None:
    layers = ":".join(_escaped(path) for path in reversed(step.args["lower"]))
    more = "".join(f",{word}" for word in place.overlay)
    text.outer += [
        *head,
        f"LAYERS={_q(layers)}",
        f'mount -t overlay overlay -o "lowerdir=$LAYERS,upperdir=$DIR/upper,workdir=$DIR/work{more}" "$ROOT"',
    ]


def _escaped(path: str) -> str:
    """A layer's path in overlay's list, where `:` and `,` part the words."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _network(text: Text, head: list[str], step: Step, place: Place) -> None:
    text.letters += "n"
    text.outer += [
        *head,
        'VETH="byhand$$"; ADDRESS=' + "${ADDRESS:-" + place.address + "}",
        f'ip link add "$VETH" mtu {place.mtu} type veth peer name "$VETH"p mtu {place.mtu}',
        f'ip link set "$VETH" master {_q(place.bridge)} up',
    ]
    text.after += [
        "",
        f"# The cable's other end, now that there is a network namespace to plug it into ({WORDS['network'].man}).",
        f'ip link set "$VETH"p netns "$PID" name eth0 address {place.mac}',
        'inside() { nsenter -t "$PID" -n "$@"; }',
        "inside sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6' 2>/dev/null || :",
        "inside ip link set lo up; inside ip link set eth0 up",
        'inside ip address add "$ADDRESS" brd + dev eth0',
        f"inside ip route add default via {place.gateway} proto static",
    ]
    text.undo.append('ip link del "$VETH" 2>/dev/null')


# -- the clone, and what its child does --------------------------------------------------------------------------------


def _clone(text: Text, head: list[str], step: Step, place: Place) -> None:
    text.letters += "".join(LETTERS[kind] for kind in step.args["kinds"])
    text.outer += head


def _session(text: Text, head: list[str], step: Step, place: Place) -> None:
    text.first += [*head, "ulimit -S -n 1024"]
    text.chain.append("setsid")


def _join_cgroup(text: Text, head: list[str], step: Step, place: Place) -> None:
    text.first += [*head, *(f"echo 0 >{_q(path)}" for path in place.join)]
    text.first += ["", "# What comes next is in new namespaces once more: see `second`."]


def _by_unshare(text: Text, head: list[str], step: Step, place: Place) -> None:
    text.second += [*head, "# Done already, by the options of unshare."]


def _terminal(text: Text, head: list[str], step: Step, place: Place) -> None:
    text.second += [*head, "# Not here: it uses the terminal you have."]


def _unshare(text: Text, head: list[str], step: Step, place: Place) -> None:
    kinds = step.args["kinds"]
    if "net" in kinds:  # no reason to wait
        text.letters += "n"
    rest = "".join(LETTERS[kind] for kind in kinds if kind != "net")
    text.first += head
    if rest:
        text.first.append(f'exec unshare -{rest} sh "$DIR/second" "$@"')


def _loopback(text: Text, head: list[str], step: Step, place: Place) -> None:
    text.second += [*head, "ip link set lo up"]


def _rootfs(text: Text, head: list[str], step: Step, place: Place) -> None:
    text.second += [*head, f'mkdir -p "$ROOT/{OLD}"  # it is mounted already, at $ROOT']


def _devices(text: Text, head: list[str], step: Step, place: Place) -> None:
    text.second += [*head, 'mount -t tmpfs -o nosuid,mode=755,size=64m tmpfs "$ROOT/dev"']
    for name, major, minor in step.args["nodes"]:
        if step.args.get("bind"):
            text.second.append(f': >"$ROOT/dev/{name}"; mount --bind /dev/{name} "$ROOT/dev/{name}"')
        else:
            text.second.append(f'mknod -m 666 "$ROOT/dev/{name}" c {major} {minor}')
    text.second.append('mkdir "$ROOT/dev/pts" "$ROOT/dev/shm" "$ROOT/dev/mqueue"')
    text.second += [f'ln -s {_q(points_to)} "$ROOT/dev/{name}"' for name, points_to in step.args["links"]]
    text.second.append(f'mount -t devpts {_options(list(step.args["devpts"]))}devpts "$ROOT/dev/pts"')


def _mount(text: Text, head: list[str], step: Step, place: Place) -> None:
    args = step.args
    where = f'"$ROOT"{_q(args["destination"])}'
    if args["destination"] in place.files:
        kept = f'"$DIR"{_q(args["destination"])}'
        text.outer += [f"printf %s {_q(place.files[args['destination']])} >{kept}"]
        text.second += [*head, f"[ -e {where} ] || : >{where}", f"mount --bind {kept} {where}"]
    elif "source" in args:
        source = _q(args["source"])
        text.second += [*head, f"if [ -d {source} ]; then mkdir -p {where}; else : >>{where}; fi"]
        text.second.append(f"mount --rbind {source} {where}")
        if args["options"]:
            text.second.append(f"mount -o {_q(','.join(['remount', 'bind', *args['options']]))} {where}")
    else:
        kind = _q(args["type"])
        text.second += [*head, f"mkdir -p {where}", f"mount -t {kind} {_options(args['options'])}{kind} {where}"]


def _cgroups(text: Text, head: list[str], step: Step, place: Place) -> None:
    base = step.args["destination"]
    text.second += head
    for name, kind, options in place.cgroups["mounts"]:
        where = f'"$ROOT"{_q(base + ("/" + name if name else ""))}'
        text.second.append(f"mkdir -p {where}; mount -t {kind} {_options(options)}{kind} {where}")
    for name, points_to in place.cgroups.get("links", []):
        text.second.append(f'ln -s {_q(points_to)} "$ROOT"{_q(f"{base}/{name}")}')
    if step.args.get("readonly"):
        flags = ",".join(word for word in place.cgroups["mounts"][0][2] if "=" not in word)
        text.second.append(f'mount -o remount,bind,ro,{flags} "$ROOT"{_q(base)}')


def _mask(text: Text, head: list[str], step: Step, place: Place) -> None:
    text.second += [
        *head,
        f"for path in {_quoted(step.args['paths'])}; do",
        '    if [ -d "$ROOT$path" ]; then mount -t tmpfs -o ro,nr_blocks=1,nr_inodes=1 tmpfs "$ROOT$path"',
        '    elif [ -e "$ROOT$path" ]; then mount --bind "$ROOT/dev/null" "$ROOT$path"; fi',
        "done",
    ]


def _readonly(text: Text, head: list[str], step: Step, place: Place) -> None:
    text.second += [
        *head,
        f"for path in {_quoted(step.args['paths'])}; do",
        '    [ -e "$ROOT$path" ] || continue',
        '    mount --rbind "$ROOT$path" "$ROOT$path"',
        '    mount -o remount,bind,ro,nosuid,nodev,noexec "$ROOT$path"',
        "done",
    ]


def _readonly_rootfs(text: Text, head: list[str], step: Step, place: Place) -> None:
    text.second += [*head, 'mount -o remount,bind,ro "$ROOT"']


def _pivot_root(text: Text, head: list[str], step: Step, place: Place) -> None:
    text.after += [
        *head,
        f"""nsenter -t "$PID" -m sh -c 'cd "$1" && exec pivot_root . {OLD}' sh "$ROOT" """.rstrip(),
        "# umount(8) reads /proc/self: it must be in the PID namespace whose /proc is there now.",
        f'nsenter -t "$PID" -p umount -n -i -l -N "$PID" /{OLD}',
    ]


def _hostname(text: Text, head: list[str], step: Step, place: Place) -> None:
    text.second += [*head, f"hostname {_q(step.args['hostname'])}"]


def _become(text: Text, head: list[str], step: Step, place: Place) -> None:
    user, _, group = step.args["user"].partition(":")
    names = [name.removeprefix("CAP_").lower() for name in capabilities.names(step.args["bounding"])]
    bounding = ",".join(["-all", *(f"+{name}" for name in names)])
    text.second += [
        *head,
        "look_up() {  # in the image's file $1 the line whose field 1 or 3 is $2; prints its field $3",
        '    [ -e "$1" ] || return 0',
        """    awk -F: -v key="$2" -v field="$3" '$1 == key || $3 == key { print $field; exit }' "$1" || :""",
        "}",
        f'uid=$(look_up "$ROOT/etc/passwd" {_q(user)} 3); uid=${{uid:-{user if user.isdigit() else ""}}}',
        'home=$(look_up "$ROOT/etc/passwd" "$uid" 6); home=${home:-/}',
    ]
    if group:
        default = group if group.isdigit() else ""
        text.second.append(f'gid=$(look_up "$ROOT/etc/group" {_q(group)} 3); gid=${{gid:-{default}}}')
    else:
        text.second.append('gid=$(look_up "$ROOT/etc/passwd" "$uid" 4); gid=${gid:-0}')
    text.chain.append(
        'setpriv --reuid "${uid:?}" --regid "${gid:?}" --clear-groups '
        f"--bounding-set {bounding} --inh-caps -all --ambient-caps -all"
    )


def _no_new_privs(text: Text, head: list[str], step: Step, place: Place) -> None:
    text.second += head
    text.chain.append("setpriv --no-new-privs")


def _seccomp(text: Text, head: list[str], step: Step, place: Place) -> None:
    text.second += [*head, "# Not here: there is no command that installs such a filter. This container lacks it."]


def _workdir(text: Text, head: list[str], step: Step, place: Place) -> None:
    text.second += [*head, f'mkdir -p "$ROOT"{_q(step.args["cwd"])}; cwd={_q(step.args["cwd"])}']


def _exec(text: Text, head: list[str], step: Step, place: Place) -> None:
    env = _quoted([f"{key}={value}" for key, value in step.args["env"].items()])
    home = "" if "HOME" in step.args["env"] else 'HOME="$home" '
    tell = 'echo "$1" >&9; shift; read -r go <&8; exec <&3 3<&- 8<&- 9>&-'
    wait = f'{tell}; cd "$0"; unset PWD OLDPWD SHLVL; exec "$@"'
    text.second += [
        *head,
        f"[ $# -gt 0 ] || set -- {_quoted(list(step.args['args']))}",
        'exec 8<>"$DIR/go" 9>"$DIR/ready"',
        "read -r pid rest </proc/self/stat  # the old /proc: our number seen from outside",
        "# The last shell, without privilege, says that it is there, and waits until the outer one has swapped its",
        "# root: said any earlier, what still has to be started on the way to it would be looked for in the image.",
        f"exec {' '.join(text.chain)} env -i --default-signal=INT,QUIT {home}{env} \\",
        f'    sh -c {_q(wait)} "$cwd" "$pid" "$@"',
    ]


Shell = Callable[[Text, list[str], Step, Place], None]

#: kind of step -> what writes it. A test holds this against every plan of a container.
SHELL: dict[str, Shell] = {
    "create_cgroup": _create_cgroup,
    "union_mount": _union_mount,
    "network": _network,
    "clone": _clone,
    "session": _session,
    "join_cgroup": _join_cgroup,
    "join_namespaces": _by_unshare,
    "unshare": _unshare,
    "loopback": _loopback,
    "propagation": _by_unshare,
    "rootfs": _rootfs,
    "mount": _mount,
    "cgroups": _cgroups,
    "devices": _devices,
    "keep": _terminal,
    "console": _terminal,
    "controlling_tty": _terminal,
    "bind_console": _terminal,
    "mask": _mask,
    "readonly": _readonly,
    "readonly_rootfs": _readonly_rootfs,
    "pivot_root": _pivot_root,
    "hostname": _hostname,
    "become": _become,
    "no_new_privs": _no_new_privs,
    "seccomp": _seccomp,
    "workdir": _workdir,
    "exec": _exec,
}
