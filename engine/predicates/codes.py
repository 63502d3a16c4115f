"""What a check can say: stable codes with named parameters, to be put into the learner's words by the page.

A code never changes its meaning once a lesson uses it. `CODES` is the whole list; a test holds it against the
translations and against what the predicates give.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: code -> names of its parameters. `pid` is the number that the lab host has for the process: one a learner can type.
#: `kind` is a kind of namespace, `kinds` and the like are lists of them.
CODES: dict[str, tuple[str, ...]] = {
    # It holds. What was found is in extra parameters, where there is something: pid, comm, inode.
    "ok": (),
    # Nobody is in a namespace of this kind of their own: all are in the lab host's.
    "no_own_ns": ("kind",),
    # The nearest process has its own `have`, and still the lab's `missing`.
    "kinds_missing": ("missing", "have", "pid", "comm"),
    # It has its own `extra`, and should share these with the lab.
    "kinds_extra": ("extra", "pid", "comm"),
    # unshare without --fork: this program stays outside, its first child was PID 1 and is gone; `started` false: it
    # has had no child yet.
    "child_outside": ("pid", "comm", "started"),
    # It calls itself `nspid` in its pid namespace.
    "nspid_other": ("nspid", "wanted", "pid", "comm"),
    # Own uts namespace, but this hostname.
    "hostname_other": ("hostname", "wanted", "pid", "comm"),
    # The lab host itself has this hostname.
    "lab_renamed": ("hostname",),
    # Only programs of other names are there.
    "comm_other": ("comm", "wanted", "pid"),
    # It runs, sleeps or is stopped otherwise than wanted; letters as in ps(1).
    "state_other": ("state", "wanted", "pid", "comm"),
    # It has capabilities besides those wanted, or not all of them; names without CAP_.
    "caps_other": ("extra", "missing", "pid", "comm"),
    # Its mount namespace has the lab host's root.
    "root_of_lab": ("pid", "comm"),
    # It lies in another cgroup.
    "cgroup_other": ("cgroup", "wanted", "pid", "comm"),
    # In its own pid namespace, but /proc is the outer one; `have` tells whether it has a mount table of its own.
    "old_proc": ("have", "pid", "comm"),
    # A /proc of another pid namespace covers the lab host's.
    "lab_proc_covered": (),
    # Own user namespace, but no map is written yet.
    "map_empty": ("file", "pid", "comm"),
    # Another map is written.
    "map_other": ("file", "map", "wanted", "pid", "comm"),
    # A clock is off by `offset` seconds.
    "offset_other": ("clock", "offset", "wanted", "pid", "comm"),
    # Mounts: nowhere; only in the lab host's table; only in an own one; in both; still there.
    "mount_nowhere": ("target",),
    "mount_on_lab": ("target",),
    "mount_only_inside": ("target",),
    "mount_in_both": ("target",),
    "mount_still_there": ("target",),
    "mount_type_other": ("target", "type", "wanted"),
    # It is there and belongs to no peer group.
    "mount_private": ("target",),
    # What lies below the target is private, so nothing can spread from it.
    "parent_private": ("target", "parent"),
    # System V objects: none; only the lab's; only inside; in both; still there. `object` is msg, shm or sem.
    "ipc_nowhere": ("object",),
    "ipc_on_lab": ("object",),
    "ipc_only_inside": ("object",),
    "ipc_in_both": ("object",),
    "ipc_still_there": ("object",),
    # Links of the nearest network namespace.
    "link_absent": ("name",),
    "link_down": ("name",),
    "link_up": ("name",),
    "link_extra": ("names",),
    # No namespace of this kind is kept; it is, but by something else.
    "not_kept": ("kind",),
    "kept_otherwise": ("kind", "kept_by", "wanted"),
    # Cgroups: not there in any tree; on v1 only in the trees of other controllers; there, but with nobody in it.
    "cgroup_absent": ("group", "controller"),
    "cgroup_other_tree": ("group", "controller", "trees"),
    "cgroup_empty": ("group",),
    # No limit is set; another is. `what` is cpu, weight, memory, pids, write or read.
    "limit_none": ("group", "what"),
    "limit_other": ("group", "what", "value", "wanted"),
    # The quota has not stopped it (often enough) in so many periods; nobody was killed, though the limit was hit; no
    # fork was refused.
    "throttled_none": ("group", "periods", "throttled"),
    "oom_none": ("group", "hits"),
    "refused_none": ("group", "pids", "limit"),
    "frozen_not": ("group",),
    "frozen_still": ("group",),
    # Too little CPU time to compare; another ratio.
    "cpu_ratio_early": ("group", "than"),
    "cpu_ratio_other": ("group", "than", "ratio"),
    # So few bytes were written to a device.
    "io_none": ("group", "written", "wanted"),
    # Unions: none at the target; one of another driver ("overlay", "aufs", "aufs_fuse"); another number of lower
    # layers; without an upper directory, or with one where none should be; one that cannot be read.
    "union_absent": ("target",),
    "union_other": ("target", "driver", "wanted"),
    "lower_other": ("target", "lower", "wanted"),
    "upper_missing": ("target",),
    "upper_there": ("target",),
    "upper_unreadable": ("target", "layer"),
    # Other layers of an overlay, or in another order; fewer unions on one directory.
    "layers_other": ("target", "layers", "wanted"),
    "shared_few": ("seen", "wanted"),
    # Another number of branches; others, or in another order.
    "branches_number": ("target", "branches", "wanted"),
    "branches_other": ("target", "branches", "wanted"),
    # No upper layer has anything at the path; one has, but of another kind (added, changed, whiteout, opaque); it is
    # the right one in another layer.
    "layer_same": ("target", "path"),
    "layer_other": ("target", "path", "kind", "wanted"),
    "layer_elsewhere": ("target", "path", "layer", "wanted"),
    # This process is still there.
    "still_there": ("pid", "comm"),
    # Nobody fits, so there is no right answer yet.
    "no_process": (),
    "answer_missing": ("name",),
    "answer_wrong": ("name", "given"),
    # The answer is what the process calls itself inside, not what the lab host calls it.
    "answer_inside": ("name", "given"),
    # The command of the check ended so.
    "command_failed": ("status", "output"),
}


@dataclass(frozen=True)
class Result:
    """What became of one predicate.

    Attributes:
        ok: whether it holds.
        code: a key of CODES.
        params: what it saw: exactly the parameters of the code, and extras for "ok".
    """

    ok: bool
    code: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {"ok": self.ok, "code": self.code, "params": dict(self.params)}


def holds(**seen: Any) -> Result:
    """It does."""
    return Result(True, "ok", seen)


def fails(code: str, **params: Any) -> Result:
    """It does not, and this is what was seen. The parameters must be those of the code."""
    if set(params) != set(CODES[code]):
        raise AssertionError(f"{code} has the parameters {CODES[code]}, not {tuple(params)}")
    return Result(False, code, params)
