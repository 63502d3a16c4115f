"""What the engine offers over its sockets."""
