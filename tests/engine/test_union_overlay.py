"""The overlay driver against the real kernel, in each of the forms that kernels since 5.10 understand."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.storage import overlay_mount, union
from engine.storage.layers import LayerStore
from engine.storage.overlay import OverlayDriver, exists
from engine.storage.union import Change, Kind
from tests.folders import folders

pytestmark = pytest.mark.root


@pytest.fixture(params=overlay_mount.FORMS)
def driver(request: pytest.FixtureRequest) -> OverlayDriver:
    """The driver in one form; a form newer than this kernel falls to the best it has."""
    best = overlay_mount.FORMS.index(overlay_mount.form())
    wanted = overlay_mount.FORMS.index(request.param)
    return OverlayDriver(overlay_mount.FORMS[max(best, wanted)])


@contextlib.contextmanager
def merged(fd: int) -> Iterator[int]:
    """A mount fd as an open directory; both closed at the end, which unmounts."""
    top = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
    try:
        yield top
    finally:
        os.close(top)
        os.close(fd)


def _read(top: int, name: str) -> str:
    with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=top)) as file:
        return file.read()


def test_upper_layer_wins_and_lower_stays(driver: OverlayDriver, tmp_path: Path) -> None:
    """The later layer hides the earlier; writing goes to the upper directory and to no layer."""
    low, high, upper, work = folders(tmp_path, "low", "high", "up", "wk")
    (low / "a").write_text("low")
    (low / "b").write_text("low")
    (high / "b").write_text("high")
    with merged(driver.mount([low, high], upper, work)) as top:
        assert (_read(top, "a"), _read(top, "b")) == ("low", "high")
        with os.fdopen(os.open("a", os.O_WRONLY | os.O_TRUNC, dir_fd=top), "w") as file:
            file.write("new")
        assert _read(top, "a") == "new"
    assert (low / "a").read_text() == "low"
    assert (upper / "a").read_text() == "new"
    assert os.listdir(high) == ["b"]


def test_layers_and_upper_may_be_given_as_fds(driver: OverlayDriver, tmp_path: Path) -> None:
    """A lab's helper has fds only: of directories, and of detached mounts that have no path at all."""
    low, high, upper, work = folders(tmp_path, "low", "high", "up", "wk")
    (low / "a").write_text("low")
    with contextlib.ExitStack() as stack:
        fds = []
        for place in (low, high, upper, work):
            fds.append(os.open(place, os.O_PATH | os.O_DIRECTORY))
            stack.callback(os.close, fds[-1])
        top = stack.enter_context(merged(driver.mount(fds[:2], fds[2], fds[3], userxattr=True)))
        assert _read(top, "a") == "low"
        os.mkdir("d", dir_fd=top)
    assert os.listdir(upper) == ["d"]


@pytest.mark.parametrize("count", [1, 2])
def test_without_upper_it_is_read_only(driver: OverlayDriver, tmp_path: Path, count: int) -> None:
    """A view of an image alone can be read and not written, be it of one layer or of several."""
    layers = folders(tmp_path, *(f"layer{number}" for number in range(count)))
    (layers[0] / "a").write_text("low")
    with merged(driver.mount(layers)) as top:
        assert _read(top, "a") == "low"
        with pytest.raises(OSError, match="Read-only"):
            os.mkdir("d", dir_fd=top)


def test_readonly_with_upper(driver: OverlayDriver, tmp_path: Path) -> None:
    """`--read-only`: there is an upper directory, and nothing gets into it."""
    low, upper, work = folders(tmp_path, "low", "up", "wk")
    with merged(driver.mount([low], upper, work, readonly=True)) as top:
        with pytest.raises(OSError, match="Read-only"):
            os.mkdir("d", dir_fd=top)
    assert os.listdir(upper) == []


def test_many_layers_with_long_names(driver: OverlayDriver, tmp_path: Path) -> None:
    """Forty layers whose paths are far more than one page together, with colons and commas in them."""
    layers = folders(tmp_path, *(f"{'x' * 120}:{number},y" for number in range(40)))
    upper, work = folders(tmp_path, "up", "wk")
    (layers[0] / "lowest").touch()
    (layers[39] / "highest").touch()
    with merged(driver.mount(layers, upper, work)) as top:
        assert sorted(os.listdir(top)) == ["highest", "lowest"]


def test_a_mount_leaves_nothing(driver: OverlayDriver, tmp_path: Path) -> None:
    """Detached means that no mount table ever shows it for longer than the call, and closing it ends it."""
    low, upper, work = folders(tmp_path, "low", "up", "wk")
    before = Path("/proc/self/mountinfo").read_text()
    os.close(driver.mount([low], upper, work))
    assert Path("/proc/self/mountinfo").read_text() == before
    assert not [name for name in os.listdir(tempfile.gettempdir()) if name.startswith(".hako-overlay")]


def test_a_refused_mount_says_why(driver: OverlayDriver, tmp_path: Path) -> None:
    """Upper and work on different file systems: an OSError, and nothing left."""
    low, upper = folders(tmp_path, "low", "up")
    with pytest.raises(OSError, match=r"overlay|fsconfig"):
        driver.mount([low], upper, Path("/dev/shm"))
    with pytest.raises(ValueError, match="work"):
        driver.mount([low], upper)


