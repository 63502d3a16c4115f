"""Predicates about what namespaces hold: mounts, System V objects, network links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.observe.model import MountEntry
from engine.predicates.codes import Result, fails, holds
from engine.predicates.world import World

Args = Mapping[str, Any]

#: Where a thing is to be: only in a namespace of the learner's, in the lab's, in both, in none.
PLACES = ("own_only", "lab", "both", "none")


def mount(world: World, args: Args) -> Result:
    """A mount with this target (and type) is where it should be, going by the mount tables.

    Arguments: target: a path, `*` and `?` allowed; type: of the file system; where: own_only, lab, both or none. With
    "both" it must be one and the same file system: a mount that spread, not two mounts made by hand.

    Example:
        {mount: {target: /root/t, type: tmpfs, where: own_only}}
    """
    target, type_, where = args["target"], args.get("type"), args["where"]
    on_lab = world.mounts(world.lab.get("mnt", 0), target, type_)
    inside = [entry for mnt in world.own_inodes("mnt") for entry in world.mounts(mnt, target, type_)]
    if where == "none":
        return fails("mount_still_there", target=target) if on_lab or inside else holds()
    if not on_lab and not inside:
        return _nowhere(world, target, type_, where)
    if where == "lab":
        return holds() if on_lab else fails("mount_only_inside", target=target)
    if where == "both" and not world.own_inodes("mnt"):
        return fails("no_own_ns", kind="mnt")
    if where == "own_only":
        if not on_lab:
            return holds()
        return fails("mount_in_both" if inside else "mount_on_lab", target=target)
    return _both(world, target, on_lab, inside)


def _nowhere(world: World, target: str, type_: str | None, where: str) -> Result:
    for mnt in (*world.own_inodes("mnt"), world.lab.get("mnt", 0)):
        for entry in world.mounts(mnt, target):
            return fails("mount_type_other", target=entry.target, type=entry.type, wanted=type_)
    if where in ("own_only", "both") and not world.own_inodes("mnt"):
        return fails("no_own_ns", kind="mnt")
    return fails("mount_nowhere", target=target)


def _both(world: World, target: str, on_lab: list[MountEntry], inside: list[MountEntry]) -> Result:
    shared_devices = {entry.device for entry in on_lab} & {entry.device for entry in inside}
    if shared_devices:
        return holds()
    # Say which side lacks it; and if the mount it lies on is private, that this is why it did not spread.
    side = world.lab.get("mnt", 0) if on_lab else next(iter(world.own_inodes("mnt")))
    entry = (on_lab or inside)[-1]
    parent = world.below(side, entry)
    if parent is not None and parent.shared is None:
        return fails("parent_private", target=target, parent=parent.target)
    return fails("mount_on_lab" if on_lab else "mount_only_inside", target=target)


def mount_shared(world: World, args: Args) -> Result:
    """The lab host's mount at this target is shared: what is mounted below it spreads to its copies.

    Example:
        {mount_shared: {target: /root/S}}
    """
    entry = world.uppermost(world.lab.get("mnt", 0), args["target"])
    if entry is None:
        return fails("mount_nowhere", target=args["target"])
    return holds() if entry.shared is not None else fails("mount_private", target=args["target"])


def ipc_object(world: World, args: Args) -> Result:
    """A System V message queue, segment or semaphore set is where it should be.

    Arguments: object: msg, shm or sem; where: own_only, lab, both or none.

    Example:
        {ipc_object: {object: msg, where: own_only}}
    """
    kind, where = args["object"], args["where"]

    def held(inode: int) -> bool:
        namespace = world.observation.namespace("ipc", inode)
        return bool(namespace and dict(namespace.ipc or {}).get(kind))

    on_lab = held(world.lab.get("ipc", 0))
    own = world.own_inodes("ipc")
    inside = any(held(inode) for inode in own)
    if where == "none":
        return fails("ipc_still_there", object=kind) if on_lab or inside else holds()
    seen = {(True, True): "both", (True, False): "lab", (False, True): "own_only", (False, False): "none"}[
        on_lab, inside
    ]
    if seen == where or (where == "lab" and on_lab):
        return holds()
    if where in ("own_only", "both") and not own:
        return fails("ipc_on_lab", object=kind) if on_lab else fails("no_own_ns", kind="ipc")
    code = {"both": "ipc_in_both", "lab": "ipc_on_lab", "own_only": "ipc_only_inside", "none": "ipc_nowhere"}[seen]
    return fails(code, object=kind)


def link(world: World, args: Args) -> Result:
    """A network link is there, up or down.

    Arguments: name; up: true or false, left out if it does not matter; where: own (usual) or lab; only: true if no
    other link may be there.

    Example:
        {link: {name: lo, up: true}}
    """
    name, up = args["name"], args.get("up")
    nets = [world.lab.get("net", 0)] if args.get("where") == "lab" else world.own_inodes("net")
    if not nets:
        return fails("no_own_ns", kind="net")
    failure: Result | None = None
    for inode in nets:
        links = world.links(inode)
        found = next((one for one in links if one.name == name), None)
        others = [one.name for one in links if one.name != name]
        if found is None:
            result = fails("link_absent", name=name)
        elif up is not None and found.up != up:
            result = fails("link_up" if found.up else "link_down", name=name)
        elif args.get("only") and others:
            result = fails("link_extra", names=others)
        else:
            return holds(inode=inode)
        failure = failure or result
    return failure or fails("link_absent", name=name)
