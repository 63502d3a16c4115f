"""What may pass: two nftables tables named after the instance, written as text and loaded in one transaction.

`inet <instance>` decides on routed packets: containers reach the world behind the host's address; labs reach neither
the host's services, nor containers, nor other labs, nor the world, unless their address is in the set `outbound`.
`bridge <instance>` looks at each frame that comes out of a lab: its hardware and IPv4 address must be the ones given to
that very port, it must be IPv4 or ARP, and there is a bound on frames a second. Nothing outside the two tables is read
or changed; an accept here cannot overrule a drop of Docker, ufw or firewalld (`doctor.py` tells of those). See nft(8).

Loaded through nft(8): the rules then read as text here, in `nft list ruleset`, and in the lesson about networks.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from ipaddress import IPv4Address

from engine.errors import Failed, Unsupported
from engine.network.addresses import Segment

# nft parses and commits a thousand elements in some 20 ms; a wait this long means that it hangs.
DEADLINE_S = 15.0
# A lab that downloads at 1 Gbit/s sends and receives some 80,000 packets a second, half of them acknowledgements.
FRAMES_PER_SECOND = 20_000
FRAMES_BURST = 10_000
# Enough for a package manager or a browser, small beside the host's nf_conntrack_max (65,536 and more).
CONNECTIONS_PER_LAB = 256


def ruleset(instance: str, containers: Segment, labs: Segment) -> str:
    """The two tables as nft(8) reads them; loading it replaces what an earlier engine left, at one stroke."""
    return f"""\
add table inet {instance}
delete table inet {instance}
add table bridge {instance}
delete table bridge {instance}

table inet {instance} {{
    # labs that may reach the world
    set outbound {{
        type ipv4_addr
    }}
    # open connections of each of them
    set connections {{
        type ipv4_addr
        size {labs.slots + 1}
        flags dynamic
    }}
    # pairs of links between which this host did not forward before we had it forward for us
    set unforwarded {{
        type ifname . ifname
    }}

    chain input {{
        type filter hook input priority filter; policy accept;
        iifname "{labs.bridge}" jump lab_to_host
    }}
    chain lab_to_host {{
        ct state established,related accept
        ip daddr {labs.gateway} icmp type echo-request limit rate 200/second accept
        counter drop
    }}

    chain forward {{
        type filter hook forward priority filter; policy accept;
        iifname . oifname @unforwarded drop
        iifname "{labs.bridge}" jump from_lab
        oifname "{labs.bridge}" ct state != {{ established, related }} drop
        iifname != "{containers.bridge}" oifname "{containers.bridge}" ct state != {{ established, related }} drop
    }}
    chain from_lab {{
        oifname {{ "{labs.bridge}", "{containers.bridge}" }} counter drop
        ip saddr != @outbound counter drop
        # link-local: on a cloud machine the metadata service, with its credentials
        ip daddr {{ 169.254.0.0/16, 224.0.0.0/4 }} counter drop
        ct state new add @connections {{ ip saddr ct count over {CONNECTIONS_PER_LAB} }} counter drop
    }}

    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {containers.network} oifname != "{containers.bridge}" masquerade
        ip saddr @outbound oifname != "{labs.bridge}" masquerade
    }}
}}

table bridge {instance} {{
    # the only addresses each lab's port may send from
    set ports {{
        type ifname . ether_addr . ipv4_addr
        elements = {{ {_ports(labs)} }}
    }}
    set rate {{
        type ifname
        size {labs.slots + 1}
        flags dynamic
    }}

    chain prerouting {{
        type filter hook prerouting priority filter; policy accept;
        meta iifgroup {labs.group} jump from_lab
    }}
    chain from_lab {{
        update @rate {{ iifname limit rate over {FRAMES_PER_SECOND}/second burst {FRAMES_BURST} packets }} counter drop
        iifname . ether saddr . ip saddr @ports accept
        iifname . ether saddr . arp saddr ip @ports iifname . arp saddr ether . arp saddr ip @ports accept
        counter drop
    }}
}}
"""


def _ports(labs: Segment) -> str:
    return ", ".join(
        f'"{labs.link(slot)}" . {labs.mac(slot)} . {labs.address(slot).ip}' for slot in range(1, labs.slots + 1)
    )


def outbound(instance: str, address: IPv4Address, allowed: bool) -> str:
    """The change that lets a lab reach the world, or no longer; either may be applied twice."""
    element = f"element inet {instance} outbound {{ {address} }}"
    return f"add {element}\n" if allowed else f"add {element}\ndelete {element}\n"


def keep_unforwarded(instance: str, pairs: Iterable[tuple[str, str]]) -> str:
    """The change that drops packets between links which did not forward before; see forwarding.py."""
    return "".join(
        f'add element inet {instance} unforwarded {{ "{incoming}" . "{outgoing}" }}\n' for incoming, outgoing in pairs
    )


def removal(instance: str) -> str:
    """The change that deletes both tables, also when they are not there."""
    tables = (f"{family} {instance}" for family in ("inet", "bridge"))
    return "".join(f"add table {table}\ndelete table {table}\n" for table in tables)


def apply(text: str) -> None:
    """Have nft(8) carry out a text, all of it or nothing, in the network namespace of the calling thread.

    Raises:
        Unsupported: no nft on this machine, or a kernel without nf_tables.
        Failed: nft refused; the message has its words.
    """
    program = shutil.which("nft", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if program is None:
        raise Unsupported("nft is not installed; it guards the labs' network.", "Install the package nftables.")
    try:
        done = subprocess.run(
            [program, "-f", "-"],
            input=text.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
            timeout=DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"nft -f: no answer within {DEADLINE_S:.0f} s.", "See `nft list ruleset`.") from error
    if done.returncode == 0:
        return
    said = done.stderr.decode(errors="replace").strip()
    first = said.splitlines()[0] if said else f"exit status {done.returncode}"
    if "Operation not supported" in said or "Protocol not supported" in said or "cache initialization failed" in said:
        raise Unsupported(
            f"nft -f: {first}.",
            "This kernel lacks nf_tables with the families inet and bridge, nat, limit or connlimit; "
            "`hako doctor` says which.",
        )
    raise Failed(f"nft -f: {first}.", "See `nft list ruleset`.")
