"""hako run, exec, ps, rm, images, and the options of logs, start, stop: Docker's words, meanings, exit codes.

125: the engine could not do it; 126: the command cannot be run; 127: there is no such command; 128 + n: ended by signal
n; else the command's own status. Options are read with argparse and not with click, whose import would cost as much as
a container takes to start. Talks to `engine.sock`, which is root's.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from engine.api.connection import Connection
from engine.errors import BadInput, EngineError, NotFound

UNITS = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
# What `--explain` says beside each step that the timer did not see.
UNTIMED = "      "


def main(words: list[str]) -> int:
    """Carry out one of the words of `cli.CONTAINER_WORDS`."""
    parser = _parser()
    options = parser.parse_args(words)
    with Connection(engine_socket(), reconnect=False, timeout_s=120) as engine:
        return int(options.do(engine, options))


def engine_socket() -> str:
    """Where the engine listens for root. Not from `settings.py`: pydantic takes longer to load than a container."""
    return f"{os.environ.get('HAKO_RUN', '/run/hako')}/engine.sock"


def run(engine: Connection, options: argparse.Namespace) -> int:
    """Create a container, start it, and unless detached stay with it to its end."""
    if options.script:
        import shlex

        asked = shlex.join(["hako", *sys.argv[1:]]).replace("\n", " ")
        print(engine.call("plan.script", {"spec": run_spec(options), "command": asked}), end="")
        return 0
    _check_tty(options)
    container = engine.call("container.create", {"spec": run_spec(options)})["id"]
    wanted = {"container": container, "interactive": options.interactive, "explain": options.explain}
    return start_and_stay(engine, "container.start", wanted, options, container)


def start_and_stay(
    engine: Connection, call: str, wanted: dict[str, Any], options: argparse.Namespace, name: str
) -> int:
    """Start a program by `call`, and stay with it unless detached."""
    if options.detach:
        session, started = None, engine.call(call, {**wanted, "attach": False})
    else:
        from engine.cli_attach import Session

        session = Session(engine, terminal=options.tty, interactive=options.interactive)
        started = session.start(call, wanted)
    if "message" in started:
        print(f"hako: {started['message']}", file=sys.stderr)
        return int(started["status"])
    if "plan" in started:
        print_plan(started["plan"])
    if session is not None:
        return session.stay()
    print(name)
    return 0


def _check_tty(options: argparse.Namespace) -> None:
    if options.tty and options.interactive and not options.detach:
        from engine.cli_attach import check_tty

        check_tty()


def run_spec(options: argparse.Namespace) -> dict[str, Any]:
    """The options as the `spec` of container.create: plain data, one field for each option that was given."""
    rows_cols = _terminal_size() if options.tty else (24, 80)
    return {
        "image": options.image,
        "args": options.command,
        "name": options.name,
        "hostname": options.hostname,
        "entrypoint": None if options.entrypoint is None else ([options.entrypoint] if options.entrypoint else []),
        "env": environment(options.env),
        "workdir": options.workdir,
        "user": options.user,
        "memory_bytes": None if options.memory is None else size(options.memory),
        "cpus": options.cpus,
        "pids": None if options.pids == -1 else options.pids,
        "network": options.network,
        "readonly": options.read_only,
        "cap_add": options.cap_add,
        "cap_drop": options.cap_drop,
        "volumes": [volume(each) for each in options.volume],
        "tty": options.tty,
        "interactive": options.interactive,
        "remove": options.rm,
        "rows": rows_cols[0],
        "cols": rows_cols[1],
    }


def exec_(engine: Connection, options: argparse.Namespace) -> int:
    """Run one more program in a container."""
    _check_tty(options)
    rows, cols = _terminal_size() if options.tty else (24, 80)
    wanted = {
        "container": options.container,
        "argv": [options.program, *options.command],
        "env": environment(options.env),
        "workdir": options.workdir,
        "user": options.user,
        "tty": options.tty,
        "interactive": options.interactive,
        "rows": rows,
        "cols": cols,
    }
    return start_and_stay(engine, "container.exec", wanted, options, options.container)


def ps(engine: Connection, options: argparse.Namespace) -> int:
    """List containers: those that run, or all."""
    found = [each for each in engine.call("container.list") if options.all or each["state"] in ("running", "paused")]
    if options.quiet:
        for each in found:
            print(each["id"][:12])
        return 0
    rows: list[tuple[str, ...]] = [
        (each["id"][:12], each["image"], quoted(each["args"]), ago(each["created_at"]), status(each), each["name"])
        for each in found
    ]
    print_table(("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "NAME"), rows)
    return 0


def rm(engine: Connection, options: argparse.Namespace) -> int:
    """Remove containers; goes on after one that cannot be removed."""
    failed = 0
    for name in options.containers:
        try:
            engine.call("container.remove", {"container": name, "force": options.force})
        except EngineError as error:
            if not (options.force and isinstance(error, NotFound)):
                print(f"hako: {error}", file=sys.stderr)
                failed = 1
        else:
            print(name)
    return failed


def images(engine: Connection, options: argparse.Namespace) -> int:
    """List the images of this machine."""
    rows: list[tuple[str, ...]] = [
        (each["ref"], each["id"].removeprefix("sha256:")[:12], str(len(each["layers"])))
        for each in engine.call("image.list")
    ]
    print_table(("IMAGE", "IMAGE ID", "LAYERS"), rows)
    return 0


# -- words -> data --------------------------------------------------------------------------------------------------


def size(text: str) -> int:
    """Docker's sizes: 64m, 1.5g, 100kb; without a unit bytes.

    Raises:
        BadInput: it is none.
    """
    digits = text.lower().removesuffix("b") if text[-2:-1].isalpha() else text.lower()
    unit = digits[-1:] if digits[-1:] in UNITS else "b"
    try:
        value = float(digits.removesuffix(unit))
        if not 0 <= value < 2**53:
            raise ValueError(text)
    except ValueError:
        raise BadInput(f"{text!r} is not a size.", "Write e.g. 64m or 1g.") from None
    return int(value * UNITS[unit])


def environment(entries: list[str]) -> list[str]:
    """NAME=value as it is; NAME alone takes this shell's value, and is left out where it has none."""
    return [e if "=" in e else f"{e}={os.environ[e]}" for e in entries if "=" in e or e in os.environ]


