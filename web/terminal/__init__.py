"""Terminals: the relay between the engine's streams and the pages."""
