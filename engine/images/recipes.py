"""What goes into `hako/mini` and `hako/lab`, step by step. Effects: everything is copied into a RootFs.

`hako/lab` has two layers: `programs` (this machine's programs, libraries and data; changes with the machine's packages)
and `hako` (our files and this engine's source; changes with Hako). A lesson shows them as /layers/0 and /layers/1.
"""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import engine
from engine.errors import Failed
from engine.images import elf, labfiles, programs, pythonlib
from engine.images.rootfs import NotShareable, RootFs, canonical

Progress = Callable[[str, int, int], None]  # what is being done, how many are done, of how many

INIT = "/usr/libexec/hako/init"
_TERMINALS = ("ansi", "dumb", "linux", "screen", "screen-256color", "tmux", "tmux-256color", "vt100", "vt220", "xterm",
              "xterm-256color")  # fmt: skip
_TERMINFO = ("/usr/share/terminfo", "/usr/lib/terminfo", "/etc/terminfo")
_LOCALES = ("C.utf8", "ja_JP.utf8")
_DATA = ("/etc/iproute2", "/usr/share/iproute2", "/usr/lib/tc")
_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
# Opened by dlopen(3), so no loader lists them: pthread_exit, seccomp in the engine, FUSE file systems in Python.
_LIBRARIES = ("libgcc_s.so.1", "libseccomp.so.2", "libfuse3.so.3", "libfuse3.so.4")
_APPLETS = ("vi", "nc", "nslookup", "wget", "traceroute", "httpd", "tree", "xxd", "pstree", "killall")
_MINI_WITHOUT_BUSYBOX = "bash cat chmod echo env false hostname id ls mkdir mount ps pwd rm sh sleep true umount uname"


@dataclass
class Built:
    """What a recipe found out.

    Args:
        missing: programs and data that this machine does not have.
        sources: every path read, with size and time (RootFs.sources).
    """

    missing: list[str] = field(default_factory=list)
    sources: dict[str, tuple[int, int]] = field(default_factory=dict)


def lab_programs(root: RootFs, python: pythonlib.Python | None, progress: Progress) -> Built:
    """The layer `programs` of `hako/lab`.

    Raises:
        Failed: a program of programs.NEEDED is not on this machine; says which package brings it.
    """
    wanted = [name for package in programs.PACKAGES if package.lab for name in package.names if name != "python3"]
    _demand(programs.NEEDED)
    built = Built()
    root.mirror_top()
    copied: list[str] = []
    for number, name in enumerate(wanted):
        progress("programs", number, len(wanted))
        path = programs.find(name)
        if name == "catatonit" and path is not None:
            root.copy(path, to=INIT)
            root.link("/usr/bin/catatonit", INIT)
        elif not _copy(root, path, copied):
            built.missing.append(name)
            _note_absence(root, name)
    built.missing += _python(root, python, copied, progress)
    _applets(root)
    built.missing += _libraries(root, copied, progress)
    built.missing += _data(root)
    _ldconfig(root)
    root.finish()
    built.sources = root.sources
    return built


def lab_files(root: RootFs, python: pythonlib.Python | None) -> Built:
    """The layer `hako` of `hako/lab`: our own files and this engine's source in /usr/lib/hako."""
    _write_all(root, labfiles.DIRECTORIES, labfiles.FILES, labfiles.LINKS)
    root.directory("/home/learner", owner=labfiles.LEARNER)
    package = Path(engine.__file__).parent
    for source in sorted(package.rglob("*.py")):
        status = source.stat()
        root.sources[str(source)] = (status.st_size, status.st_mtime_ns)
        root.write(f"/usr/lib/hako/engine/{source.relative_to(package)}", source.read_bytes())
    if python is not None:
        packages = python.packages.replace(python.prefix, "/usr", 1) if python.relocate else python.packages
        root.write(f"{packages}/hako.pth", "/usr/lib/hako\n")
    _aufs(root)
    _own_engine(root, python)
    root.finish()
    return Built(sources=root.sources)


