"""Images: their names, their store, and the two that are made from this machine's own programs."""
