"""The two files by which a container knows names: /etc/resolv.conf and /etc/hosts, as text.

A resolver on the host's loopback address (systemd-resolved's 127.0.0.53, dnsmasq) cannot be reached from another
network namespace: such servers are left out, as Docker does, and the resolver's file of upstream servers is read.
See resolv.conf(5), hosts(5), systemd-resolved.service(8). Writing the files into a root file system is the runtime's.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, ip_address
from pathlib import Path

HOST_FILES = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
# glibc's resolver reads no more (MAXNS).
SERVERS_MAX = 3
# What of a file is read at most; resolv.conf is a few hundred bytes.
READ_BYTES = 16_384


def resolv_conf(texts: Iterable[str]) -> str:
    """A resolv.conf for a container.

    Args:
        texts: the host's files, the one to prefer first; the first that names a server a container can reach is used.

    Returns:
        Its servers, search list and options; empty if no file names such a server: then names are not resolved.
    """
    for text in texts:
        lines = [words for words in map(str.split, text.splitlines()) if len(words) > 1]
        servers = [words[1] for words in lines if words[0] == "nameserver" and _reachable(words[1])]
        if servers:
            kept = [" ".join(words) for words in lines if words[0] in ("search", "domain", "options")]
            return "\n".join([*(f"nameserver {server}" for server in servers[:SERVERS_MAX]), *kept]) + "\n"
    return ""


def _reachable(server: str) -> bool:
    """Whether a container can send to it: IPv4, which is all its network has, and not the host's loopback."""
    try:
        address = ip_address(server)
    except ValueError:
        return False
    return isinstance(address, IPv4Address) and not address.is_loopback and not address.is_unspecified


def host_resolv_conf(paths: Iterable[str] = HOST_FILES) -> str:
    """A resolv.conf for a container, from this machine's files; those that are not there are passed over."""
    texts = []
    for path in paths:
        try:
            with Path(path).open(encoding="utf-8", errors="replace") as file:
                texts.append(file.read(READ_BYTES))
        except OSError:
            continue
    return resolv_conf(texts)


def hosts(hostname: str, address: IPv4Address | None) -> str:
    """A hosts file: localhost, and the container's own name at its address, or at 127.0.1.1 without a network."""
    return f"127.0.0.1\tlocalhost\n{address or '127.0.1.1'}\t{hostname}\n"
