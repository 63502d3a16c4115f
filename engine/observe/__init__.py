"""The read-only truth about a lab, from outside: processes, namespaces, mounts, links, and where a terminal is.

Nothing here changes a lab or asks a program in it; the kernel is asked. What checks make of an observation is in
engine/predicates.
"""

from engine.observe.model import LabView, Observation
from engine.observe.observer import Observer
from engine.observe.where import Where

__all__ = ["LabView", "Observation", "Observer", "Where"]
