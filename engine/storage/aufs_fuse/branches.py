"""Branches: the directories a union is made of, in order, the topmost first; and how a remount changes them.

A branch is `rw` (may be written), `ro` (is not written) or `rr` (cannot be written: a disc); `ro+wh` says that
whiteouts in a read-only branch count, as image layers need. A list of branches never changes in place: each change
makes another list, or is refused as a whole, so that a failed remount leaves what was. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import BadInput, Conflict, Exhausted, NotFound

#: What a kernel's AUFS is usually built with (CONFIG_AUFS_BRANCH_MAX_127).
MOST = 127
PERMISSIONS = ("rw", "ro", "rr")
ATTRIBUTES = ("wh", "nolwh", "moo", "coo_reg", "coo_all", "fhsm", "unpin", "icex")


@dataclass(frozen=True)
class Branch:
    """One directory of the union.

    Attributes:
        path: absolute.
        permission: one of PERMISSIONS.
        attributes: of ATTRIBUTES; `wh` is the one that changes anything here, the others are taken and kept.
    """

    path: str
    permission: str = "ro"
    attributes: tuple[str, ...] = ()

    @property
    def writable(self) -> bool:
        """Whether changes may be written to it."""
        return self.permission == "rw"

    @property
    def marks_count(self) -> bool:
        """Whether whiteouts in it hide what lies below: always in a writable one, else with `wh`."""
        return self.writable or "wh" in self.attributes

    def __str__(self) -> str:
        return f"{self.path}={'+'.join((self.permission, *self.attributes))}"


Branches = tuple[Branch, ...]


def parse(text: str, *, first: bool = False) -> Branch:
    """Read "path[=permission[+attribute…]]"; AUFS makes the first of a list `rw` and the others `ro`.

    Raises:
        BadInput: a relative path, an unknown permission or attribute.
    """
    path, equals, words = text.partition("=")
    if not path.startswith("/") or "\0" in path:
        raise BadInput(f"{path!r} is not a branch.", "A branch is a directory with an absolute path.")
    permission, *attributes = words.split("+") if equals else ["rw" if first else "ro"]
    if permission not in PERMISSIONS:
        raise BadInput(f"{permission!r} is not a permission of a branch.", f"Use {', '.join(PERMISSIONS)}, e.g. ro+wh.")
    for attribute in attributes:
        if attribute not in ATTRIBUTES:
            raise BadInput(f"{attribute!r} is not an attribute of a branch.", f"AUFS knows {', '.join(ATTRIBUTES)}.")
    return Branch(path.rstrip("/") or "/", permission, tuple(attributes))


def parse_list(text: str) -> Branches:
    """Read "/a=rw:/b=ro+wh:/c", the topmost first.

    Raises:
        BadInput: a branch is wrong, or stands there twice. Exhausted: over MOST of them.
    """
    found = tuple(parse(part, first=not number) for number, part in enumerate(text.split(":")) if part)
    if not found:
        raise BadInput("A union needs at least one branch.", "Write e.g. br=/rw=rw:/ro=ro.")
    return _checked(found)


def _checked(branches: Branches) -> Branches:
    if len(branches) > MOST:
        raise Exhausted(f"{len(branches)} branches are too many.", f"AUFS takes {MOST}.")
    paths = [branch.path for branch in branches]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise BadInput(f"The branch {twice} is named twice.", "Each directory can be one branch.")
    return branches


def _position(branches: Branches, path: str) -> int:
    for number, branch in enumerate(branches):
        if branch.path == (path.rstrip("/") or "/"):
            return number
    raise NotFound(f"{path} is not a branch.", "The branches are " + ":".join(each.path for each in branches) + ".")


def insert(branches: Branches, position: int, branch: Branch) -> Branches:
    """With a branch more, at a position from 0, the top, on."""
    if not 0 <= position <= len(branches):
        raise BadInput(f"There is no position {position}.", f"Use 0 (the top) to {len(branches)} (the bottom).")
    return _checked((*branches[:position], branch, *branches[position:]))


def delete(branches: Branches, path: str) -> Branches:
    """Without a branch.

    Raises:
        NotFound: it is none. Conflict: it is the last.
    """
    position = _position(branches, path)
    if len(branches) == 1:
        raise Conflict(f"{path} is the last branch.", "Unmount the union instead.")
    return branches[:position] + branches[position + 1 :]


def modify(branches: Branches, branch: Branch) -> Branches:
    """With another permission for a branch that is there."""
    position = _position(branches, branch.path)
    return (*branches[:position], branch, *branches[position + 1 :])
