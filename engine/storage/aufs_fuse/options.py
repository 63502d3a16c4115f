"""What stands after `-o`: the options of a mount, and the changes a remount asks for.

    br=A=rw:B=ro        or dirs=…: the branches, topmost first
    create=tdp|rr|mfs   which writable branch gets a new file
    add:N:B, append:B, prepend:B, del:B, mod:B=perm     (also with = after the first word), in a remount

Options of a real AUFS that mean nothing without its kernel parts (xino, dio, udba, …) are taken and named, so that the
talk's own commands work. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.errors import BadInput
from engine.storage.aufs_fuse import branches as lists
from engine.storage.aufs_fuse.branches import Branches

POLICIES = ("tdp", "rr", "mfs")
#: Taken, without effect here.
IGNORED = frozenset(
    {
        *("xino", "noxino", "trunc_xino", "trunc_xib", "plink", "noplink", "udba", "dio", "dirwh", "diropq"),
        *("warn_perm", "nowarn_perm", "shwh", "noshwh", "dirperm1", "verbose", "quiet", "sum", "wsum"),
        *("rdcache", "rdblk", "rdhash", "fhsm_sec", "si", "acl", "noacl", "dirren", "cpup"),
        # What mount(8) repeats at a remount: words for every file system, and those of FUSE.
        *("rw", "defaults", "nosuid", "suid", "nodev", "dev", "noexec", "exec", "noatime", "atime", "relatime", "sync"),
        *("async", "user_id", "group_id", "default_permissions", "allow_other", "max_read", "blksize", "rootmode"),
    }
)
_CHANGES = ("add", "ins", "append", "prepend", "del", "mod", "imsk")
_WORD = re.compile(r"(?P<word>[a-z_0-9]+)(?:[=:](?P<rest>.*))?", re.DOTALL)

_ALIASES = {"round-robin": "rr", "top-down-parent": "tdp", "most-free-space": "mfs"}


@dataclass(frozen=True)
class Options:
    """A union as it is mounted."""

    branches: Branches = ()
    create: str = "tdp"
    readonly: bool = False

    def __str__(self) -> str:
        return f"br={':'.join(str(branch) for branch in self.branches)},create={self.create}"


def parse(text: str) -> Options:
    """The options of a first mount.

    Raises:
        BadInput: an option AUFS does not have, one that belongs to a remount, or no branches.
        Exhausted: too many branches.
    """
    options = Options()
    for word, rest in _words(text):
        if word in _CHANGES:
            raise BadInput(f"{word} changes a mounted union.", "Name the branches with br=…, or use -o remount.")
        options = _apply(options, word, rest)
    if not options.branches:
        raise BadInput("No branches are named.", "Write e.g. -o br=/rw=rw:/ro=ro.")
    return options


def remount(options: Options, text: str) -> Options:
    """The options after `-o remount,…`: each change on top of the one before, all or none.

    Raises:
        BadInput, NotFound, Conflict, Exhausted: a change that cannot be; nothing was changed.
    """
    for word, rest in _words(text):
        if word != "remount":
            options = _apply(options, word, rest)
    return options


def _words(text: str) -> list[tuple[str, str]]:
    found = []
    for part in text.split(","):
        match = _WORD.fullmatch(part.strip())
        if part.strip() and match is None:
            raise BadInput(f"{part!r} is not a mount option.")
        if match is not None:
            found.append((match["word"], match["rest"] or ""))
    return found


def _apply(options: Options, word: str, rest: str) -> Options:
    if word in ("br", "dirs"):
        return replace(options, branches=lists.parse_list(rest))
    if word in ("create", "create_policy"):
        policy = _ALIASES.get(rest.split(":")[0], rest.split(":")[0])
        if policy not in POLICIES:
            raise BadInput(f"{rest!r} is not a create policy here.", f"Use {', '.join(POLICIES)}.")
        return replace(options, create=policy)
    if word == "ro":
        return replace(options, readonly=True)
    change = _CHANGE.get(word)
    if change is not None:
        return replace(options, branches=change(options.branches, rest))
    if word not in IGNORED:
        raise BadInput(f"AUFS has no option {word!r}.", "See the lesson, or aufs(5).")
    return options


def _add(branches: Branches, rest: str) -> Branches:
    number, colon, text = rest.partition(":")
    if not colon or not number.isdigit():
        raise BadInput(f"add:{rest} names no position.", "Write add:0:/directory=rw; 0 is the top.")
    return lists.insert(branches, int(number), lists.parse(text))


_CHANGE: dict[str, Callable[[Branches, str], Branches]] = {
    "add": _add,
    "ins": _add,
    "append": lambda branches, rest: lists.insert(branches, len(branches), lists.parse(rest)),
    "prepend": lambda branches, rest: lists.insert(branches, 0, lists.parse(rest, first=True)),
    "del": lists.delete,
    "mod": lambda branches, rest: lists.modify(branches, lists.parse(rest)),
}
