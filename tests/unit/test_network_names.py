"""resolv.conf and hosts for a container."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

from engine.network.names import host_resolv_conf, hosts, resolv_conf

STUB = "# systemd-resolved\nnameserver 127.0.0.53\noptions edns0 trust-ad\nsearch lan\n"
UPSTREAM = "nameserver 192.0.2.53\nnameserver fd00::53\nsearch lan example.org\n"


def test_a_resolver_on_the_hosts_loopback_is_of_no_use() -> None:
    """With systemd-resolved the second file, with the upstream servers, is taken whole."""
    assert resolv_conf([STUB, UPSTREAM]) == "nameserver 192.0.2.53\nsearch lan example.org\n"


def test_a_real_server_is_taken_with_options_and_search_list() -> None:
    """The first file wins where it names a server a container can reach."""
    text = "options ndots:2\nnameserver 192.0.2.1\nnameserver 127.0.0.1\n"
    assert resolv_conf([text, UPSTREAM]) == "nameserver 192.0.2.1\noptions ndots:2\n"


def test_no_more_servers_than_the_resolver_reads() -> None:
    """glibc reads three."""
    text = "".join(f"nameserver 192.0.2.{number}\n" for number in range(1, 6))
    assert resolv_conf([text]).count("nameserver") == 3


def test_nonsense_gives_an_empty_file() -> None:
    """Words that are no address, lines that are cut off, and no files at all."""
    assert resolv_conf(["nameserver\nnameserver not-an-address\nserver 192.0.2.1\n"]) == ""
    assert resolv_conf([]) == ""


def test_the_machines_files_are_read_in_order_and_may_be_missing(tmp_path: Path) -> None:
    """A machine without systemd has only the first, one without network neither."""
    (tmp_path / "upstream").write_text(UPSTREAM)
    assert host_resolv_conf([str(tmp_path / "none"), str(tmp_path / "upstream")]).startswith("nameserver 192.0.2.53\n")
    assert host_resolv_conf([str(tmp_path / "none")]) == ""


def test_a_container_knows_itself() -> None:
    """By its address, or by 127.0.1.1 when it has no network."""
    assert hosts("box", IPv4Address("10.209.0.2")) == "127.0.0.1\tlocalhost\n10.209.0.2\tbox\n"
    assert hosts("box", None).endswith("127.0.1.1\tbox\n")
