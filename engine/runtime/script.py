"""A plan as a plain shell script that builds the same container by hand: `hako run --script`.

Pure: the plan of plan.py and what is known of this machine (`Place`) become text; nothing is touched. Each step stands
below its number, its manual page and its sentence, so that the script can be read beside `hako run --explain`. It needs
sh(1), util-linux and ip(8), and root (a lab's root is enough in a lab).

What the script does not do, and says so in its place: the filter of system calls (no command installs one), a terminal
of its own (it uses yours), and openat2(2) for every path (it trusts the image not to hold links that lead out).

Three shells take part. The outer one stays outside; `first` and `second` run in the container's namespaces, one after
the other, since a cgroup namespace can only be made once one is in the group (cgroup_namespaces(7)). The last shell has
already given up its privilege when the outer one swaps its root and lets it go on: pivot_root(2) moves every process of
the mount namespace along, and so no program of the machine is needed once the image's are there.
"""

from __future__ import annotations

import shlex

from engine.runtime.plan import Plan
from engine.runtime.script_steps import SHELL, Place, Text
from engine.runtime.words import WORDS, sentence

__all__ = ["Place", "script"]


def script(plan: Plan, place: Place, command: str, lang: str = "en") -> str:
    """The shell script of a plan.

    Args:
        command: how it was asked for; stands in the first comment.
        lang: of the comments, "en" or "ja".
    """
    text = Text()
    for number, step in enumerate(plan.steps, 1):
        head = ["", f"# {number}. {WORDS[step.kind].man}: {sentence(step.kind, dict(step.args), lang)}"]
        SHELL[step.kind](text, head, step, place)
    return "\n".join([*_beginning(command, place), *text.outer, *_middle(text), *text.after, *_end(text)]) + "\n"


def _beginning(command: str, place: Place) -> list[str]:
    return [
        "#!/bin/sh",
        f"# {command}",
        "# The same container by hand. Run it as root; it ends with the container and clears away what it made.",
        "set -eu",
        f"export DIR={shlex.quote(place.folder)}",
        'export ROOT="$DIR/root"',
        'mkdir -p "$DIR"; chmod 755 "$DIR"; mkdir "$DIR/upper" "$DIR/work" "$DIR/root" "$DIR/etc"',
        'mkfifo "$DIR/ready" "$DIR/go"',
        "PID=",
        'trap clear_away EXIT; trap "exit 130" INT; trap "exit 143" TERM',
        "clear_away() {",
        "    set +e",
        '    [ -z "$PID" ] || kill -9 "$PID" 2>/dev/null; wait',
        '    [ ! -e "$DIR/undo" ] || . "$DIR/undo"',
        '    umount -l "$ROOT" 2>/dev/null; rm -rf "$DIR"; rmdir "${DIR%/*}" 2>/dev/null',
        "}",
    ]


def _middle(text: Text) -> list[str]:
    """Write the two inner shells down and start the first of them."""
    fail = """trap 'echo 0 >"$DIR/ready"' EXIT"""
    kept = [
        *("cat >\"$DIR/undo\" <<'END'", *text.undo, "END"),
        *("cat >\"$DIR/clone\" <<'END'", 'sh "$DIR/first" "$@" &', "wait $!", "END"),
        *("cat >\"$DIR/first\" <<'END'", "set -eu", fail, *text.first, "END"),
        *("cat >\"$DIR/second\" <<'END'", "set -eu", fail, *text.second, "END"),
    ]
    return [
        "",
        *kept,
        "exec 3<&0",
        "# The first child of a process that asked for a PID namespace is number 1 in it: see `clone`.",
        f'unshare -{text.letters} --propagation slave sh "$DIR/clone" "$@" &',
        "exec 3<&-",
        'read -r PID <"$DIR/ready" || PID=0',
        '[ "$PID" != 0 ] || { PID=; echo "A step inside did not work." >&2; exit 125; }',
    ]


def _end(text: Text) -> list[str]:
    return ["", 'echo go >"$DIR/go"', "code=0; wait $! || code=$?", "PID=", 'exit "$code"']
