"""How many pseudo terminals there may be: one number for the whole machine, `kernel.pty.max`. See pty(7), sysctl(8).

A lab's root can mount a devpts of its own with any `max=`, so that option bounds nobody: with the usual 4096 one lab
can take all that are not kept for the machine itself (`kernel.pty.reserve`), and no other lab gets a terminal. What
bounds a lab is its memory, of which a terminal takes some 3 KiB. So while an engine runs the number is the most the
kernel takes; what was there before is kept in a file and put back at the end.
"""

from __future__ import annotations

from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

#: NR_UNIX98_PTY_MAX: as many as there are minor numbers.
MOST = 1 << 20
_MAX = Path("/proc/sys/kernel/pty/max")


def make_room(keep: Path, limit: Path = _MAX) -> None:
    """Raise the number, and remember what it was; again, or raised by somebody else, is no error.

    Args:
        keep: the file that remembers.
    """
    try:
        before = int(limit.read_text())
        if before < MOST:
            keep.write_text(f"{before}\n")
            limit.write_text(f"{MOST}\n")
            log.info("ptys_raised", before=before, now=MOST)
    except (OSError, ValueError) as error:  # /proc/sys is read-only in some containers
        log.warning("ptys_not_raised", error=str(error), hint="a lab may take every terminal of the machine")


def give_back(keep: Path, limit: Path = _MAX) -> None:
    """Put back what was remembered, unless somebody has chosen another number meanwhile."""
    try:
        before = int(keep.read_text())
        if int(limit.read_text()) == MOST:
            limit.write_text(f"{before}\n")
        keep.unlink()
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        log.warning("ptys_not_put_back", error=str(error))
