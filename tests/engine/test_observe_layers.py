"""A real lab's unions observed from outside: layers, copy-ups, whiteouts, opaque directories."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from engine.observe.layers import Change, Union
from engine.predicates import evaluate
from tests.engine.engines import ROOT
from tests.engine.minilab import MiniLab, mini_lab

pytestmark = pytest.mark.root

MERGED = {"target": "/mnt/merged"}


@pytest.fixture
def lab(instance: str) -> Iterator[MiniLab]:
    """A lab with three layers, mounted as an overlay at /mnt/merged."""
    with mini_lab(instance) as made:
        said = made.run(
            "set -e; cd /mnt; mkdir -p a/etc a/dir b/etc up work merged; echo one >a/etc/motd; echo x >a/dir/x"
            "; echo two >b/etc/issue; touch a/gone"
            "; mount -t overlay overlay -o lowerdir=/mnt/b:/mnt/a,upperdir=/mnt/up,workdir=/mnt/work,userxattr merged"
        )
        assert said == ""
        made.spawn("sleep", "600")
        made.wait_for("sleep")
        yield made


def union(lab: MiniLab) -> Union:
    """The one that was mounted there."""
    return next(one for one in lab.observer.observe().layers.unions if one.target.startswith("/mnt"))


def codes(lab: MiniLab, *predicates: dict[str, object]) -> list[str]:
    """What these predicates say, each on its own."""
    return [result.code for result in evaluate(lab.observer.observe(), list(predicates))]


def test_layers_are_told_in_order_with_what_they_hold(lab: MiniLab) -> None:
    """The upper one first, then the lower ones from the top down, each with its files."""
    seen = union(lab)
    order = [("/mnt/up", "rw"), ("/mnt/b", "ro"), ("/mnt/a", "ro")]
    assert [(layer.path, layer.mode) for layer in seen.layers] == order
    trees = lab.observer.observe().layers.trees
    lowest = trees[seen.layers[-1].tree or ""]
    assert [(one.path, one.type, one.size) for one in lowest.files if one.type == "file"] == [
        ("/dir/x", "file", 2),
        ("/etc/motd", "file", 4),
        ("/gone", "file", 0),
    ]
    assert seen.changes == ()
    told = lab.observer.observe().to_dict()["layers"]["unions"]
    assert [layer["role"] for layer in told[-1]["layers"]] == ["upper", "lower", "lower"]


def test_every_kind_of_change_is_seen_and_only_news_makes_a_revision(lab: MiniLab) -> None:
    """Copy-up, new file, whiteout and opaque directory; looking twice says the same."""
    asked = [
        {"overlay_mount": {**MERGED, "lower": 2, "upper": True}},
        {"copied_up": {**MERGED, "path": "/etc/motd"}},
        {"added_file": {**MERGED, "path": "/etc/new"}},
        {"whiteout": {**MERGED, "path": "/gone"}},
        {"opaque": {**MERGED, "path": "/dir"}},
    ]
    assert codes(lab, *asked) == ["ok", *["layer_same"] * 4]
    before = lab.observer.observe().revision
    said = lab.run("cd /mnt/merged; echo more >>etc/motd; touch etc/new; rm gone; rm -r dir; mkdir dir; touch dir/y")
    assert said == ""
    assert union(lab).changes == (
        Change("/dir", "opaque", "directory", 0, 2),
        Change("/dir/y", "added", "file", 0, None),
        Change("/etc", "changed", "directory", 0, 1),
        Change("/etc/motd", "changed", "file", 0, 2),
        Change("/etc/new", "added", "file", 0, None),
        Change("/gone", "whiteout", "other", 0, 2),
    )
    assert codes(lab, *asked) == ["ok"] * 5
    after = lab.observer.observe()
    assert after.revision > before and lab.observer.observe().revision == after.revision
    lab.run("cd /mnt/merged; rm etc/new")
    assert codes(lab, asked[2]) == ["layer_same"]


def test_a_hostile_layer_leads_nowhere(lab: MiniLab) -> None:
    """Links in a layer are told as links; a layer that is a link is followed in the lab, not outside."""
    lab.run("cd /mnt; ln -s / up/out; ln -s ../../../../../etc up/etc")
    files = {one.path: one.type for one in union(lab).changes}
    assert files == {"/out": "link", "/etc": "link"}


def test_a_layer_with_many_files_is_cut(lab: MiniLab) -> None:
    """What is told stays bounded, and says that it is."""
    lab.run("cd /mnt/merged; mkdir many; cd many; seq 3000 | xargs touch")
    seen = lab.observer.observe().layers
    top = next(one for one in seen.unions if one.target == "/mnt/merged").layers[0]
    tree = seen.trees[top.tree or ""]
    assert tree.truncated and len(tree.files) <= 500


def test_aufs_in_user_space_tells_its_branches(lab: MiniLab) -> None:
    """What no mount table shows: branches and their order, also after a remount, and what lies in them."""
    aufs = f"PYTHONPATH={ROOT} {sys.executable} -m engine.storage.aufs_fuse.helper none /mnt/union -o"
    said = lab.run(f"cd /mnt; mkdir union rw more; echo new >more/new; {aufs} br=/mnt/rw=rw:/mnt/b=ro:/mnt/a=ro+wh")
    assert said == ""
    at = {"target": "/mnt/union"}
    seen = next(one for one in lab.observer.observe().layers.unions if one.target == "/mnt/union")
    assert (seen.driver, seen.create) == ("aufs_fuse", "tdp")
    assert [(one.path, one.mode) for one in seen.layers] == [("/mnt/rw", "rw"), ("/mnt/b", "ro"), ("/mnt/a", "ro+wh")]
    lab.run("cd /mnt/union; rm gone; echo more >>etc/motd; rm -r dir; mkdir dir; touch dir/y")
    asked: list[dict[str, object]] = [
        {"aufs_mount": {**at, "branches": 3, "by": "fuse"}},
        {"whiteout": {**at, "path": "/gone"}},
        {"copied_up": {**at, "path": "/etc/motd", "layer": "/mnt/rw"}},
        {"opaque": {**at, "path": "/dir"}},
        {"added_file": {**at, "path": "/dir/y"}},
        {"aufs_branches": {**at, "branches": ["/mnt/rw=rw", "/mnt/more=ro", "/mnt/b=ro", "/mnt/a=ro*"]}},
    ]
    assert codes(lab, *asked) == [*["ok"] * 5, "branches_other"]
    assert lab.run(f"{aufs} remount,add:1:/mnt/more=ro") == ""
    assert codes(lab, *asked) == ["branches_number", *["ok"] * 5]
    lab.run("umount /mnt/union")
    assert codes(lab, asked[0]) == ["union_absent"]
