"""The machine's number of terminals: raised while an engine runs, put back afterwards, whoever else touches it."""

from __future__ import annotations

from pathlib import Path

from engine.linux import ptys


def test_raised_and_put_back(tmp_path: Path) -> None:
    """The old number comes back, also by an engine that was started again in between."""
    limit, keep = tmp_path / "max", tmp_path / "keep"
    limit.write_text("4096\n")
    ptys.make_room(keep, limit)
    ptys.make_room(keep, limit)
    assert int(limit.read_text()) == ptys.MOST
    ptys.give_back(keep, limit)
    assert limit.read_text() == "4096\n"
    assert not keep.exists()


def test_another_choice_is_respected(tmp_path: Path) -> None:
    """A number somebody set meanwhile stays; without a memory nothing is touched."""
    limit, keep = tmp_path / "max", tmp_path / "keep"
    limit.write_text("4096\n")
    ptys.make_room(keep, limit)
    limit.write_text("9000\n")
    ptys.give_back(keep, limit)
    ptys.give_back(keep, limit)
    assert limit.read_text() == "9000\n"


def test_a_machine_that_refuses_is_lived_with(tmp_path: Path) -> None:
    """Where the number cannot be read or written, the engine starts all the same."""
    ptys.make_room(tmp_path / "keep", tmp_path / "no" / "max")
    assert not (tmp_path / "keep").exists()
