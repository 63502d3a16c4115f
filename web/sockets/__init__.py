"""Socket.IO: one connection per page, namespace /lab."""
