"""`hako lesson serve`: an author writes, and the page follows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.web.conftest import free_port
from tests.web.fake_engine import FakeEngine
from tests.web.lab_client import Browser, until
from web.author import desk
from web.lesson_new import make

ROOT = Path(__file__).resolve().parents[2]


class Author:
    """A folder of lessons with one in it, and the server that shows them."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "lessons"
        self.root.mkdir()
        self.lesson = make(self.root, "mine")
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.log = folder / "log"
        self.url = f"http://127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "web.lesson_cli", "serve", "--root", str(self.root)]
        command += ["--port", self.url.rpartition(":")[2], "--socket", str(folder / "lab.sock")]
        env = {**os.environ, "TMPDIR": str(self.temporary), "DATABASE_URL": "postgresql://nobody@nowhere/none"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=log, stderr=log)
        until(self._answers, f"the server answers; its log is {self.log}", 30)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return requests.get(f"{self.url}/healthz", timeout=5).ok
        except requests.ConnectionError:
            return False

    def news(self, seen: int = -1, lang: str = "en") -> Any:
        return requests.get(f"{self.url}/author/news", {"seen": seen, "lang": lang}, timeout=10).json()

    def write(self, name: str, old: str, new: str) -> None:
        path = self.lesson / name
        text = path.read_text("utf-8")
        assert old in text
        self.save(path, text.replace(old, new))

    def save(self, path: Path, text: str) -> None:
        """As editors do: in one moment, so that no look finds half a file."""
        scratch = self.root.parent / "scratch"
        scratch.write_text(text, "utf-8")
        scratch.rename(path)

    def page(self, path: str) -> str:
        return requests.get(f"{self.url}{path}", timeout=10).text


@pytest.fixture
def author(tmp_path: Path) -> Iterator[Author]:
    """The server, ended in the end."""
    with FakeEngine(tmp_path / "lab.sock"):
        made = Author(tmp_path)
        yield made
        if made.process.poll() is None:
            made.process.kill()
            made.process.wait()


def test_a_change_is_seen_by_the_page_that_waits(author: Author) -> None:
    """The page has the script, the script hears of the change, and the page has the new words."""
    page = author.page("/en/lessons/01-mine/")
    assert "own question?" in page and '/author/desk.js"' in page
    first = author.news()
    assert (first["mistakes"], first["broken"]) == ([], [])
    author.write("en.md", "The step's own question?", "Something else?")
    second = author.news(first["revision"])
    assert second["revision"] > first["revision"] and second["mistakes"] == []
    assert "Something else?" in author.page("/en/lessons/01-mine/")
    assert "broken" in author.news(second["revision"])  # nothing new: the same again, after a while


def test_the_glossary_is_read_again_too(author: Author) -> None:
    """A mistake in it is shown like one in a lesson, and goes when it is mended."""
    seen = author.news()["revision"]
    glossary = author.root / "glossary.yaml"
    author.save(glossary, "- nonsense\n")
    found = author.news(seen)
    assert found["revision"] > seen and any(one["text"].startswith("glossary.yaml:1") for one in found["mistakes"])
    assert "nonsense" in author.page("/en/author/")
    glossary.unlink()
    assert author.news(found["revision"])["mistakes"] == []


def test_mistakes_stand_beside_their_lines(author: Author) -> None:
    """In yaml and in the words; a lesson that cannot be read is said to be so, and is back when it is mended."""
    seen = author.news()["revision"]
    author.write("lesson.yaml", "hostname: {name", "hostnam: {name")
    author.write("ja.md", "講師向け", "ユーザ向け")
    found = author.news(seen)
    while len(found["mistakes"]) < 2:  # the two files are written one after the other
        found = author.news(found["revision"])
    assert [one["text"].split(": ")[0] for one in found["mistakes"]] == ["01-mine/ja.md:9", "01-mine/lesson.yaml:16"]
    html = author.page("/en/author/")
    line, _, rest = html.partition('<strong class="mistake" id="01-mine/lesson.yaml:16">')
    assert "hostnam" in line.rpartition('<span class="lineno">')[2] and "did you mean" in rest
    assert '<strong class="mistake" id="01-mine/ja.md:9">' in html and found["broken"] == []

    author.write("lesson.yaml", "minutes: 10", "minuts: 10")
    until(lambda: author.news(found["revision"])["broken"] == ["01-mine"], "the lesson cannot be read")
    assert "&#34;minuts&#34;" in author.page("/ja/author/")
    assert "/author/desk.js" in author.page("/en/lessons/01-mine/")  # the page that says it is not there, too
    author.write("lesson.yaml", "minuts: 10", "minutes: 10")
    until(lambda: author.news(found["revision"])["broken"] == [], "it is back")


def test_it_leaves_the_learner_alone_and_nothing_behind(author: Author) -> None:
    """Its cookie has another name than the page's, its progress goes, and its labs too."""
    browser = Browser(author.url)
    browser.open("/en/lessons/01-mine/")
    assert "hako_author" in browser.http.cookies and "hako" not in browser.http.cookies
    author.process.send_signal(signal.SIGINT)
    author.process.wait(timeout=20)
    assert list(author.temporary.iterdir()) == []


def test_files_of_others_are_not_looked_at(tmp_path: Path) -> None:
    """Only lessons' folders count, and what vanishes in between is no error."""
    make(tmp_path, "mine")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").touch()
    (tmp_path / "01-mine" / "gone.md").symlink_to(tmp_path / "nowhere")
    assert sorted(desk.times(tmp_path)) == [
        f"01-mine/{name}" for name in ("en.md", "figures/first.svg", "ja.md", "lesson.yaml")
    ]


@pytest.mark.root
def test_root_becomes_who_owns_the_lessons(tmp_path: Path) -> None:
    """A web server that reads an author's files and opens a port needs no root."""
    os.chown(tmp_path, 65534, -1)
    code = "import os, sys; from pathlib import Path; from web.lesson_serve import become_owner as b; "
    code += "print(b(Path(sys.argv[1])), os.getuid(), os.geteuid(), len(os.getgroups()) <= 1)"
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == ["nobody", "65534", "65534", "True"], done.stderr
    roots = subprocess.run([sys.executable, "-c", code, "/"], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert roots.stdout.split()[:2] == ["0", "0"], roots.stderr
