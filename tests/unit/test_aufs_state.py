"""What a union in user space tells of itself: whole, or not at all."""

from __future__ import annotations

from engine.observe.layers import branch_layers, overlay_layers
from engine.storage.aufs_fuse import options, state


def test_a_state_comes_back_as_it_was_told() -> None:
    """Target, policy and branches, with any bytes in their names."""
    told = options.parse("br=/r\udce3w=rw:/a b=ro+wh,create=mfs")
    found = state.decode(state.encode("/mnt/x\n", told))
    assert found == state.State("/mnt/x\n", "mfs", False, ("/r\udce3w=rw", "/a b=ro+wh"))


def test_half_a_state_is_none() -> None:
    """It is read while it is written: what is cut short is no state, what is left behind its end is nothing."""
    raw = state.encode("/mnt", options.parse("br=/a=rw:/b=ro"))
    assert all(state.decode(raw[:length]) is None for length in range(len(raw)))
    assert state.decode(raw + b"left") == state.decode(raw) is not None
    assert state.decode(b"x\0/mnt\0tdp\0rw\0") is None


def test_layers_of_an_overlay_as_the_kernel_writes_them() -> None:
    """In one option or one each, colons and backslashes kept apart, data-only layers left out."""
    one = overlay_layers(["rw", "lowerdir=/b:/a\\:x::/data", "upperdir=/u\\\\p", "workdir=/w", "userxattr"])
    assert [(layer.path, layer.mode) for layer in one] == [("/u\\p", "rw"), ("/b", "ro"), ("/a:x", "ro")]
    each = overlay_layers(["ro", "lowerdir+=/b", "lowerdir+=/a", "datadir+=/data"])
    assert [(layer.path, layer.mode) for layer in each] == [("/b", "ro"), ("/a", "ro")]


def test_branches_as_sysfs_writes_them() -> None:
    """The kernel's AUFS and ours show a branch alike; only `rw` is written to."""
    layers = branch_layers(["/rw=rw+nolwh", "/a=b=ro+wh", "/cd=rr", "no branch"])
    assert [(layer.path, layer.mode, layer.writable) for layer in layers] == [
        ("/rw", "rw", True),
        ("/a=b", "ro+wh", False),
        ("/cd", "rr", False),
    ]