def test_changes_and_diff(driver: OverlayDriver, tmp_path: Path) -> None:
    """What a container changed, in Docker's terms, and the same as a layer with OCI's whiteouts."""
    low, upper, work = folders(tmp_path, "low", "up", "wk")
    for name in ("gone", "kept", "d/old", "e/x"):
        (low / name).parent.mkdir(exist_ok=True)
        (low / name).write_text("low")
    with merged(driver.mount([low], upper, work)) as top:
        os.unlink("gone", dir_fd=top)
        for name in ("d/old", "e/x"):
            os.unlink(name, dir_fd=top)
        os.rmdir("e", dir_fd=top)
        os.mkdir("e", dir_fd=top)  # made anew: opaque
        os.close(os.open("d/new", os.O_CREAT | os.O_WRONLY, dir_fd=top))
    assert list(driver.changes([low], upper)) == [
        Change("/d", Kind.MODIFIED),
        Change("/d/new", Kind.ADDED),
        Change("/d/old", Kind.DELETED),
        Change("/e", Kind.MODIFIED),
        Change("/gone", Kind.DELETED),
    ]
    out = io.BytesIO()
    driver.diff([low], upper, out)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        assert tar.getnames() == [".", "d", "d/new", "d/.wh.old", "e", "e/.wh..wh..opq", ".wh.gone"]


def test_one_layer_serves_root_and_lab(tmp_path: Path) -> None:
    """An opaque directory and a whiteout hold in root's overlay and, by `userxattr`, in a user namespace's."""
    low, upper, work, point = folders(tmp_path, "low", "up", "wk", "merged")
    (low / "d").mkdir()
    (low / "d" / "old").touch()
    (low / "gone").touch()
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name in ("d/new", "d/.wh..wh..opq", ".wh.gone"):
            tar.addfile(tarfile.TarInfo(name))
    data.seek(0)
    layer = LayerStore(tmp_path / "layers").add_tar(data).path
    with merged(OverlayDriver().mount([low, layer], upper, work)) as top:
        with merged(os.open("d", os.O_RDONLY, dir_fd=top)) as inner:
            assert (os.listdir(top), os.listdir(inner)) == (["d"], ["new"])
    tmp_path.chmod(0o755)
    options = f"lowerdir={layer}:{low},upperdir={tmp_path}/up2,workdir={tmp_path}/wk2,userxattr"
    script = f"mount -t overlay -o {options} overlay {point} && cd {point} && ls && ls d"
    folders(tmp_path, "up2", "wk2")
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("d\nnew\n", "")


def test_choose_tries_and_says_why(tmp_path: Path) -> None:
    """On a usual file system overlay is chosen; where it cannot work (on overlay itself) the reason is told, and copies
    are made."""
    chosen, verdicts = union.choose(tmp_path)
    assert chosen.name == "overlay"
    assert verdicts["overlay"].ok
    assert os.listdir(tmp_path) == []
    low, upper, work, point = folders(tmp_path, "low", "up", "wk", "merged")
    fd = OverlayDriver().mount([low], upper, work)
    with merged(fd):
        chosen, verdicts = union.choose(Path(f"/proc/self/fd/{fd}"))
    assert (chosen.name, verdicts["overlay"].ok, verdicts["aufs"].ok) == ("vfs", False, False)
    assert "overlay" in verdicts["overlay"].reason
    assert os.listdir(point) == []


_names = st.sampled_from(["a", "b"])
_nodes = st.recursive(
    st.sampled_from(["file", "whiteout"]),
    lambda inner: st.tuples(st.dictionaries(_names, inner, max_size=2), st.booleans()),
    max_leaves=5,
)


def _build(place: Path, node: object) -> None:
    if node == "file":
        place.touch()
    elif node == "whiteout":
        os.mknod(place, stat.S_IFCHR, os.makedev(0, 0))
    else:
        assert isinstance(node, tuple)
        place.mkdir(exist_ok=True)
        for name, child in node[0].items():
            _build(place / name, child)
        if node[1]:
            os.setxattr(place, "trusted.overlay.opaque", b"y")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(_names, _nodes, max_size=2), min_size=2, max_size=3))
def test_exists_agrees_with_the_kernel(stack: list[dict[str, object]]) -> None:
    """For any stack of layers, `exists` says what the mounted union shows."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as fds:
        layers = []
        for number, layer in enumerate(stack):
            place = Path(folder, str(number))
            _build(place, (layer, False))
            layers.append(os.open(place, os.O_RDONLY))
            fds.callback(os.close, layers[-1])
        with merged(OverlayDriver().mount(layers)) as top:
            for path in ("a", "b", "a/a", "a/b", "b/a", "b/b", "a/a/b", "b/b/b"):
                assert exists(layers, path) == _there(top, path), path


def _there(top: int, path: str) -> bool:
    try:
        os.stat(path, dir_fd=top, follow_symlinks=False)
    except OSError:
        return False
    return True
