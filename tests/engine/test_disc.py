"""The live CD's disc: there for every file's reader, written by nobody, each lab's own, and gone with its lab."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import Failed, Unsupported
from engine.lab import LabShape
from engine.storage import disc
from tests.engine.engines import Engine, wait_for
from tests.engine.labs import sh, text

pytestmark = pytest.mark.root


def _loops() -> list[str]:
    found = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            found.append(backing.read_text().strip())
        except OSError:
            continue  # let go while we looked
    return found


def test_the_disc_is_read_by_all_and_written_by_nobody(engine: Engine) -> None:
    """Its files are the lab's root's, its programs run, and no way of mounting makes it writable."""
    lab = engine.run(engine.labs.create("disc", LabShape(disc=True)))
    try:
        seen = text(sh(engine, lab, "findmnt -n -o FSTYPE,OPTIONS /cdrom; stat -c '%u %g' /cdrom/home/guest/letter"))
        assert seen.startswith("squashfs ro,nosuid,nodev")
        assert seen.endswith("\n0 0\n")
        assert text(sh(engine, lab, "/cdrom/bin/busybox echo runs; stat -c %s /cdrom/home/guest/film")) == (
            f"runs\n{disc.FILM_BYTES}\n"
        )
        for script in ("touch /cdrom/x", "mount -o remount,rw /cdrom", "mount --bind /cdrom /mnt && touch /mnt/x"):
            assert sh(engine, lab, script).status != 0, script
    finally:
        engine.run(engine.labs.remove(lab))


def test_a_live_system_starts_and_leaves_no_trace(engine: Engine) -> None:
    """Memory above the disc: a small system runs and is changed; when the memory goes, the disc is as before."""
    lab = engine.run(engine.labs.create("disc", LabShape(disc=True)))
    live = """set -e
    mkdir /ram /live; mount -t tmpfs ram /ram; mkdir /ram/up /ram/wk
    mount -t overlay -o userxattr,lowerdir=/cdrom,upperdir=/ram/up,workdir=/ram/wk live /live
    """
    try:
        done = sh(engine, lab, live + "chroot /live /bin/sh -c 'cat /etc/hostname; rm /home/guest/letter; id -u'")
        assert text(done) == "live\n0\n"
        assert text(sh(engine, lab, "ls /live/home/guest; umount /live /ram; ls /cdrom/home/guest")) == (
            "film\ngames\nfilm\ngames\nletter\n"
        )
    finally:
        engine.run(engine.labs.remove(lab))


def test_a_reset_lab_has_a_new_disc_and_none_is_left(engine: Engine) -> None:
    """Loop device and image go with the lab, which at a reset gets others; labs without a disc have none."""
    before = _loops().count("/disc.img")
    lab = engine.run(engine.labs.create("disc", LabShape(disc=True)))
    plain = engine.run(engine.labs.create("no-disc"))
    engine.run(engine.labs.reset(lab))
    assert text(sh(engine, lab, "cat /cdrom/etc/hostname")) == "live\n"
    assert sh(engine, plain, "test -e /cdrom").status == 1
    folder = engine.settings.data / "disks" / lab.id
    assert (folder / disc.IMAGE).exists()
    for each in (lab, plain):
        engine.run(engine.labs.remove(each))
    assert not folder.exists()
    wait_for(lambda: _loops().count("/disc.img") <= before)


def test_without_mksquashfs_the_lab_is_refused_with_words(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No press, no disc: which package to install is said, and nothing of the lab is left."""
    monkeypatch.setattr(disc, "_FOLDERS", str(tmp_path))
    monkeypatch.setattr(disc, "_VERSION", "none")
    with pytest.raises(Unsupported, match="mksquashfs is not installed") as found:
        engine.run(engine.labs.create("disc", LabShape(disc=True)))
    assert "squashfs-tools" in found.value.hint
    assert not [lab for lab in engine.labs.all() if lab.record.owner == "disc"]


def test_a_press_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What mksquashfs said is in the error, and no half-made disc is left for the next lab."""
    tool = tmp_path / "mksquashfs"
    tool.write_text("#!/bin/sh\necho no room at all >&2\nexit 3\n")
    tool.chmod(0o755)
    monkeypatch.setattr(disc, "_FOLDERS", f"{tmp_path}:/usr/bin:/bin")
    system, folder = tmp_path / "layer" / "fs", tmp_path / "disks"
    (system / "etc").mkdir(parents=True)
    folder.mkdir()
    with pytest.raises(Failed, match="no room at all"):
        disc.insert(folder, "one", 1000, system)
    assert list(folder.iterdir()) == []
