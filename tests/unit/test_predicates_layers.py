"""Predicates about what was written to the layers of a union, and about AUFS's branches, on made-up observations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.errors import BadInput
from engine.observe.layers import Change, Layer, Layers, Union
from engine.observe.model import Observation
from engine.predicates import validate
from tests.unit.made_up_lab import check, lab, said

UP, SECOND, LOW = Layer("/up", "rw", "1:1:w"), Layer("/second", "rw", "1:2:w"), Layer("/low", "ro", "1:3:r")
CHANGES = (
    Change("/dir", "opaque", "directory", 0, 1),
    Change("/dir/new", "added", "file", 0, None),
    Change("/etc/motd", "changed", "file", 0, 1),
    Change("/gone", "whiteout", "other", 0, 1),
)
OVERLAY = Union("overlay", "0:70", "/m", 102, False, False, (UP, LOW), CHANGES)
AUFS = Union("aufs_fuse", "0:71", "/u", 102, False, False, (UP, SECOND, LOW), (Change("/f", "added", "file", 1, None),))


def _seen(*unions: Union) -> Observation:
    return replace(lab(), layers=Layers(unions))


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "ok"),
        ({"target": "/m", "lower": 1, "upper": True}, "ok"),
        ({"target": "/m", "lower": 2}, "lower_other"),
        ({"target": "/m", "upper": False}, "upper_there"),
        ({"target": "/u"}, "union_other"),
        ({"target": "/nowhere"}, "union_absent"),
    ],
)
def test_overlay_mount(asked: dict[str, Any], code: str) -> None:
    """By target, number of layers, and whether one is written to."""
    assert said(_seen(OVERLAY, AUFS), overlay_mount=asked) == code


def test_an_overlay_that_is_only_read() -> None:
    """Without an upper directory nothing can have been changed, and that is said."""
    seen = _seen(replace(OVERLAY, layers=(LOW, LOW), changes=()))
    assert said(seen, overlay_mount={"upper": True}) == "upper_missing"
    assert said(seen, copied_up={"path": "/etc/motd"}) == "upper_missing"
    unread = replace(OVERLAY, layers=(replace(UP, tree=None), LOW), changes=())
    assert check(_seen(unread), whiteout={"path": "/x"}).code == "upper_unreadable"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"target": "/u", "branches": 3, "by": "fuse"}, "ok"),
        ({"by": "kernel"}, "union_other"),
        ({"target": "/u", "branches": 2}, "branches_number"),
        ({"target": "/m"}, "union_other"),
    ],
)
def test_aufs_mount(asked: dict[str, Any], code: str) -> None:
    """Ours or the kernel's, with so many branches."""
    assert said(_seen(OVERLAY, AUFS), aufs_mount=asked) == code


def test_branches_stand_in_their_order() -> None:
    """Each with its mode; a wrong order is told as it is."""
    assert said(_seen(AUFS), aufs_branches={"branches": ["/up=rw", "/sec*=rw", "/low=ro"]}) == "ok"
    wrong = check(_seen(AUFS), aufs_branches={"branches": ["/low=ro", "/up=rw"]})
    assert (wrong.code, wrong.params["branches"]) == ("branches_other", ["/up=rw", "/second=rw", "/low=ro"])


@pytest.mark.parametrize(
    ("name", "path"),
    [("opaque", "/dir"), ("added_file", "/dir/*"), ("copied_up", "/etc/motd"), ("whiteout", "/gone")],
)
def test_what_became_of_a_file(name: str, path: str) -> None:
    """Each kind of change by its own predicate; another kind is named; nothing at all is said to be that."""
    seen = _seen(OVERLAY)
    assert check(seen, **{name: {"target": "/m", "path": path, "layer": "/up"}}).ok
    other = "/gone" if name != "whiteout" else "/dir"
    assert said(seen, **{name: {"target": "/m", "path": other}}) == "layer_other"
    assert said(seen, **{name: {"path": "/untouched"}}) == "layer_same"
    assert said(_seen(), **{name: {"path": path}}) == "union_absent"


def test_the_layer_a_file_was_written_to() -> None:
    """With several writable branches it matters which one the policy chose."""
    assert check(_seen(AUFS), added_file={"path": "/f", "layer": "/second"}).ok
    elsewhere = check(_seen(AUFS), added_file={"path": "/f", "layer": "/up"})
    assert (elsewhere.code, elsewhere.params["layer"]) == ("layer_elsewhere", "/second")


def test_the_youngest_union_is_meant_where_no_target_is_given() -> None:
    """Two unions: what holds on either holds; what is said of a failure is of the one mounted last."""
    bare = replace(OVERLAY, device="0:72", target="/last", changes=())
    assert check(_seen(OVERLAY, bare), whiteout={"path": "/gone"}).params["target"] == "/m"
    assert check(_seen(OVERLAY, bare), whiteout={"path": "/x"}).params["target"] == "/last"


@pytest.mark.parametrize(
    "wrong", [{"whiteout": {}}, {"copied_up": {"path": "relative"}}, {"aufs_mount": {"by": "magic"}}]
)
def test_wrong_arguments_are_refused(wrong: dict[str, Any]) -> None:
    """When the lesson is loaded, not when a learner stands before it."""
    with pytest.raises(BadInput):
        validate([wrong])
