"""Which keyed inputs a terminal has had: what makes `terminal.type` happen once, whatever is sent twice.

A page that clicks "run" makes a key, and repeats the call with the same key after a double click, a reconnect or a
restart of anything between it and the pty. The newest `KEYS` keys of each terminal are kept in a small file, written
before the bytes go to the pty: should the daemon die in between, the block is not typed rather than typed twice, and
the learner sees an empty prompt instead of `rm` run again.
"""

from __future__ import annotations

from pathlib import Path

from engine.errors import BadInput

KEYS = 256
KEY_LIMIT = 128


class Typed:
    """The keys of all terminals, one file each below a directory that lives as long as the machine is up."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._keys: dict[str, dict[str, None]] = {}  # by terminal; a dict keeps the order of arrival
        self._lines: dict[str, int] = {}

    def first_time(self, terminal: str, key: str) -> bool:
        """Remember the key; says whether it is new.

        Raises:
            BadInput: a key that cannot be kept.
        """
        if not 0 < len(key) <= KEY_LIMIT or not key.isprintable():
            raise BadInput(f"The key of a block has 1 to {KEY_LIMIT} printable characters.")
        keys = self._keys.get(terminal)
        if keys is None:
            keys = self._keys[terminal] = self._load(terminal)
            self._lines[terminal] = len(keys)
        if key in keys:
            return False
        keys[key] = None
        if len(keys) > KEYS:
            del keys[next(iter(keys))]
        self._save(terminal, key)
        return True

    def forget(self, terminal: str) -> None:
        """The terminal is no more."""
        self._keys.pop(terminal, None)
        self._lines.pop(terminal, None)
        self._path(terminal).unlink(missing_ok=True)

    def sweep(self, living: set[str]) -> None:
        """Forget the terminals that did not come back after a restart of the daemon."""
        if self._directory.is_dir():
            for path in self._directory.iterdir():
                if path.name not in living:
                    path.unlink(missing_ok=True)

    def _path(self, terminal: str) -> Path:
        return self._directory / terminal.replace("/", "_")

    def _load(self, terminal: str) -> dict[str, None]:
        try:
            lines = self._path(terminal).read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return {}
        return dict.fromkeys(lines[-KEYS:])

    def _save(self, terminal: str, key: str) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(terminal)
        self._lines[terminal] += 1
        if self._lines[terminal] > 2 * KEYS:  # bounded: write it anew with what is still of use
            fresh = path.with_name(path.name + ".new")
            fresh.write_text("".join(f"{each}\n" for each in self._keys[terminal]), encoding="utf-8")
            fresh.replace(path)
            self._lines[terminal] = len(self._keys[terminal])
        else:
            with path.open("a", encoding="utf-8") as file:
                file.write(key + "\n")
