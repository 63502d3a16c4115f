"""A Debian with nothing in it: made by mmdebstrap(1), entered by pivot_root(2), thrown away after the test.

It guards against "works on my machine". Only two things come from the machine: how its package clients reach their
registries (files and variables of apt, pip and npm, certificates), and the source, as a clean clone.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent

# Files and folders by which a machine's package clients know their registries. Copied as they are, never read.
CLIENT_FILES = (
    "/etc/apt/sources.list",
    "/etc/apt/sources.list.d",
    "/etc/apt/apt.conf.d",
    "/etc/apt/auth.conf.d",
    "/etc/apt/preferences.d",
    "/etc/apt/keyrings",
    "/etc/apt/trusted.gpg",
    "/etc/apt/trusted.gpg.d",
    "/etc/pip.conf",
    "/etc/xdg/pip",
    "/etc/npmrc",
    "/usr/local/share/ca-certificates",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/resolv.conf",
    "/etc/hosts",
)
HOME_FILES = (".config/pip", ".pip", ".npmrc")
CLIENT_VARIABLES = re.compile(
    r"^(PIP_.*|npm_config_.*|NPM_CONFIG_.*|NODE_EXTRA_CA_CERTS|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|(https?|no|all)_proxy|(HTTPS?|NO|ALL)_PROXY)$"
)


def client_environment() -> dict[str, str]:
    """The variables of the package clients, and no other of ours."""
    return {name: value for name, value in os.environ.items() if CLIENT_VARIABLES.match(name)}


def _copy(source: Path, root: Path) -> None:
    """Copies one file or folder to the same place below `root`; a link is followed, a missing one is passed over."""
    if source.exists():
        target = root / source.parent.relative_to("/")
        target.mkdir(parents=True, exist_ok=True)
        command = ["cp", "--archive", "--dereference", "--remove-destination", str(source), f"{target}/"]
        subprocess.run(command, check=True, timeout=60)


def make_tarball(tarball: Path, suite: str) -> None:
    """The smallest Debian that apt can add to, packed so that several roots can be made of it.

    Args:
        tarball: where to write it.
        suite: name of the release, as the machine's own sources have it.

    Raises:
        subprocess.CalledProcessError: mmdebstrap failed; its words are on the test's standard error.
    """
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates", suite, str(tarball)],
        check=True,
        timeout=240,
    )


@dataclass(frozen=True)
class Machine:
    """A running copy of a root: processes, mounts and devices of its own.

    Args:
        process: unshare(1), the parent of the machine's first process.
        log: what the command in it printed.
    """

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def first(self) -> int:
        """Pid of the machine's first process as the host sees it; 0 when it is not there (any more)."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            return int(children.read_text().split()[0])
        except (OSError, IndexError):
            return 0

    def output(self) -> str:
        """All that the command printed so far."""
        return self.log.read_text(errors="replace")

    def stop(self, timeout_s: float) -> int:
        """Presses Ctrl-C in it and waits for its end; returns the command's exit status.

        Raises:
            subprocess.TimeoutExpired: it goes on after `timeout_s`. It was killed then, with all that is in it.
        """
        try:
            if self.first:
                os.kill(self.first, signal.SIGINT)
            return self.process.wait(timeout_s)
        finally:
            if self.process.poll() is None:
                if self.first:
                    os.kill(self.first, signal.SIGKILL)
                self.process.kill()
                self.process.wait()


@dataclass(frozen=True)
class DebianRoot:
    """A root directory that can be booted, as it were, more than once."""

    path: Path

    @classmethod
    def unpack(cls, tarball: Path, path: Path) -> DebianRoot:
        """Makes a root of `tarball` at `path`, with the machine's package client configuration in it."""
        path.mkdir(parents=True)
        subprocess.run(["tar", "-xpf", str(tarball), "--numeric-owner", "-C", str(path)], check=True, timeout=60)
        for name in CLIENT_FILES:
            _copy(Path(name), path)
        for name in HOME_FILES:
            _copy(Path("/root") / name, path)
        for value in client_environment().values():
            if value.startswith("/") and Path(value).exists() and not (path / value.lstrip("/")).exists():
                _copy(Path(value), path)
        return cls(path)

    def clone(self, source: Path, target: str) -> None:
        """Puts a clean clone of the commit that is checked out in `source` at `target` in the root."""
        url = source.resolve().as_uri()
        subprocess.run(
            ["git", "clone", "--quiet", "--depth=1", url, str(self.path / target.lstrip("/"))], check=True, timeout=60
        )

    @contextlib.contextmanager
    def on_overlay(self, folder: Path) -> Iterator[DebianRoot]:
        """A copy-on-write copy of this root, as a container engine's images are: what is written is forgotten."""
        upper, work, merged = (folder / name for name in ("upper", "work", "merged"))
        for made in (upper, work, merged):
            made.mkdir(parents=True)
        options = f"lowerdir={self.path},upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", str(merged)], check=True, timeout=10)
        try:
            yield DebianRoot(merged)
        finally:
            subprocess.run(["umount", str(merged)], check=True, timeout=30)
            subprocess.run(["rm", "-rf", str(folder)], check=True, timeout=60)

    def start(self, command: list[str], environment: Mapping[str, str], log: Path, *, network: bool) -> Machine:
        """Enters the root with processes and mounts of its own and runs `command` there.

        Args:
            command: argv, a path inside the root.
            environment: all its variables but PATH, HOME and TERM.
            log: file for what it prints.
            network: the host's network, or one with a loopback link alone.
        """
        apart = ["unshare", "--mount", "--pid", "--fork", "--propagation", "private", "--kill-child"]
        if not network:
            apart.append("--net")
        plain = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "TERM": "dumb",
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*apart, "sh", str(HERE / "enter.sh"), str(self.path), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**plain, **environment},
                start_new_session=True,
            )
        return Machine(process, log)
