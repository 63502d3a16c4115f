"""Slots, names, addresses and the choice of a subnet."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from engine.errors import BadInput, Conflict, Exhausted
from engine.network.addresses import CANDIDATES, Slots, choose_subnet, parse_subnet, segments

SUBNET = IPv4Network("10.209.0.0/16")


def test_everything_follows_from_the_slot() -> None:
    """Name, address and hardware address of slot 1 on each bridge; the bridge itself is slot 0."""
    containers, labs = segments("hako", SUBNET, 32)
    assert (containers.bridge, containers.gateway) == ("hakoc0", IPv4Address("10.209.0.1"))
    assert (labs.bridge, labs.gateway) == ("hakol0", IPv4Address("10.209.128.1"))
    assert labs.link(1) == "hakol1"
    assert labs.address(1) == IPv4Interface("10.209.128.2/17")
    assert labs.mac(1) == "02:48:0a:d1:80:02"


@pytest.mark.parametrize(
    "name", ["hakol0", "hakol01", "hakol", "hakolx1", "hakoc1", "xhakol1", "hakol1 ", "hakol99999"]
)
def test_a_name_that_is_not_a_lab_has_no_slot(name: str) -> None:
    """The bridge, other segments, other instances and impossible numbers are not taken for a lab's link."""
    _, labs = segments("hako", SUBNET, 32)
    assert labs.slot(name) is None


def test_the_longest_name_fits_into_the_kernels_fifteen_characters() -> None:
    """Nine characters of instance, one of segment, five digits."""
    containers, _ = segments("a12345678", SUBNET, 32)
    assert len(containers.link(containers.slots)) <= 15
    assert containers.address(containers.slots).ip in containers.network


def test_links_of_an_engine_that_allowed_more_labs_still_have_their_slots() -> None:
    """HAKO_LABS_MAX was lowered while labs ran: they are found, guarded and released like the others."""
    _, labs = segments("hako", SUBNET, 4)
    assert labs.slot("hakol150") is None
    wider = labs.with_room_for(["eth0", "hakoc900", "hakol150", "hakol99999"])
    assert (wider.slot("hakol150"), wider.slots) == (150, 150)
    assert labs.with_room_for([]) == labs


def test_a_released_slot_rests_before_it_is_given_again() -> None:
    """The one just released is the last to be taken."""
    slots = Slots(4, at_most=4, what="lab")
    assert [slots.take(), slots.take()] == [1, 2]
    slots.give(1)
    assert [slots.take(), slots.take(), slots.take()] == [3, 4, 1]


def test_a_full_bridge_says_so() -> None:
    """The bound is an error that names what to do, not an endless search."""
    slots = Slots(50, at_most=2, what="lab")
    slots.take()
    slots.take()
    with pytest.raises(Exhausted, match=r"All 2 places on the lab bridge are in use\. End a lab first\."):
        slots.take()


def test_an_adopted_slot_is_not_given_to_anybody() -> None:
    """What was found in use after a restart stays in use."""
    slots = Slots(3, at_most=3, what="container")
    slots.adopt(1)
    slots.adopt(1)
    assert [slots.take(), slots.take()] == [2, 3]
    with pytest.raises(BadInput):
        slots.adopt(4)


def test_the_first_free_subnet_is_chosen() -> None:
    """A VPN that uses 10.209 and a LAN that uses 10.210.4 move us on to 10.211."""
    taken = [(IPv4Network("10.209.0.0/16"), "tun0"), (IPv4Network("10.210.4.0/24"), "eth0")]
    assert choose_subnet(None, taken) == IPv4Network("10.211.0.0/16")


def test_the_default_route_takes_no_subnet() -> None:
    """0.0.0.0/0 overlaps everything and means nothing here."""
    assert choose_subnet(None, [(IPv4Network("0.0.0.0/0"), "eth0")]) == CANDIDATES[0]


def test_a_chosen_subnet_that_is_in_use_is_refused_by_name() -> None:
    """The message names the other network and its link."""
    with pytest.raises(Conflict, match=r"10\.209\.0\.0/16 overlaps 10\.209\.7\.0/24 on tun0"):
        choose_subnet(SUBNET, [(IPv4Network("10.209.7.0/24"), "tun0")])


def test_no_free_candidate_is_an_error_with_a_cure() -> None:
    """Somebody routes all of 10.0.0.0/8."""
    with pytest.raises(Conflict, match="HAKO_SUBNET"):
        choose_subnet(None, [(IPv4Network("10.0.0.0/8"), "tun0")])


@pytest.mark.parametrize("text", ["", "hako", "10.209.0.1/16", "10.209.0.0/30", "0.0.0.0/0", "fd00::/64"])
def test_a_useless_subnet_is_refused(text: str) -> None:
    """Each is named in the message."""
    with pytest.raises(BadInput, match="HAKO_SUBNET"):
        parse_subnet(text)


def test_a_subnet_too_small_for_the_labs_is_refused() -> None:
    """A /24 has 125 places for labs; 500 labs want 1016."""
    with pytest.raises(BadInput, match="too small for 500 labs"):
        segments("hako", IPv4Network("10.209.0.0/24"), 500)
