"""Image references: what people type to name an image (grammar of distribution/reference, which Docker uses).

    reference      := name [":" tag] ["@" digest]
    name           := [domain "/"] path
    domain         := host [":" port]                      host: domain name, IPv4 or [IPv6]
    path           := component ("/" component)*
    component      := [a-z0-9]+ (("." | "_" | "__" | "-"+) [a-z0-9]+)*
    tag            := [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}

A first part counts as a domain only with a dot, a colon or an upper-case letter in it, or when it is `localhost`; else
the domain is `docker.io`, and a name of one part lies below `library/`. So `hako/lab` is `docker.io/hako/lab:latest`.
Pure: nothing here asks a store or a registry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from engine.errors import BadInput
from engine.storage import digests
from engine.storage.digests import Digest

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"
NAME_CHARACTERS = 255  # the whole name with its domain, as registries bound it

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?\Z")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_IDENTIFIER = re.compile(r"[0-9a-f]{64}\Z")
_HINT = "Write it like hako/lab, hako/lab:latest or registry.example:5000/team/app@sha256:…"


@dataclass(frozen=True)
class Reference:
    """A checked reference, in full: `domain` and `path` are always there.

    Args:
        tag: absent where only a digest was given.
        digest: of the manifest, absent where only a tag was given.
    """

    domain: str
    path: str
    tag: str | None = None
    digest: Digest | None = None

    @property
    def name(self) -> str:
        """The full name without tag and digest: `docker.io/library/debian`."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The name as people write it: `debian`; in full where the short one would mean something else."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        rest = self.path.removeprefix(_OFFICIAL)
        short = rest if "/" not in rest else self.path
        return short if _split_domain(short) == (self.domain, self.path) else self.name

    def canonical(self) -> str:
        """The full reference: the store's key."""
        return self.name + self._suffix()

    def __str__(self) -> str:
        """The reference as people write it; `parse` gives back the same one."""
        return self.familiar_name + self._suffix()

    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{tag}@{self.digest}" if self.digest else tag

    def tagged(self) -> Reference:
        """With the tag `latest` where neither tag nor digest was given."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)


def parse(text: str) -> Reference:
    """Read what a person typed.

    Returns:
        The reference; without a tag or digest it gets none (see `tagged`).

    Raises:
        BadInput: it does not follow the grammar.
    """
    if _IDENTIFIER.match(text):
        raise BadInput(f"{text!r} is an image's id, not a name", "A name must not be 64 hexadecimal digits.")
    rest, at, digest = text.partition("@")
    checked = digests.parse(digest) if at else None
    domain, path = _split_domain(rest)
    tag = None
    if ":" in path:
        path, _, tag = path.partition(":")
        if not _TAG.match(tag):
            raise BadInput(f"{text[:300]!r} has no valid tag after the colon", _HINT)
    if any(character.isupper() for character in path):
        raise BadInput(f"{text[:300]!r} is no image name: it must be lower case", _HINT)
    if not _PATH.match(path) or not _DOMAIN.match(domain):
        raise BadInput(f"{text[:300]!r} is no image name", _HINT)
    if len(domain) + 1 + len(path) > NAME_CHARACTERS:
        raise BadInput(f"{text[:60]!r}… is longer than {NAME_CHARACTERS} characters", _HINT)
    return Reference(domain, path, tag, checked)


def _split_domain(text: str) -> tuple[str, str]:
    """The domain a name begins with, else the default one; see the module's text for what counts as a domain."""
    first, slash, rest = text.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost" or first.lower() != first):
        first, rest = DEFAULT_DOMAIN, text
    if first == _LEGACY_DOMAIN:
        first = DEFAULT_DOMAIN
    if first == DEFAULT_DOMAIN and "/" not in rest:
        rest = _OFFICIAL + rest
    return first, rest