def _aufs(root: RootFs) -> None:
    """What makes `mount -t aufs` work: the helpers mount(8) runs by name, and the FUSE binding they need."""
    found = importlib.util.find_spec("mfusepy")
    if found is None or found.origin is None:
        return
    root.write("/usr/lib/hako/mfusepy.py", Path(found.origin).read_bytes())
    for name in ("mount.aufs", "mount.fuse.aufs"):
        root.write(f"/usr/sbin/{name}", labfiles.MOUNT_AUFS, mode=0o755)


def _own_engine(root: RootFs, python: pythonlib.Python | None) -> None:
    """What the lab's own engine needs: the packages it imports, which are pure Python or can do without their
    libraries, the command `hako`, and all of it compiled, or the first `hako run` would spend a second on that."""
    for name in ("msgpack", "structlog"):
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            continue
        package = Path(found.origin).parent
        for source in sorted([*package.rglob("*.py"), *package.rglob("*.so")]):
            status = source.stat()
            root.sources[str(source)] = (status.st_size, status.st_mtime_ns)
            root.write(f"/usr/lib/hako/{name}/{source.relative_to(package)}", source.read_bytes())
    root.write("/usr/bin/hako", labfiles.HAKO, mode=0o755)
    if python is not None:
        words = [python.executable, "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
        words += ["-s", str(root.top), "-p", "/", str(root.top / "usr/lib/hako")]
        subprocess.run(words, env={}, capture_output=True, timeout=120, check=False)


def mini(root: RootFs) -> Built:
    """The one layer of `hako/mini`: busybox and a link per applet; without busybox a few programs of this machine."""
    busybox = programs.find("busybox")
    copied: list[str] = []
    built = Built()
    if busybox is None:
        root.mirror_top()
        built.missing = ["busybox"]
        _note_absence(root, "busybox")
        for name in _MINI_WITHOUT_BUSYBOX.split():
            _copy(root, programs.find(name), copied)
    else:
        for name, target in (("sbin", "bin"), ("usr/bin", "../bin"), ("usr/sbin", "../bin")):
            root.link("/" + name, target)
        copied.append(root.copy(busybox, to="/bin/busybox"))
        for applet in _applet_names(busybox):
            root.link(f"/bin/{applet}", "busybox")
    _write_all(root, labfiles.DIRECTORIES, labfiles.MINI_FILES, {})
    _libraries(root, copied, lambda *_: None)
    root.finish()
    built.sources = root.sources
    return built


def _demand(names: frozenset[str]) -> None:
    absent = sorted(name for name in names if programs.find(name) is None)
    if absent:
        packages = sorted({package.debian for name in absent if (package := programs.package_of(name))})
        raise Failed(
            f"the image hako/lab cannot be made: this machine has no {', '.join(absent)}",
            f"Install the packages {', '.join(packages)} (names as on Debian) and start again.",
        )


def _copy(root: RootFs, path: str | None, copied: list[str]) -> bool:
    """Copy one program; False where it is absent or leads to a place that is not copied from."""
    if path is None:
        return False
    try:
        copied.append(root.copy(path))
    except NotShareable:
        return False
    return True


def _note_absence(root: RootFs, name: str) -> None:
    """When somebody installs it later, the next start of the engine sees it and makes the image anew."""
    for folder in programs.FOLDERS:
        root.missing(f"{folder}/{name}")


def _python(root: RootFs, python: pythonlib.Python | None, copied: list[str], progress: Progress) -> list[str]:
    if python is None:
        return ["python3"]
    name = f"python{python.version[0]}.{python.version[1]}"
    copied.append(root.copy(python.executable, to=f"/usr/bin/{name}"))
    root.link("/usr/bin/python3", name)
    for number, folder in enumerate(python.libraries):
        progress("python", number, len(python.libraries))
        root.copy_tree(folder, leave_out=pythonlib.leave_out(folder))
        copied += [str(path) for path in Path(folder, "lib-dynload").glob("*.so") if str(path) in root.sources]
    return []


def _libraries(root: RootFs, files: list[str], progress: Progress) -> list[str]:
    """Every shared library that the copied files need; returns the names nobody found."""
    libraries = elf.Libraries()
    for number, path in enumerate(files):
        progress("libraries", number, len(files))
        libraries.add(Path(path))
    folders = {str(Path(canonical(path)).parent) for path in libraries.found}
    extra = [f"{folder}/{name}" for folder in sorted(folders) for name in _LIBRARIES if Path(folder, name).exists()]
    for path in extra:
        libraries.found.add(path)
        libraries.add(Path(path))
    unshareable = []
    for path in sorted(libraries.found):
        try:
            root.copy(path)
        except (NotShareable, OSError):
            unshareable.append(path)
    return sorted(libraries.absent) + unshareable


def _data(root: RootFs) -> list[str]:
    """What programs read at run time: terminal descriptions, locales, names of iproute2, certificates."""
    missing = []
    for name in _TERMINALS:
        places = [f"{folder}/{name[0]}/{name}" for folder in _TERMINFO if Path(folder, name[0], name).is_file()]
        if places:
            root.copy(places[0], to=f"/usr/share/terminfo/{name[0]}/{name}")
        else:
            missing.append(f"terminfo:{name}")
    for name in _LOCALES:
        if not _locale(root, name):
            missing.append(f"locale:{name}")
    for place in _DATA:
        if Path(place).is_dir():
            root.copy_tree(place)
    certificates = [place for place in _CERTIFICATES if Path(place).is_file()]
    for place in certificates:
        root.copy(place)
    return missing + ([] if certificates else ["ca-certificates"])


def _locale(root: RootFs, name: str) -> bool:
    """A compiled locale, copied, or compiled here where the machine only has its source (man 1 localedef)."""
    folder = Path("/usr/lib/locale", name)
    if folder.is_dir():
        root.copy_tree(str(folder))
        return True
    root.missing(str(folder))
    language, _, _ = name.partition(".")
    source, localedef = Path("/usr/share/i18n/locales", language), programs.find("localedef")
    if localedef is None or not source.is_file():
        root.missing(str(source))
        return False
    root.directory("/usr/lib/locale")
    out = root.top / "usr/lib/locale" / name
    command = [localedef, "--no-archive", "-c", "-i", language, "-f", "UTF-8", str(out)]
    subprocess.run(command, env={}, capture_output=True, timeout=60, check=False)
    return (out / "LC_CTYPE").is_file()


def _applets(root: RootFs) -> None:
    """Where the machine lacks a program that busybox can be, it is; `vi` always, as vim wants its runtime folder."""
    busybox = programs.find("busybox")
    there = _applet_names(busybox) if busybox else []
    for name in _APPLETS:
        if name in there and not (root.top / "usr/bin" / name).exists():
            root.link(f"/usr/bin/{name}", "busybox")


def _applet_names(busybox: str) -> list[str]:
    done = subprocess.run([busybox, "--list"], env={}, capture_output=True, text=True, timeout=10, check=True)
    return [name for name in done.stdout.split() if name != "busybox" and "/" not in name]


def _ldconfig(root: RootFs) -> None:
    """The loader's cache, made inside the tree: `find_library` and libraries outside the default folders need it."""
    ldconfig = programs.find("ldconfig")
    if ldconfig is None:
        return
    root.write("/etc/ld.so.conf", "/usr/local/lib\n")
    subprocess.run([ldconfig, "-r", str(root.top), "-i", "-X"], env={}, capture_output=True, timeout=60, check=False)


def _write_all(root: RootFs, directories: dict[str, int], files: dict[str, str], links: dict[str, str]) -> None:
    for path, mode in directories.items():
        root.directory(path, mode)
    for path, text in files.items():
        root.write(path, text)
    for path, target in links.items():
        root.link(path, target)
