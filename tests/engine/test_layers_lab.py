"""The unions of a real lab observed: the learner's own, those of containers in it, and hostile ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.lab import Lab
from engine.observe import LabView, Observer
from engine.observe.layers import Change, Union
from engine.predicates import evaluate
from tests.engine.engines import Engine
from tests.engine.labs import sh, text

pytestmark = pytest.mark.root


@pytest.fixture
def lab(engine: Engine) -> Iterator[Lab]:
    """A lab for one test."""
    made = engine.run(engine.labs.create("tests"))
    yield made
    engine.run(engine.labs.remove(made))


@pytest.fixture
def observer(engine: Engine, lab: Lab) -> Observer:
    """Who looks at it."""
    payload = lab.group(engine.machine, "payload")
    assert lab.process is not None
    v1, unified = frozenset(payload.hierarchy.v1), payload.path("")
    return Observer(LabView(lab.id, lab.process.pid, (payload.processes_path,), {}, payload.trees(), v1, unified))


def unions(observer: Observer) -> list[Union]:
    """Those that a learner made."""
    return [one for one in observer.observe().layers.unions if not one.of_lab]


def do(engine: Engine, lab: Lab, script: str) -> str:
    """What a script says that must end well."""
    done = sh(engine, lab, f"set -e; {script}", timeout_s=30)
    assert done.status == 0, text(done)
    return text(done)


def test_the_lab_itself_is_a_union_and_said_to_be_its_own(observer: Observer) -> None:
    """Its root is known as the lab's, and no predicate takes it for something the learner mounted."""
    (root,) = observer.observe().layers.unions
    assert (root.driver, root.target, root.of_lab) == ("overlay", "/", True)
    assert [one.code for one in evaluate(observer.observe(), [{"overlay_mount": {}}])] == ["union_absent"]


def test_ten_containers_share_one_layer(engine: Engine, lab: Lab, observer: Observer) -> None:
    """Each has an upper directory of its own above the very same lower one, whose files are told once."""
    do(engine, lab, "for n in $(seq 10); do hako run -d hako/mini sh -c 'echo hi >/etc/motd; sleep 600'; done")
    seen = unions(observer)
    assert len(seen) == 10 and {one.target for one in seen} == {"/"}
    assert len({one.layers[-1].tree for one in seen}) == 1 and len({one.layers[0].tree for one in seen}) == 10
    trees = observer.observe().layers.trees
    assert None not in {layer.tree for one in seen for layer in one.layers}
    assert {layer.tree for one in seen for layer in one.layers} == set(trees)
    assert all(any(change.path == "/etc/motd" for change in one.changes) for one in seen)


def test_layers_named_by_relative_paths(engine: Engine, lab: Lab, observer: Observer) -> None:
    """As one types it in the directory where the layers lie: they are found beside the mount."""
    do(engine, lab, "cd /var/lib/lab; mkdir l u w m; echo x >l/f; mount -t overlay o -o"
       " lowerdir=l,upperdir=u,workdir=w,userxattr m; echo y >>m/f")  # fmt: skip
    (seen,) = unions(observer)
    assert seen.changes == (Change("/f", "changed", "file", 0, 1),)


def test_aufs_as_the_talk_types_it(engine: Engine, lab: Lab, observer: Observer) -> None:
    """mount -t aufs, a remount of a branch, and what is at work is ours in user space, not the kernel's."""
    do(engine, lab, "cd /root; mkdir rw ro more u; echo x >ro/f; mount -t aufs -o br=/root/rw=rw:/root/ro=ro none u"
       "; rm u/f; mount -o remount,append:/root/more=ro /root/u")  # fmt: skip
    wanted = [
        {"aufs_mount": {"target": "/root/u", "by": "fuse", "branches": 3}},
        {"aufs_branches": {"target": "/root/u", "branches": ["/root/rw=rw", "/root/ro=ro", "/root/more=ro"]}},
        {"whiteout": {"target": "/root/u", "path": "/f"}},
        {"aufs_mount": {"target": "/root/u", "by": "kernel"}},
    ]
    assert [one.code for one in evaluate(observer.observe(), wanted)] == ["ok", "ok", "ok", "union_other"]


def test_a_union_that_does_not_answer_stops_nobody(engine: Engine, lab: Lab, observer: Observer) -> None:
    """Its server is stopped: its branches are read beside it, and an overlay on top of it is passed over."""
    do(engine, lab, "cd /var/lib/lab; mkdir rw ro u up wk m; echo x >ro/f"
       "; mount -t aufs -o br=/var/lib/lab/rw=rw:/var/lib/lab/ro=ro none u"
       "; mount -t overlay o -o lowerdir=/var/lib/lab/u,upperdir=/var/lib/lab/up,workdir=/var/lib/lab/wk,userxattr m"
       "; kill -STOP $(pgrep mount.aufs)")  # fmt: skip
    aufs, overlay = unions(observer)
    assert [layer.tree is not None for layer in (*aufs.layers, *overlay.layers)] == [True, True, True, False]
    do(engine, lab, "kill -CONT $(pgrep mount.aufs)")


def test_a_name_cannot_lead_out_of_the_lab(engine: Engine, lab: Lab, observer: Observer) -> None:
    """What a learner calls a branch is looked for in his own root, whatever it says."""
    do(engine, lab, "mkdir -p /root/u /root/link; ln -s /proc/1/root/../../../.. /root/out; mount -t aufs -o"
       " br=/root/link=rw:/etc=ro none /root/u")  # fmt: skip
    (seen,) = unions(observer)
    tree = observer.observe().layers.trees[seen.layers[1].tree or ""]
    assert {"/passwd", "/hostname"} <= {one.path for one in tree.files}
    names = do(engine, lab, "ls -A /etc").split()
    assert {one.path.split("/")[1] for one in tree.files} <= set(names)
