"""Predicates about union file systems: of how many layers one is made, and what was written to its upper directory.

A union is named by its target; without one, any that a learner made will do. What a layer holds is read in the layer
itself, not through the union. See overlayfs.rst and aufs(5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from engine.observe.layers import Change, Union
from engine.predicates.codes import Result, fails, holds
from engine.predicates.world import World

Args = Mapping[str, Any]


def _find(world: World, args: Args, *drivers: str) -> list[Union] | Result:
    """The unions at the target, those mounted last first; or why there is none."""
    target = args.get("target", "*")
    found = [one for one in world.observation.layers.unions if not one.of_lab and fnmatchcase(one.target, target)]
    if not found:
        return fails("union_absent", target=target)
    fitting = [one for one in found if not drivers or one.driver in drivers]
    if not fitting:
        return fails("union_other", target=found[-1].target, driver=found[-1].driver, wanted=drivers[0])
    return fitting[::-1]


def overlay_mount(world: World, args: Args) -> Result:
    """An overlay is mounted at this target; with so many lower layers; with an upper directory or without.

    Arguments: target: `*` and `?` allowed; lower: how many; upper: true or false.

    Example:
        {overlay_mount: {target: /root/merged, lower: 2, upper: true}}
    """
    found = _find(world, args, "overlay")
    if isinstance(found, Result):
        return found
    for union in found:
        writable = len(union.lower) != len(union.layers)
        if args.get("lower") in (None, len(union.lower)) and args.get("upper") in (None, writable):
            return holds(target=union.target, lower=len(union.lower))
    union = found[0]
    if args.get("lower") not in (None, len(union.lower)):
        return fails("lower_other", target=union.target, lower=len(union.lower), wanted=args["lower"])
    return fails("upper_missing" if args["upper"] else "upper_there", target=union.target)


def overlay_layers(world: World, args: Args) -> Result:
    """The layers of an overlay are these directories, the topmost first; the one that is written to counts too.

    Arguments: target; layers: paths, `*` and `?` allowed.

    Example:
        {overlay_layers: {target: /live, layers: ["/ram/*", "/cdrom"]}}
    """
    found = _find(world, args, "overlay")
    if isinstance(found, Result):
        return found
    told = [(union.target, [layer.path for layer in union.layers]) for union in found]
    target, layers = told[0]
    same = _made_of(told, args["layers"])
    return same or fails("layers_other", target=target, layers=layers, wanted=list(args["layers"]))


def layer_shared(world: World, args: Args) -> Result:
    """So many unions stand on one and the same directory, as the containers of one image do.

    Arguments: min: how many.

    Example:
        {layer_shared: {min: 10}}
    """
    standing: Counter[str] = Counter()
    for union in world.observation.layers.unions:
        if not union.of_lab:
            standing.update({layer.tree for layer in union.lower if layer.tree is not None})
    most = max(standing.values(), default=0)
    if most >= args["min"]:
        return holds(seen=most)
    return fails("shared_few", seen=most, wanted=args["min"])


def aufs_mount(world: World, args: Args) -> Result:
    """An AUFS is mounted at this target, the kernel's or ours in user space.

    Arguments: target: `*` and `?` allowed; branches: how many; by: kernel or fuse, to insist on one.

    Example:
        {aufs_mount: {target: /root/union, branches: 2}}
    """
    found = _find(world, args, *{"kernel": ("aufs",), "fuse": ("aufs_fuse",)}.get(args.get("by", ""), _AUFS))
    if isinstance(found, Result):
        return found
    for union in found:
        if args.get("branches") in (None, len(union.layers)):
            return holds(target=union.target, branches=len(union.layers), driver=union.driver)
    union = found[0]
    return fails("branches_number", target=union.target, branches=len(union.layers), wanted=args["branches"])


_AUFS = ("aufs", "aufs_fuse")


def aufs_branches(world: World, args: Args) -> Result:
    """The branches of an AUFS are these, in this order, the topmost first.

    Arguments: target; branches: texts such as "/rw=rw", `*` and `?` allowed.

    Example:
        {aufs_branches: {target: /root/union, branches: ["/root/rw=rw", "/root/ro=ro*"]}}
    """
    found = _find(world, args, *_AUFS)
    if isinstance(found, Result):
        return found
    told = [(union.target, [f"{layer.path}={layer.mode}" for layer in union.layers]) for union in found]
    target, branches = told[0]
    same = _made_of(told, args["branches"])
    return same or fails("branches_other", target=target, branches=branches, wanted=list(args["branches"]))


def _made_of(told: Sequence[tuple[str, Sequence[str]]], wanted: Sequence[str]) -> Result | None:
    """The first of these unions (target, directories) that is made of what is wanted, in that order."""
    for target, words in told:
        if len(words) == len(wanted) and all(fnmatchcase(*pair) for pair in zip(words, wanted, strict=True)):
            return holds(target=target)
    return None


def copied_up(world: World, args: Args) -> Result:
    """A file of a lower layer was copied to the upper one, since it was changed.

    Arguments: target; path: in the union, `*` and `?` allowed; layer: the directory it was copied to.

    Example:
        {copied_up: {target: /root/merged, path: /etc/motd}}
    """
    return _changed(world, args, "changed")


def added_file(world: World, args: Args) -> Result:
    """A file lies in an upper layer and no lower one has it.

    Arguments: target; path: in the union, `*` and `?` allowed; layer: the directory it was written to.

    Example:
        {added_file: {target: /root/merged, path: /etc/new}}
    """
    return _changed(world, args, "added")


def whiteout(world: World, args: Args) -> Result:
    """A file is marked as deleted in an upper layer: by a device 0/0, or by `.wh.` and its name.

    Arguments: target; path: in the union, `*` and `?` allowed; layer: the directory the mark lies in.

    Example:
        {whiteout: {target: /root/merged, path: /etc/motd}}
    """
    return _changed(world, args, "whiteout")


def opaque(world: World, args: Args) -> Result:
    """A directory was deleted and made anew: it is opaque, so that nothing of the same directory below shows.

    Arguments: target; path: in the union, `*` and `?` allowed; layer: the directory it lies in.

    Example:
        {opaque: {target: /root/merged, path: /etc}}
    """
    return _changed(world, args, "opaque")


def _changed(world: World, args: Args, kind: str) -> Result:
    found = _find(world, args)
    if isinstance(found, Result):
        return found
    other: tuple[Union, Change] | None = None
    for union in found:
        for change in union.changes:
            if not fnmatchcase(change.path, args["path"]):
                continue
            in_layer = args.get("layer") in (None, union.layers[change.layer].path)
            if change.kind == kind and in_layer:
                return holds(target=union.target, path=change.path, layer=union.layers[change.layer].path)
            other = other or (union, change)
    if other is None:
        return _same(found[0], args["path"])
    union, change = other
    layer = union.layers[change.layer].path
    if change.kind == kind:
        return fails("layer_elsewhere", target=union.target, path=change.path, layer=layer, wanted=args["layer"])
    return fails("layer_other", target=union.target, path=change.path, kind=change.kind, wanted=kind)


def _same(union: Union, path: str) -> Result:
    writable = [layer for layer in union.layers if layer.writable]
    if not writable:
        return fails("upper_missing", target=union.target)
    if all(layer.tree is None for layer in writable):
        return fails("upper_unreadable", target=union.target, layer=writable[0].path)
    return fails("layer_same", target=union.target, path=path)
