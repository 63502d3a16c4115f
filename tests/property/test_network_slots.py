"""Properties of the allocation of slots and of what follows from them."""

from __future__ import annotations

from ipaddress import IPv4Network

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.errors import Exhausted
from engine.network.addresses import Slots, choose_subnet, segments

NAMES = st.from_regex(r"\A[a-z][a-z0-9]{0,8}\Z")
NETWORKS = st.builds(
    lambda number, length: IPv4Network((number & (0xFFFFFFFF << (32 - length)), length)),
    st.integers(0, 2**32 - 1),
    st.integers(1, 32),
)


class SlotsMachine(RuleBasedStateMachine):
    """Slots beside a plain set: never two holders of one, never more than the bound."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = Slots(7, at_most=5, what="lab")
        self.held: set[int] = set()

    @rule()
    def take(self) -> None:
        """A taken slot was free and exists; none is given beyond the bound."""
        try:
            slot = self.slots.take()
        except Exhausted:
            assert len(self.held) >= 5
            return
        assert slot not in self.held
        assert 1 <= slot <= 7
        self.held.add(slot)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def give(self, data: st.DataObject) -> None:
        """Giving one back frees that one."""
        slot = data.draw(st.sampled_from(sorted(self.held)))
        self.slots.give(slot)
        self.held.remove(slot)

    @rule(slot=st.integers(1, 7))
    def adopt(self, slot: int) -> None:
        """Adopting is always possible, whatever the bound: the link exists."""
        self.slots.adopt(slot)
        self.held.add(slot)

    @invariant()
    def same(self) -> None:
        """Both agree on who holds what."""
        assert {slot for slot in range(1, 8) if slot in self.slots} == self.held
        assert len(self.slots) == len(self.held)


TestSlots = SlotsMachine.TestCase


@given(NAMES, st.integers(1, 1000))
def test_a_links_name_leads_back_to_its_slot_and_only_there(instance: str, slot: int) -> None:
    """Names are injective: the other segment does not know a name that this one made."""
    containers, labs = segments(instance, IPv4Network("10.209.0.0/16"), 500)
    assert containers.slot(containers.link(slot)) == slot
    assert labs.slot(containers.link(slot)) is None
    assert len(containers.link(slot)) <= 15


@given(NAMES, NAMES, st.integers(0, 1000), st.integers(0, 1000))
def test_two_instances_never_share_a_links_name(one: str, other: str, first: int, second: int) -> None:
    """Also where one instance's name is the beginning of another's."""
    if one == other:
        return
    subnet = IPv4Network("10.209.0.0/16")
    names = [
        {segment.link(slot) for segment in segments(name, subnet, 500)}
        for name, slot in ((one, first), (other, second))
    ]
    assert not names[0] & names[1]


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_addresses_are_as_distinct_as_slots(one: int, other: int) -> None:
    """Different slots, or different segments, have different addresses and hardware addresses."""
    containers, labs = segments("hako", IPv4Network("10.209.0.0/16"), 500)
    assert (containers.address(one) == containers.address(other)) == (one == other)
    assert (containers.mac(one) == containers.mac(other)) == (one == other)
    assert containers.address(one).ip != labs.address(other).ip
    assert containers.address(one).ip in containers.network


@given(st.lists(NETWORKS, max_size=6))
def test_a_chosen_subnet_overlaps_nothing(networks: list[IPv4Network]) -> None:
    """Whatever a machine routes, what is chosen is free."""
    from engine.errors import Conflict

    try:
        subnet = choose_subnet(None, [(network, "eth0") for network in networks])
    except Conflict:
        assert any(network.overlaps(IPv4Network("10.209.0.0/16")) for network in networks)
        return
    assert not any(network.overlaps(subnet) for network in networks)
