"""The base images, made from this machine for real: what is in them, what is not, and when they are made anew."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import Failed
from engine.images import base, elf, labfiles, programs, recipes
from engine.images.rootfs import NotShareable, RootFs
from engine.images.store import Image, ImageStore
from engine.storage.overlay import OverlayDriver
from engine.storage.tree import Entry, walk

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageStore, dict[str, Image], float]:
    """Both images in a store of this module's own, and the seconds it took."""
    store = ImageStore(tmp_path_factory.mktemp("base"))
    started = time.monotonic()
    images = base.ensure(store)
    return store, images, time.monotonic() - started


@pytest.fixture(params=base.NAMES)
def image(request: pytest.FixtureRequest, made: tuple[ImageStore, dict[str, Image], float]) -> Image:
    """Each of the two."""
    return made[1][request.param]


@pytest.fixture(scope="module")
def lab(made: tuple[ImageStore, dict[str, Image], float]) -> Iterator[int]:
    """The root of hako/lab as a read-only mount, open."""
    fd = OverlayDriver().mount(made[1][base.LAB].layers)
    yield fd
    os.close(fd)


def _run(root_fd: int, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a program with an image's root as its root; the environment is the image's."""
    command = ["chroot", f"/proc/self/fd/{root_fd}", *argv]
    environment = dict(word.split("=", 1) for word in labfiles.LAB_ENVIRONMENT) | {"TERM": "xterm-256color"}
    return subprocess.run(
        command,
        env=environment,
        pass_fds=[root_fd],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def _entries(image: Image) -> Iterator[tuple[Path, Entry]]:
    for layer in image.layers:
        for entry in walk(layer):
            yield layer, entry


def test_made_quickly_and_found_at_once(
    made: tuple[ImageStore, dict[str, Image], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Well under 20 seconds the first time; the second time nothing is made."""
    store, images, seconds = made
    assert seconds < 20
    monkeypatch.setattr(base, "_make", None)
    assert base.ensure(store) == images


@pytest.mark.slow
def test_same_machine_same_image(made: tuple[ImageStore, dict[str, Image], float], tmp_path: Path) -> None:
    """Made again from nothing, the layers have the same digests."""
    again = base.ensure(ImageStore(tmp_path))
    assert {name: image.config["rootfs"] for name, image in again.items()} == {
        name: image.config["rootfs"] for name, image in made[1].items()
    }


def test_nothing_private_and_nothing_privileged(image: Image) -> None:
    """Root's files, readable by all, writable by root alone; no set-id bit, no device, no capability, no password."""
    for layer, entry in _entries(image):
        status, path = entry.status, layer / entry.path
        owner = labfiles.LEARNER if entry.path == "home/learner" else 0
        assert (status.st_uid, status.st_gid) == (owner, owner), entry.path
        if stat.S_ISLNK(status.st_mode):
            continue
        assert not status.st_mode & (stat.S_ISUID | stat.S_ISGID), entry.path
        assert stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode), entry.path
        assert not status.st_mode & stat.S_IWOTH or status.st_mode & stat.S_ISVTX, entry.path
        assert "security.capability" not in os.listxattr(path), entry.path
        if stat.S_ISREG(status.st_mode):
            assert status.st_mode & 0o444 == 0o444, entry.path
        assert entry.name not in ("shadow", "gshadow", ".ssh", ".netrc", "authorized_keys"), entry.path
        assert not entry.name.startswith("ssh_host_"), entry.path


def test_no_file_of_the_machine_outside_the_shared_folders(image: Image) -> None:
    """In /etc, /home, /root and /var there is only what we wrote ourselves, and a few named data files."""
    ours = {path.lstrip("/") for path in (*labfiles.FILES, *labfiles.MINI_FILES)}
    named = ("etc/ld.so.", "etc/iproute2/", "etc/ssl/certs/ca-certificates.crt", "etc/pki/")
    for _, entry in _entries(image):
        if stat.S_ISREG(entry.status.st_mode) and entry.path.split("/")[0] in (
            "etc",
            "home",
            "root",
            "var",
            "opt",
            "srv",
        ):
            assert entry.path in ours or entry.path.startswith(named), entry.path


def test_no_dangling_program(lab: int) -> None:
    """Every name in the program folders leads to a file inside the image."""
    script = 'for f in /usr/bin/* /usr/sbin/*; do [ -f "$f" ] && [ -x "$f" ] || echo "$f"; done'
    assert _run(lab, "bash", "-c", script).stdout == ""


def test_every_library_is_there(made: tuple[ImageStore, dict[str, Image], float], lab: int) -> None:
    """The image's own loader finds all that its programs need, inside the image."""
    layer = made[1][base.LAB].layers[0]
    loaders = set()
    checked = []
    for entry in walk(layer):
        if stat.S_ISREG(entry.status.st_mode) and entry.status.st_mode & 0o111:
            found = elf.read(layer / entry.path)
            if found and found.interpreter:
                loaders.add(found.interpreter)
                checked.append("/" + entry.path)
    assert len(checked) > 100
    (loader,) = loaders
    script = f'for f in {" ".join(checked)}; do {loader} --list "$f" | grep "not found"; done'
    assert _run(lab, "bash", "-c", script).stdout == ""


@pytest.mark.parametrize("name", sorted(programs.NEEDED | {"nft", "strace", "curl", "nano", "python3", "vi", "tc"}))
def test_needed_programs_run(lab: int, name: str) -> None:
    """Each starts: no missing loader, library or interpreter (those exit with 126 or 127)."""
    done = _run(lab, "bash", "-c", f"command -v {name} && {name} --version; echo status $?")
    status = done.stdout.rsplit("status ", 1)[1].strip()
    assert status not in ("126", "127"), done
    assert "error while loading shared libraries" not in done.stderr


