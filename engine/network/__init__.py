"""The wires: bridge, veth, addresses, firewall, and a pool of network namespaces made ahead of need."""

from engine.network.network import LabLink, NetLease, Network

__all__ = ["LabLink", "NetLease", "Network"]
