"""Predicates about how union file systems are made, on made-up observations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.observe.layers import Layer, Layers, Union
from engine.observe.model import Observation
from tests.unit.made_up_lab import check, lab, said

RAM, CDROM = Layer("/ram/up", "rw", "1:1:w"), Layer("/cdrom", "ro", "2:1:r")
LIVE = Union("overlay", "0:70", "/live", 102, False, False, (RAM, CDROM))
LAB_ROOT = replace(LIVE, target="/", of_lab=True)


def _seen(*unions: Union) -> Observation:
    return replace(lab(), layers=Layers((LAB_ROOT, *unions)))


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (["/ram/up", "/cdrom"], "ok"),
        (["/ram/*", "/cdrom"], "ok"),
        (["/cdrom", "/ram/up"], "layers_other"),
        (["/cdrom"], "layers_other"),
        (["/var/*", "/cdrom"], "layers_other"),
    ],
)
def test_layers_are_named_from_the_top(wanted: list[str], code: str) -> None:
    """All of them, the one that is written to first."""
    assert said(_seen(LIVE), overlay_layers={"target": "/live", "layers": wanted}) == code


def test_other_layers_are_told() -> None:
    """A learner sees what was mounted instead; a union of another kind, and none, are said to be that."""
    asked = {"target": "/live", "layers": ["/a", "/b"]}
    assert check(_seen(LIVE), overlay_layers=asked).params["layers"] == ["/ram/up", "/cdrom"]
    assert said(_seen(replace(LIVE, driver="aufs_fuse")), overlay_layers=asked) == "union_other"
    assert said(_seen(), overlay_layers=asked) == "union_absent"


def test_containers_of_one_image_share_a_layer() -> None:
    """Counted are mounts of one directory as a lower layer; not the lab's own, and not what is written to."""
    others = [replace(LIVE, device=f"0:{number}", target="/") for number in (71, 72)]
    assert check(_seen(LIVE, *others), layer_shared={"min": 3}).ok
    few = check(_seen(LIVE, *others), layer_shared={"min": 4})
    assert (few.code, few.params) == ("shared_few", {"seen": 3, "wanted": 4})
    unread = replace(LIVE, layers=(RAM, replace(CDROM, tree=None)))
    assert said(_seen(unread, unread), layer_shared={"min": 1}) == "shared_few"


def test_a_directory_named_twice_counts_once() -> None:
    """One union of the same directory twice is one union."""
    twice = replace(LIVE, layers=(RAM, CDROM, replace(CDROM, path="/cdrom/.")))
    assert said(_seen(twice), layer_shared={"min": 2}) == "shared_few"
