"""What a lab needs of the kernel beyond a container, and the words for a machine that lacks it.

`hako run` works from Linux 5.10 on. A lab shows its layers with ids of its own (mount_setattr(2), MOUNT_ATTR_IDMAP,
Linux 5.12) and stacks them in its user namespace (overlayfs on id-mapped layers, Linux 5.19). Nothing is asked before a
lab is made: distributions carry such things back to older kernels. When a step fails, its errno and the kernel's
version are put into a sentence here.
"""

from __future__ import annotations

import errno
import functools
import re

from engine import lab_plan
from engine.errors import Unsupported
from engine.linux import namespaces
from engine.runtime.process import StepFailed

#: The first kernel with all of it.
KERNEL = (5, 19)
_STEPS = ("map_ids", "stage", "overlay")
_REFUSALS = (errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.EOPNOTSUPP)


@functools.cache
def kinds() -> tuple[str, ...]:
    """The namespaces a lab gets here: all, but `time` only where the kernel was built with it (CONFIG_TIME_NS)."""
    here = namespaces.available()
    return tuple(kind for kind in lab_plan.KINDS if kind != "time" or kind in here)


def unsupported(error: StepFailed, release: str) -> Unsupported | None:
    """The failure of a lab's step as what this machine lacks; None where that is not the reason.

    Args:
        release: the kernel's, as in uname(2).
    """
    if error.kind_of_step not in _STEPS or error.errno not in _REFUSALS:
        return None
    match = re.match(r"(\d+)\.(\d+)", release)
    if match and (int(match[1]), int(match[2])) < KERNEL:
        text = f"Linux {release} cannot stack id-mapped layers ({error.text}), so no lab can be made."
        return Unsupported(text, f"Labs need Linux {KERNEL[0]}.{KERNEL[1]} or newer; `hako run` works here.")
    if error.kind_of_step == "map_ids":
        text = f"The file system of the images or of the lab's disk cannot be id-mapped ({error.text})."
        return Unsupported(text, "Put the data directory on ext4, xfs or btrfs (--data DIR, HAKO_DATA).")
    return None
