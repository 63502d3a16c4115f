"""hako up, doctor, lab, lesson, bench: everything of the command line that is no container.

Each command imports what it needs when it runs. `lesson` and `bench` only hand over: lessons are web's, benches live
with the tests.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import NoReturn

import click

from engine.client import EngineClient
from engine.errors import BadInput, EngineError

ROOT = Path(__file__).resolve().parent.parent


def main(words: list[str]) -> int:
    """Carry out one command; returns the exit status."""
    try:
        return int(hako.main(args=words, prog_name="hako", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def hako() -> None:
    """Containers, made visible. See also: hako run, exec, ps, rm, images, logs, start, stop."""


@hako.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="where the page is")
@click.option("--listen", default="127.0.0.1", show_default=True, help="the address to listen on")
@click.option("--data", type=click.Path(path_type=Path), help="where everything is kept (/var/lib/hako)")
@click.option("--systemd", "as_units", is_flag=True, help="only print unit files with which systemd starts it")
def up(port: int, listen: str, data: Path | None, as_units: bool) -> int:
    """Start the lab and print its address; Ctrl-C ends it."""
    from engine.settings import load
    from engine.supervisor import Address
    from engine.supervisor import main as supervise

    settings, address = load(**({"data": data.absolute()} if data else {})), Address(listen, port)
    if as_units:
        from engine import systemd

        print(systemd.printed(systemd.units(settings, address)))
        print(systemd.HOW.format(name=settings.instance), file=sys.stderr)
        return 0
    return supervise(settings, address)


@hako.command()
@click.option("--json", "as_json", is_flag=True, help="for programs")
def doctor(as_json: bool) -> int:
    """What this machine can and cannot do, and what to do about it."""
    from engine import doctor as examination
    from engine.settings import load

    return examination.main(load(), as_json=as_json)


HANDED_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}


@hako.command(context_settings=HANDED_ON)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def lesson(words: tuple[str, ...]) -> NoReturn:
    """Look after lessons: new, serve, lint, test."""
    _become("web.lesson_cli", words)


@hako.command(context_settings=HANDED_ON)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def bench(words: tuple[str, ...]) -> NoReturn:
    """Measure: bench start, bench terminal, bench observe."""
    known = sorted(path.stem for path in (ROOT / "tests" / "bench").glob("*.py") if "def main(" in path.read_text())
    if not words or words[0] not in known:
        problem = f"There is no bench {words[0]!r}." if words else "Which bench?"
        raise BadInput(problem, f"There are: {', '.join(known)}.")
    _become(f"tests.bench.{words[0]}", words[1:])


def _become(module: str, words: tuple[str, ...]) -> NoReturn:
    """Become another of our programs. PYTHONPATH, since -P takes the current directory away."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    os.execve(sys.executable, [sys.executable, "-P", "-m", module, *words], {**os.environ, "PYTHONPATH": path})


# -- labs -------------------------------------------------------------------------------------------------------------


@hako.group()
def lab() -> None:
    """Lab hosts: machines in which a learner is root."""


def _client() -> EngineClient:
    return EngineClient(f"{os.environ.get('HAKO_RUN', '/run/hako')}/lab.sock", reconnect=False)


@lab.command()
@click.option("--owner", default="root", show_default=True, help="whose it is")
@click.option("--hostname", default="lab", show_default=True, help="what it calls itself")
@click.option("--outbound", is_flag=True, help="let it reach the world")
def create(owner: str, hostname: str, outbound: bool) -> None:
    """Make a lab and print its id."""
    with _client() as engine:
        print(engine.lab_create(owner, {"hostname": hostname, "outbound": outbound}).id)


@lab.command(name="list")
@click.option("--quiet", "-q", is_flag=True, help="ids only")
def list_(quiet: bool) -> None:
    """List labs."""
    from engine.cli_run import ago, print_table

    with _client() as engine:
        labs = engine.lab_list()
    if quiet:
        for each in labs:
            print(each.id)
        return
    now = time.time()
    rows: list[tuple[str, ...]] = [
        (each.id, each.owner, each.state, ago(each.created_at), _left(each.idle_ends_at, now), _left(each.ends_at, now))
        for each in labs
    ]
    print_table(("LAB", "OWNER", "STATE", "CREATED", "IDLE FOR", "LIVES FOR"), rows)


def _left(until: float, now: float) -> str:
    minutes = max(0, int(until - now)) // 60
    return f"{minutes // 60}h {minutes % 60:02}m" if minutes >= 60 else f"{minutes} min"


@lab.command()
@click.argument("lab_id", metavar="LAB")
@click.argument("name", default="shell")
def shell(lab_id: str, name: str) -> int:
    """A terminal in a lab; Ctrl-] leaves it, and it goes on."""
    from engine.cli_attach import Session, check_tty

    check_tty()
    with _client() as engine:
        size = os.get_terminal_size(0)
        terminal = engine.terminal_open(lab_id, name, size.lines, size.columns).terminal
        session = Session(engine, terminal=True, interactive=True, words="terminal")
        session.start("terminal.attach", {"terminal": terminal, "from": None, "rows": size.lines, "cols": size.columns})
        return session.stay()


@lab.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--timeout", default=20.0, show_default=True, help="seconds it may take")
@click.argument("lab_id", metavar="LAB")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND…")
def run(timeout: float, lab_id: str, argv: tuple[str, ...]) -> int:
    """Run a command in a lab, beside the learner's."""
    with _client() as engine:
        done = engine.lab_run(lab_id, argv, timeout_s=timeout)
    sys.stdout.buffer.write(done.stdout)
    sys.stderr.buffer.write(done.stderr)
    return done.status


@lab.command()
@click.argument("lab_id", metavar="LAB")
def observe(lab_id: str) -> None:
    """Print what the kernel shows of a lab, as JSON."""
    with _client() as engine:
        print(json.dumps(engine.observe_snapshot(lab_id), indent=2, ensure_ascii=False))


def _each(verb: str, lab_ids: tuple[str, ...]) -> int:
    """Do it to each, go on after one that fails; 1 if any did."""
    failed = 0
    with _client() as engine:
        for lab_id in lab_ids:
            try:
                engine.call(f"lab.{verb}", {"lab": lab_id}, timeout_s=60)
            except EngineError as error:
                print(f"hako: {error}", file=sys.stderr)
                failed = 1
            else:
                print(lab_id)
    return failed


def _verb(name: str, text: str) -> None:
    @lab.command(name=name, help=text)
    @click.argument("lab_ids", nargs=-1, required=True, metavar="LAB…")
    def act(lab_ids: tuple[str, ...]) -> int:
        return _each(name, lab_ids)


_verb("pause", "Stop all processes of labs where they are.")
_verb("resume", "Let them go on.")
_verb("reset", "Begin labs afresh: new disk, new processes.")
_verb("remove", "End labs and delete all of them.")
