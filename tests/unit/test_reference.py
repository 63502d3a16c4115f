"""Image references by the grammar Docker uses; the examples are those people type."""

from __future__ import annotations

import pytest

from engine.errors import BadInput
from engine.images.reference import parse

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("debian", "docker.io/library/debian", "debian"),
        ("debian:13", "docker.io/library/debian:13", "debian:13"),
        ("hako/lab", "docker.io/hako/lab", "hako/lab"),
        ("docker.io/debian", "docker.io/library/debian", "debian"),
        ("index.docker.io/library/debian", "docker.io/library/debian", "debian"),
        ("localhost/a", "localhost/a", "localhost/a"),
        ("localhost:5000/a/b:v1", "localhost:5000/a/b:v1", "localhost:5000/a/b:v1"),
        ("hub.lab/team/app", "hub.lab/team/app", "hub.lab/team/app"),
        ("[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a"),
        (f"debian@{DIGEST}", f"docker.io/library/debian@{DIGEST}", f"debian@{DIGEST}"),
        (f"a/b:c@{DIGEST}", f"docker.io/a/b:c@{DIGEST}", f"a/b:c@{DIGEST}"),
        ("a__b/c.d--e", "docker.io/a__b/c.d--e", "a__b/c.d--e"),
        ("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"),
    ],
)
def test_reads_what_people_type(text: str, canonical: str, familiar: str) -> None:
    """The full name fills in registry and library; the familiar one leaves them out again."""
    ref = parse(text)
    assert (ref.canonical(), str(ref)) == (canonical, familiar)


@pytest.mark.parametrize(
    "text",
    [
        "", ":tag", "a:", "a:b:c", "a b", "a/../b", "../a", "a//b", "/a", "a/", "Debian", "a/B", "a_", "a___b", "a@",
        "a@sha256:12", "a@md5:" + "a" * 32, "a:" + "t" * 129, "a:-t", "x" * 300, "-a.b/c", "ab" * 32, "a\n", "a:b\n",
        "é", "localhost:port/a",
    ],
)  # fmt: skip
def test_refuses_what_is_no_name(text: str) -> None:
    """Wrong words are refused with a hint, never guessed at; `..` above all."""
    with pytest.raises(BadInput) as caught:
        parse(text)
    assert caught.value.hint


def test_tag_defaults_to_latest_only_without_a_digest() -> None:
    """A digest says exactly which image: it needs no tag."""
    assert parse("a").tagged().tag == "latest"
    assert parse(f"a@{DIGEST}").tagged().tag is None
    assert parse("a:1").tagged().tag == "1"
