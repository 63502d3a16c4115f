"""A PostgreSQL server of the tests' own: Debian's programs, a folder of its own, a unix socket and no port.

It refuses to run as root, so root hands it to the user `postgres`, whom the package makes. Nothing it writes must
survive a power cut, hence no fsync.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from tests.web.lab_client import until

USER = "postgres"
QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=", "max_connections=40")


class Postgres:
    """One server; use as a context manager."""

    def __init__(self) -> None:
        # Not pytest's folder: its parents are closed to other users, and the server is one.
        self.folder = Path(tempfile.mkdtemp(prefix="hako-pg-"))
        self.log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0

    def __enter__(self) -> Postgres:
        if os.geteuid() == 0:
            shutil.chown(self.folder, USER, pwd.getpwnam(USER).pw_gid)
        options = ("-D", self.folder / "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        subprocess.run([*_as_user(), _program("initdb"), *options], check=True, capture_output=True, timeout=90)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = [word for each in (*QUICK, f"unix_socket_directories={self.folder}") for word in ("-c", each)]
        command = [*_as_user(), _program("postgres"), "-D", str(self.folder / "data"), *settings]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._answers, f"PostgreSQL answers; its log is {self.log}", 60)

    def stop(self) -> None:
        """End it, and every connection with it: a "fast shutdown" (postgres(1))."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=30)
            self._process = None

    def url(self, database: str = "postgres", form: str = "postgresql+psycopg") -> str:
        """The address of a database, as DATABASE_URL takes it."""
        return f"{form}://{USER}@/{database}?host={self.folder}"

    def database(self) -> str:
        """A new, empty database; its name."""
        self._made += 1
        name = f"test{self._made}"
        engine = create_engine(self.url(), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return name

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        engine = create_engine(self.url())
        try:
            with engine.connect():
                return True
        except OperationalError:
            return False
        finally:
            engine.dispose()


def _program(name: str) -> str:
    """Debian keeps each version's programs in a folder of their own, outside PATH; Fedora has one version in it."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    found = str(versions[-1]) if versions else shutil.which(name)
    assert found, f"{name} is not there: install postgresql, as ./hako test does"
    return found


def _as_user() -> list[str]:
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if os.geteuid() == 0 else []
