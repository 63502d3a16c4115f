"""Where the files that are not Python live: lessons, built front end, our own source for the source viewer.

Two layouts: a checkout (folders beside `web/`) and an installed wheel, in which they are copied below the package. One
rule for both: the copy inside the package wins when it exists. This module opens nothing but the manifest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from web.settings import WebSettings

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parent


def _beside(installed: str, checkout: str) -> Path:
    inside = _PACKAGE / installed
    return inside if inside.is_dir() else _CHECKOUT / checkout


@dataclass(frozen=True)
class Paths:
    """Resolved folders of one web process."""

    lessons: Path
    dist: Path
    source: Path = _CHECKOUT
    templates: Path = _PACKAGE / "templates"
    translations: Path = _PACKAGE / "translations"
    migrations: Path = _PACKAGE / "migrations"

    @classmethod
    def of(cls, settings: WebSettings) -> Paths:
        """The folders these settings mean."""
        static = settings.static or _beside("_static", "static")
        return cls(lessons=settings.lessons or _beside("_lessons", "lessons"), dist=static / "dist")

    @cached_property
    def manifest(self) -> dict[str, str]:
        """Plain name -> name with a content hash, as the build wrote it; empty before the first build."""
        try:
            loaded = json.loads((self.dist / "manifest.json").read_text("utf-8"))
        except FileNotFoundError:
            return {}
        return {str(plain): str(hashed) for plain, hashed in loaded.items()}

    def asset(self, name: str) -> str:
        """File name to link for a plain name: the hashed one when there is a build."""
        return self.manifest.get(name, name)