def volume(text: str) -> str:
    """A relative source is meant from here, which the engine does not know."""
    source, colon, rest = text.partition(":")
    return f"{os.path.abspath(source)}{colon}{rest}" if source.startswith((".", "~")) or source == "" else text


def quoted(args: list[str]) -> str:
    """A command on one line, cut as `docker ps` does."""
    line = " ".join(args)
    return f'"{line}"' if len(line) <= 28 else f'"{line[:27]}…"'


def status(container: dict[str, Any]) -> str:
    """What `docker ps` says under STATUS."""
    if container["state"] == "exited":
        return f"Exited ({container.get('status')}) {ago(container.get('ended_at'))}"
    if container["state"] in ("running", "paused"):
        up = "Up " + ago(container.get("started_at")).removesuffix(" ago")
        return f"{up} (Paused)" if container["state"] == "paused" else up
    return str(container["state"]).capitalize()


def ago(when: float | None) -> str:
    """A moment, as a person counts back."""
    import time

    if not when:
        return ""
    seconds = max(0, int(time.time() - when))
    for length, name in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= length:
            count = seconds // length
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "Less than a second ago"


def print_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Columns as wide as their widest word."""
    table = [head, *rows]
    widths = [max(len(row[n]) for row in table) for n in range(len(head))]
    for row in table:
        print("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_plan(steps: list[dict[str, Any]]) -> None:
    """The plan, one step a line: number, microseconds, who does it, what, and the manual page; to stderr."""
    total = sum(step["took_us"] or 0 for step in steps)
    for number, step in enumerate(steps, 1):
        took = UNTIMED if step["took_us"] is None else f"{step['took_us']:6.0f}"
        print(f"{number:3} {took} µs  {step['where']:<6}  {step['text']}  [{step['man']}]", file=sys.stderr)
    print(f"    {total:6.0f} µs in {len(steps)} steps", file=sys.stderr)


def _terminal_size() -> tuple[int, int]:
    for fd in (0, 1, 2):
        try:
            found = os.get_terminal_size(fd)
        except OSError:
            continue
        return (found.lines, found.columns)
    return (24, 80)


# -- the options ------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hako")
    parser.error = _wrong  # type: ignore[method-assign]
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _run_options(_command(commands, "run", run, "Run a command in a new container"))
    _exec_options(_command(commands, "exec", exec_, "Run one more command in a container"))
    listing = _command(commands, "ps", ps, "List containers")
    listing.add_argument("-a", "--all", action="store_true", help="those that have ended, too")
    listing.add_argument("-q", "--quiet", action="store_true", help="ids only")
    removing = _command(commands, "rm", rm, "Remove containers")
    removing.add_argument("-f", "--force", action="store_true", help="kill it first if it runs")
    removing.add_argument("containers", nargs="+", metavar="CONTAINER")
    _command(commands, "images", images, "List images")
    _life_options(commands)
    return parser


def _life(word: str) -> Any:
    """logs, start, stop are carried out in cli_life.py, which is loaded only for them."""

    def do(engine: Connection, options: argparse.Namespace) -> int:
        from engine import cli_life

        return int(getattr(cli_life, word)(engine, options))

    return do


def _life_options(commands: Any) -> None:
    saying = _command(commands, "logs", _life("logs"), "Print what a container said")
    saying.add_argument("-f", "--follow", action="store_true", help="go on until it ends")
    saying.add_argument("container", metavar="CONTAINER")
    starting = _command(commands, "start", _life("start"), "Start containers again")
    starting.add_argument("-a", "--attach", action="store_true", help="stay with it")
    starting.add_argument("-i", "--interactive", action="store_true", help="stay with it and keep stdin open")
    starting.add_argument("containers", nargs="+", metavar="CONTAINER")
    stopping = _command(commands, "stop", _life("stop"), "End containers: SIGTERM, then SIGKILL")
    stopping.add_argument("-t", "--time", type=int, default=10, metavar="SECONDS", help="before SIGKILL (10)")
    stopping.add_argument("-s", "--signal", type=signal_number, default=15, metavar="SIGNAL", help="instead of TERM")
    stopping.add_argument("containers", nargs="+", metavar="CONTAINER")


def signal_number(text: str) -> int:
    """A signal by number or name, with or without SIG.

    Raises:
        BadInput: there is no such signal.
    """
    import signal

    try:
        return signal.Signals(int(text)) if text.isdigit() else signal.Signals["SIG" + text.upper().removeprefix("SIG")]
    except (ValueError, KeyError):
        raise BadInput(f"{text!r} is not a signal.", "Write e.g. TERM or 15.") from None


def _command(commands: Any, name: str, do: Any, text: str) -> argparse.ArgumentParser:
    # -h is --hostname, as in Docker. No abbreviations: a new option must not change what an old script means.
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, add_help=False, allow_abbrev=False
    )
    command.add_argument("--help", action="help", help="show this and end")
    command.set_defaults(do=do)
    command.error = _wrong  # type: ignore[method-assign]
    return command


def _wrong(message: str) -> Any:
    raise BadInput(f"{message[:1].upper()}{message[1:]}.", "`hako run --help` lists the options.")


def _shared_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("-i", "--interactive", action="store_true", help="keep stdin open")
    command.add_argument("-t", "--tty", action="store_true", help="give it a terminal")
    command.add_argument("-d", "--detach", action="store_true", help="do not stay with it")
    command.add_argument("-e", "--env", action="append", default=[], metavar="NAME=VALUE", help="set a variable")
    command.add_argument("-w", "--workdir", default="", metavar="DIR", help="the directory it starts in")
    command.add_argument("-u", "--user", default="", metavar="USER[:GROUP]", help="who it runs as")


def _run_options(command: argparse.ArgumentParser) -> None:
    _shared_options(command)
    add = command.add_argument
    add("-h", "--hostname", default="", help="its host name")
    add("-m", "--memory", metavar="SIZE", help="memory limit, e.g. 64m")
    add("--cpus", type=float, help="how much processor time, e.g. 0.5")
    add("--pids", "--pids-limit", type=int, default=None, help="how many processes")
    add("--network", "--net", default="bridge", help="bridge, none or host")
    add("--read-only", action="store_true", help="nothing can be written to its root file system")
    add("--cap-add", action="append", default=[], metavar="CAP", help="add a capability")
    add("--cap-drop", action="append", default=[], metavar="CAP", help="drop a capability")
    add("-v", "--volume", action="append", default=[], metavar="DIR:DIR[:ro]", help="show a directory of the machine")
    add("--entrypoint", default=None, metavar="PROGRAM", help="instead of the image's own")
    add("--name", default="", help="a name for it")
    add("--rm", action="store_true", help="remove it when it has ended")
    add("--explain", action="store_true", help="print each step, its manual page and the time it took")
    add("--script", action="store_true", help="start nothing; print a shell script that builds it by hand")
    add("image", metavar="IMAGE")
    add("command", nargs=argparse.REMAINDER, metavar="COMMAND")


def _exec_options(command: argparse.ArgumentParser) -> None:
    _shared_options(command)
    command.add_argument("container", metavar="CONTAINER")
    command.add_argument("program", metavar="COMMAND")
    command.add_argument("command", nargs=argparse.REMAINDER, metavar="ARGUMENT")
