"""Properties of the reference parser."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadInput
from engine.images.reference import Reference, parse
from engine.storage.digests import Digest

_component = st.from_regex(r"[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", fullmatch=True)
_domain = st.from_regex(r"[a-z0-9]{1,5}(\.[a-z0-9]{1,5}){1,2}(:[0-9]{1,5})?", fullmatch=True)
_tag = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
_digest = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True).map(Digest)
references = st.builds(
    Reference,
    st.just("docker.io") | _domain,
    st.lists(_component, min_size=2, max_size=4).map("/".join),
    st.none() | _tag,
    st.none() | _digest,
)


@given(references)
def test_written_out_it_is_read_back_the_same(ref: Reference) -> None:
    """Both spellings of a reference, the full and the familiar, mean that reference and no other."""
    assert parse(ref.canonical()) == ref
    assert parse(str(ref)) == ref


@given(st.text(max_size=80) | st.text("aZ0.:/@_-[]", max_size=40))
def test_any_text_is_refused_or_has_one_meaning(text: str) -> None:
    """Nothing else than BadInput comes out of bad text, and what is accepted cannot climb out of a directory."""
    try:
        ref = parse(text)
    except BadInput:
        return
    assert parse(ref.canonical()) == ref
    assert parse(str(ref)) == ref
    assert ".." not in ref.path.split("/")
