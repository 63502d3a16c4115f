"""Sets of capabilities: names, numbers and Docker's arithmetic."""

from __future__ import annotations

import pytest

from engine.errors import BadInput
from engine.linux import capabilities as caps


def test_default_is_dockers_mask() -> None:
    """The default set is bit for bit what a Docker container's root has."""
    assert caps.DEFAULT == 0x00000000A80425FB
    assert len(caps.names(caps.DEFAULT)) == 14


def test_last_number_is_checkpoint_restore() -> None:
    """The index in NAMES is the kernel's number."""
    assert caps.NAMES[21] == "CAP_SYS_ADMIN"
    assert caps.NAMES[40] == "CAP_CHECKPOINT_RESTORE"
    assert len(caps.NAMES) == 41


def test_lab_keeps_sys_time_and_drops_modules() -> None:
    """`unshare -T` needs SYS_TIME; nothing in a lab loads modules."""
    held = caps.names(caps.LAB)
    assert "CAP_SYS_TIME" in held and "CAP_SYS_ADMIN" in held
    assert "CAP_SYS_MODULE" not in held and "CAP_BPF" not in held


@pytest.mark.parametrize("name", ["NET_ADMIN", "net_admin", "CAP_NET_ADMIN", "cap_net_admin"])
def test_mask_takes_names_as_people_write_them(name: str) -> None:
    """Prefix and case do not matter."""
    assert caps.mask([name]) == 1 << 12


def test_mask_refuses_unknown_names() -> None:
    """A typing mistake is an error that names the word."""
    with pytest.raises(BadInput, match="NET_ADMINN"):
        caps.mask(["NET_ADMINN"])


def test_names_shows_bits_without_a_name() -> None:
    """A newer kernel's capability is shown by number, not lost."""
    assert caps.names(1 << 45) == ("CAP_45",)


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ([], [], caps.DEFAULT),
        (["ALL"], [], caps.ALL),
        ([], ["ALL"], 0),
        (["KILL"], ["ALL"], caps.mask(["KILL"])),
        (["ALL"], ["KILL"], caps.ALL & ~caps.mask(["KILL"])),
        (["SYS_ADMIN"], ["KILL"], caps.DEFAULT & ~caps.mask(["KILL"]) | caps.mask(["SYS_ADMIN"])),
        (["KILL"], ["KILL"], caps.DEFAULT & ~caps.mask(["KILL"])),
    ],
)
def test_tweak_is_dockers_arithmetic(add: list[str], drop: list[str], expected: int) -> None:
    """`--cap-add` and `--cap-drop` combine as in Docker."""
    assert caps.tweak(caps.DEFAULT, add, drop) == expected


def test_all_is_what_the_engine_has_to_give() -> None:
    """`--cap-add ALL` cannot add what the engine lacks itself; a name asked for is kept, to fail loudly."""
    have = caps.ALL & ~caps.mask(["SYS_RESOURCE"])
    assert caps.tweak(caps.DEFAULT, ["ALL"], everything=have) == have
    assert caps.tweak(caps.DEFAULT, ["SYS_RESOURCE"], everything=have) == caps.DEFAULT | caps.mask(["SYS_RESOURCE"])
