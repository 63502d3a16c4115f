"""Who is who on a bridge: names, addresses and hardware addresses, all a function of a small number, the slot.

    subnet 10.209.0.0/16, instance "hako"
    containers 10.209.0.0/17      bridge hakoc0 = .0.1    slot 1: link hakoc1, 10.209.0.2, 02:48:0a:d1:00:02    …
    labs       10.209.128.0/17    bridge hakol0 = .128.1  slot 1: link hakol1, 10.209.128.2, 02:48:0a:d1:80:02  …

Because nothing but the slot has to be remembered, nothing is written to disk: after a restart the slots in use are read
off the names of the links. Everything here is pure; `bridge.py` makes the links.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv4Network, NetmaskValueError

from engine.errors import BadInput, Conflict, Exhausted

# A Linux bridge has 1024 ports (BR_MAX_PORTS); the margin is for links that are still being deleted.
PORTS_MAX = 1000
# Tried in this order when nobody chose a subnet and the first is in use, by a VPN say.
CANDIDATES = tuple(IPv4Network(f"10.{second}.0.0/16") for second in range(209, 255))


@dataclass(frozen=True, slots=True)
class Segment:
    """One bridge with the links on it.

    Attributes:
        prefix: of its links' names; the bridge is `<prefix>0`.
        network: its addresses; the bridge has the first.
        slots: how many links can be told apart: slots 1 to this.
        group: link group of its ports.
    """

    prefix: str
    network: IPv4Network
    slots: int
    group: int

    @property
    def doomed(self) -> int:
        """Link group of ports about to be deleted."""
        return self.group + 2

    @property
    def bridge(self) -> str:
        """Name of the bridge."""
        return self.link(0)

    @property
    def gateway(self) -> IPv4Address:
        """Address of the bridge."""
        return self.address(0).ip

    def link(self, slot: int) -> str:
        """Name of the link of a slot, on the host's side."""
        return f"{self.prefix}{slot}"

    def address(self, slot: int) -> IPv4Interface:
        """Address of the far end, with the prefix length of the network."""
        return IPv4Interface((self.network.network_address + 1 + slot, self.network.prefixlen))

    def mac(self, slot: int) -> str:
        """Hardware address of the far end: locally administered (02), `H` for Hako, then the IPv4 address."""
        return b"\x02\x48".hex(":") + ":" + self.address(slot).ip.packed.hex(":")

    def with_room_for(self, links: Iterable[str]) -> Segment:
        """The same with more slots, if links of an earlier engine, which allowed more, need them."""
        most = replace(self, slots=self.network.num_addresses - 3)
        return replace(self, slots=max(self.slots, *(most.slot(link) or 0 for link in links), 0))

    def slot(self, link: str) -> int | None:
        """The slot of a link's name; None for the bridge and for names that are not of this segment."""
        match = re.fullmatch(re.escape(self.prefix) + r"([1-9][0-9]{0,4})", link)
        if match is None:
            return None
        number = int(match[1])
        return number if number <= self.slots else None


def segments(instance: str, subnet: IPv4Network, labs_max: int) -> tuple[Segment, Segment]:
    """The bridge of the containers and the bridge of the labs: the halves of a subnet.

    Labs get twice their number of slots, so that an address rests before it is given to the next lab; not more,
    because the firewall knows each by name, hardware address and address.

    Raises:
        BadInput: when the subnet is too small.
    """
    first, second = halves(subnet)
    room = first.num_addresses - 3  # the network's own address, the bridge, the broadcast address
    labs = 2 * min(labs_max, PORTS_MAX) + 16
    if labs > room:
        raise BadInput(
            f"The subnet {subnet} is too small for {labs_max} labs.",
            "Choose a larger one with HAKO_SUBNET, such as 10.209.0.0/16.",
        )
    containers = min(room, 32_000)  # five digits in a link's name of at most 15 characters
    group = link_group(instance)
    return Segment(f"{instance}c", first, containers, group), Segment(f"{instance}l", second, labs, group + 1)


def halves(subnet: IPv4Network) -> tuple[IPv4Network, IPv4Network]:
    """The two halves of a subnet: containers, labs."""
    first, second = subnet.subnets(prefixlen_diff=1)
    return first, second


def link_group(instance: str) -> int:
    """A number for the link groups of an instance: + 0 containers, + 1 labs, + 2 and + 3 those being deleted."""
    return zlib.crc32(instance.encode()) & 0x7FFF_FFF0 | 0x100


def parse_subnet(text: str) -> IPv4Network:
    """A subnet from settings.

    Raises:
        BadInput: not an IPv4 network, or one with too few addresses.
    """
    try:
        subnet = IPv4Network(text)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise BadInput(f"HAKO_SUBNET={text!r} is not an IPv4 network: {error}.", "Write 10.209.0.0/16.") from error
    if not 8 <= subnet.prefixlen <= 24:
        raise BadInput(f"HAKO_SUBNET={text!r}: a prefix length from 8 to 24 is needed.", "Write 10.209.0.0/16.")
    return subnet


def choose_subnet(chosen: IPv4Network | None, taken: Iterable[tuple[IPv4Network, str]]) -> IPv4Network:
    """A subnet nobody on this machine uses.

    Args:
        chosen: what the settings name explicitly; None to take the first free candidate.
        taken: networks routed or assigned here, each with the link it is on.

    Raises:
        Conflict: the chosen one, or every candidate, overlaps a network of this machine.
    """
    others = [(network, link) for network, link in taken if network.prefixlen > 0]
    for subnet in (chosen,) if chosen else CANDIDATES:
        clash = next(((network, link) for network, link in others if network.overlaps(subnet)), None)
        if clash is None:
            return subnet
    if chosen is None:
        raise Conflict(
            "Every subnet from 10.209.0.0/16 to 10.254.0.0/16 overlaps a network of this machine.",
            "Name a free one with HAKO_SUBNET.",
        )
    raise Conflict(
        f"The subnet {chosen} overlaps {clash[0]} on {clash[1]}." if clash else f"The subnet {chosen} is in use.",
        "Name a free one with HAKO_SUBNET, or leave it unset and one is found.",
    )


class Slots:
    """Which slots are in use.

    The next one is always looked for after the last one given, so that a released name and address rest for as long as
    there are others: packets and connections of the former holder have died out by then.

    Args:
        count: slots 1 to this exist.
        at_most: as many may be in use at once.
        what: for the error: `lab`, `container`.
    """

    def __init__(self, count: int, *, at_most: int, what: str) -> None:
        self._count = count
        self._at_most = min(at_most, count)
        self._what = what
        self._used: set[int] = set()
        self._last = 0

    def __contains__(self, slot: object) -> bool:
        return slot in self._used

    def __len__(self) -> int:
        return len(self._used)

    def take(self) -> int:
        """A free slot.

        Raises:
            Exhausted: none is free.
        """
        if len(self._used) >= self._at_most:
            raise Exhausted(
                f"All {self._at_most} places on the {self._what} bridge are in use.", f"End a {self._what} first."
            )
        slot = self._last
        while True:
            slot = slot % self._count + 1
            if slot not in self._used:
                break
        self._used.add(slot)
        self._last = slot
        return slot

    def adopt(self, slot: int) -> None:
        """Mark a slot that was found in use; again is no error."""
        if not 1 <= slot <= self._count:
            raise BadInput(f"Slot {slot} is not one of 1 to {self._count}.")
        self._used.add(slot)

    def give(self, slot: int) -> None:
        """Give a slot back, once its link is gone from the kernel."""
        self._used.discard(slot)
