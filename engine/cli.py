"""The command line: which word goes to which module.

`hako run` should cost little more than the container itself, so this module imports nothing until it knows the word:
those about containers read their options with argparse (`cli_run.py`); everything else is click (`cli_tools.py`), and
is not there in a lab, whose engine knows containers only.
"""

from __future__ import annotations

import os
import sys

CONTAINER_WORDS = ("run", "exec", "ps", "rm", "images", "logs", "start", "stop")
# What a shell and docker(1) say when the engine itself failed, before any program ran.
ENGINE_FAILED = 125


def main(argv: list[str] | None = None) -> int:
    """Carry out one command; returns the exit status."""
    words = sys.argv[1:] if argv is None else argv
    from engine.errors import EngineError

    try:
        if words and words[0] in CONTAINER_WORDS:
            from engine import cli_run

            return cli_run.main(words)
        try:
            from engine import cli_tools
        except ModuleNotFoundError as error:
            if error.name != "click":
                raise
            print(f"hako: in a lab there are: {', '.join(CONTAINER_WORDS)}.", file=sys.stderr)
            return 2
        return cli_tools.main(words)
    except EngineError as error:
        print(f"hako: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"      {error.hint}", file=sys.stderr)
        return ENGINE_FAILED if words and words[0] in ("run", "exec") else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `hako ps | head`: nobody reads any more. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


if __name__ == "__main__":
    sys.exit(main())
