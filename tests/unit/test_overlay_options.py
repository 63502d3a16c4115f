"""The option string of mount(2) for an overlay, which older kernels need."""

from __future__ import annotations

from engine.storage.overlay_mount import option_string


def test_lowest_layer_comes_last() -> None:
    """We speak of layers from the lowest up; overlay wants the top-most first."""
    text = option_string(["/base", "/app"], "/up", "/wk", ["index=off"])
    assert text == "lowerdir=/app:/base,upperdir=/up,workdir=/wk,index=off"


def test_separators_in_paths_are_escaped() -> None:
    """A colon would split a layer in two, a comma would end the option; in an upper directory a colon is harmless."""
    text = option_string(["/a:b", "/c,d", "/e\\f"], "/u:p,x", "/w", [])
    assert text == r"lowerdir=/e\\f:/c\,d:/a\:b,upperdir=/u:p\,x,workdir=/w"


def test_without_upper_there_is_no_work_directory() -> None:
    """A read-only stack names its layers and nothing else."""
    assert option_string(["/a", "/b"], None, None, []) == "lowerdir=/b:/a"
