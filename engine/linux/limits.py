"""Limits of a process's open files; see getrlimit(2), RLIMIT_NOFILE.

A program may raise its soft limit up to the hard one. Zygote and daemon hold some ten descriptors a terminal and do so;
what runs in containers gets the soft limit a Linux machine starts with, since programs that still use select(2), or
close every descriptor there could be, do badly with a million.
"""

from __future__ import annotations

import resource

#: What the kernel gives the first process (INR_OPEN_CUR).
USUAL = 1024


def many_files() -> int:
    """Let this process open as many files as it may; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def usual_files() -> None:
    """Give this process, and what it executes, the usual soft limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = hard == resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_NOFILE, (USUAL if unlimited else min(USUAL, hard), hard))
