"""The wires: bridge, veth, addresses, firewall, and a pool of network namespaces made ahead of need."""
