"""Published ports: a place kept for `hako run --publish HOST:CONTAINER`, which a later issue brings.

It will be one map in the table `inet <instance>` (firewall.py), protocol and host port to address and container port,
used by a `dnat` rule in prerouting and output; publishing a port then adds one element, and the drop of new
connections towards containers in the chain `forward` gets `ct status dnat accept` before it. Until then a container is
reached from its host only, by its address.
"""
