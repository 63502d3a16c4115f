"""`hako lesson new`, `serve`, `lint` and `test`: for people who write lessons. Run as `python -m web.lesson_cli`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from engine.client import EngineClient
from engine.errors import EngineError
from web import lesson_lint, lesson_new, lesson_predicates, lesson_trial, lessons
from web.i18n import Translations
from web.lesson_model import Catalogue, Lesson, LessonError
from web.paths import Paths
from web.settings import WebSettings

ROOT = click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The folder with the lessons; by default those of this checkout.",
)


@click.group()
def main() -> None:
    """Look after lessons: are they sound, and do they work?"""


@main.command()
@ROOT
@click.argument("name")
def new(root: Path | None, name: str) -> None:
    """Begin a lesson: a folder with one step that works, to be written over. NAME is as pid-one, or 07-pid-one."""
    try:
        folder = lesson_new.make(root or Paths.of(WebSettings()).lessons, name)
    except (LessonError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{folder}\nSee it while you write: ./hako lesson serve   How it is written: docs/lessons.md", err=True)


@main.command()
@ROOT
@click.option("--port", type=click.IntRange(1, 65535), default=8001, show_default=True, help="Where the pages are.")
@click.option("--socket", type=click.Path(path_type=Path), help="The engine's lab.sock; by default that of `hako up`.")
def serve(root: Path | None, port: int, socket: Path | None) -> None:
    """See the lessons while writing: pages that load again by themselves, mistakes beside their lines. Ctrl-C ends it.

    The terminals need a running `./hako up`; without it the text is there.
    """
    from web import lesson_serve

    settings = WebSettings()
    told = settings.model_copy(update={"port": port, "lab_socket": socket or settings.lab_socket})
    lesson_serve.serve(told, (root or Paths.of(settings).lessons).resolve())


@main.command()
@ROOT
@click.argument("names", nargs=-1, metavar="[LESSON]…")
def lint(root: Path | None, names: tuple[str, ...]) -> None:
    """Are the files sound and both languages equal? Prints FILE:LINE: what was expected; exits with 1 if anything."""
    paths = Paths.of(WebSettings())
    root = root or paths.lessons
    folders = [
        folder for folder in sorted(root.iterdir()) if (folder / "lesson.yaml").exists() and _asked(folder.name, names)
    ]
    if not folders:
        raise click.ClickException(f"No lesson in {root} matches {' '.join(names) or 'NN-slug'}.")
    codes, predicates = (
        lesson_lint.result_codes(Translations(paths.translations)),
        lesson_predicates.known(paths.source),
    )
    errors = [error for folder in folders for error in lesson_lint.lint(folder, paths.source, codes, predicates)]
    for error in errors:
        click.echo(str(error))
    click.echo(
        f"{len(folders)} lesson{'s' * (len(folders) != 1)}, {len(errors)} mistake{'s' * (len(errors) != 1)}", err=True
    )
    sys.exit(1 if errors else 0)


@main.command()
@ROOT
@click.option("--socket", type=click.Path(path_type=Path), help="The engine's lab.sock; by default that of `hako up`.")
@click.option("--step", "only", help="Only this step.")
@click.argument("names", nargs=-1, metavar="[LESSON]…")
def test(root: Path | None, socket: Path | None, only: str | None, names: tuple[str, ...]) -> None:
    """Do the checks tell right from wrong? Each solution and each wrong action is tried in a fresh lab."""
    settings = WebSettings()
    catalogue = lessons.load(root or Paths.of(settings).lessons)
    _must_match(catalogue, names)
    try:
        with EngineClient(socket or settings.lab_socket, reconnect=False) as engine:
            info = engine.engine_info()
            catalogue.choose(info.cgroup, info.abilities)
            asked = [lesson for lesson in catalogue.lessons if _asked(lesson.slug, names)]
            problems = sum(_try(engine, lesson, only) for lesson in asked)
    except (EngineError, OSError) as error:
        raise click.ClickException(f"{error} Is the engine running? `./hako up` starts it.") from None
    sys.exit(1 if problems or catalogue.errors else 0)


def _must_match(catalogue: Catalogue, names: tuple[str, ...]) -> None:
    """Say what cannot be read. Raises ClickException when no lesson is left that was asked for."""
    for error in catalogue.errors:
        click.echo(str(error), err=True)
    if not any(_asked(lesson.slug, names) for lesson in catalogue.lessons):
        raise click.ClickException(f"No lesson in {catalogue.root} matches {' '.join(names) or 'NN-slug'}.")


def _try(engine: EngineClient, lesson: Lesson, only: str | None) -> int:
    """All trials of a lesson, one line each. Returns how many failed."""
    failed = 0
    for step in lesson.steps:
        for trial in lesson_trial.trials(step) if only in (None, step.id) else []:
            outcome = lesson_trial.run(engine, lesson, step, trial)
            word = "FAILED" if outcome.problem else "ok"
            click.echo(f"{lesson.slug} {step.id} {trial} {word} {outcome.seconds:.1f} s {outcome.problem}".rstrip())
            failed += bool(outcome.problem)
    return failed


def _asked(slug: str, names: tuple[str, ...]) -> bool:
    return not names or any(slug == name or slug.startswith(f"{name}-") or slug.endswith(f"-{name}") for name in names)


if __name__ == "__main__":
    main()