def test_the_labs_python_has_this_engine(lab: int) -> None:
    """python3 in the lab imports the engine, TLS and ctypes, and has no site-packages of the machine."""
    script = (
        "import engine.linux.syscalls, ssl, ctypes, asyncio, sys, json; print(json.dumps([engine.__file__, sys.path]))"
    )
    done = _run(lab, "python3", "-B", "-c", script)
    assert done.returncode == 0, done.stderr
    where, path = json.loads(done.stdout)
    assert where == "/usr/lib/hako/engine/__init__.py"
    assert not [folder for folder in path if folder.startswith(("/root", "/home"))]


def test_shell_names_users_and_locale(lab: int) -> None:
    """A login shell is bash with our prompt, users have names, C.UTF-8 works, `sh` is bash."""
    done = _run(
        lab, "bash", "-lic", 'echo "$PS1"; id -un; id -un 1000; locale charmap; readlink -f /bin/sh; echo $EDITOR'
    )
    assert done.stdout.splitlines() == ["\\u@\\h:\\w\\$ ", "root", "learner", "UTF-8", "/usr/bin/bash", "nano"]


def test_init_is_a_static_reaper(made: tuple[ImageStore, dict[str, Image], float], lab: int) -> None:
    """The lab's first process needs no library; its place is the one the engine executes."""
    found = elf.read(made[1][base.LAB].layers[0] / recipes.INIT.lstrip("/"))
    assert found is not None
    assert found.interpreter is None
    assert "catatonit" in _run(lab, recipes.INIT, "--version").stdout


def test_mini_is_one_small_layer(made: tuple[ImageStore, dict[str, Image], float]) -> None:
    """hako/mini: one layer, and its shell runs with nothing else there."""
    image = made[1][base.MINI]
    assert len(image.layers) == 1
    fd = OverlayDriver().mount(image.layers)
    try:
        assert _run(fd, "/bin/sh", "-c", "echo hello | tr a-z A-Z; ls / | head -1").stdout == "HELLO\nbin\n"
    finally:
        os.close(fd)


@pytest.mark.slow
def test_missing_programs_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without strace gets an image without it that says so, and a new one once it is installed."""
    find = programs.find
    monkeypatch.setattr(programs, "find", lambda name: None if name == "strace" else find(name))
    store = ImageStore(tmp_path)
    (image,) = base.ensure(store, names=(base.LAB,)).values()
    assert "strace" in base.missing(image)
    assert not (image.layers[0] / "usr/bin/strace").exists()
    monkeypatch.setattr(programs, "find", find)
    (again,) = base.ensure(store, names=(base.LAB,)).values()  # /usr/bin/strace was remembered as absent
    assert "strace" not in base.missing(again)
    assert (again.layers[0] / "usr/bin/strace").exists()


def test_without_a_needed_program_the_error_names_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No ip(8), no lab: the message says what is missing, the hint how to get it; no half image stays."""
    find = programs.find
    monkeypatch.setattr(programs, "find", lambda name: None if name == "ip" else find(name))
    store = ImageStore(tmp_path)
    with pytest.raises(Failed, match="no ip") as caught:
        base.ensure(store, names=(base.LAB,))
    assert "iproute2" in caught.value.hint
    assert store.all() == []
    assert list(store.layers.root.iterdir()) == []


def test_mini_without_busybox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is made of a few programs of the machine with their libraries, and still has a shell."""
    find = programs.find
    monkeypatch.setattr(programs, "find", lambda name: None if name == "busybox" else find(name))
    (image,) = base.ensure(ImageStore(tmp_path), names=(base.MINI,)).values()
    assert base.missing(image) == ["busybox"]
    fd = OverlayDriver().mount(image.layers)
    try:
        assert _run(fd, "/bin/sh", "-c", "echo hello; ls -d /bin").stdout == "hello\n/bin\n"
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    "path", ["/etc/shadow", "/etc/passwd", "/root/.bashrc", "/home/x", "/var/lib/x", "/usr/../etc/shadow"]
)
def test_what_is_not_shareable_is_not_copied(tmp_path: Path, path: str) -> None:
    """Only the folders of packages are copied from, however a path is spelt."""
    with pytest.raises((NotShareable, FileNotFoundError)):
        RootFs(tmp_path).copy(path)
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_a_private_file_is_not_followed(tmp_path: Path) -> None:
    """A program folder's link into somebody's home brings neither the file nor the link."""
    home, folder, top = tmp_path / "home", tmp_path / "bin", tmp_path / "top"
    for place in (home, folder, top):
        place.mkdir()
    (home / "tool").write_text("private")
    (folder / "tool").symlink_to(home / "tool")
    root = RootFs(top, relocate={str(folder): "/usr/bin"})
    with pytest.raises(NotShareable):
        root.copy(str(folder / "tool"))
    assert list(top.iterdir()) == []


def test_writing_does_not_follow_links_out_of_the_tree(tmp_path: Path) -> None:
    """A file written where an absolute link stands replaces the link."""
    outside, top = tmp_path / "outside", tmp_path / "top"
    outside.write_text("old")
    top.mkdir()
    root = RootFs(top)
    root.link("/etc/x", str(outside))
    root.write("/etc/x", "new")
    assert (outside.read_text(), (top / "etc/x").read_text()) == ("old", "new")
