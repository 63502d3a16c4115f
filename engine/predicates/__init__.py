"""What checks ask of a lab: predicates over an observation, each with what it saw when it does not hold."""

from engine.predicates.codes import CODES, Result
from engine.predicates.registry import PREDICATES, checked, command_result, evaluate, is_external, validate

__all__ = ["CODES", "PREDICATES", "Result", "checked", "command_result", "evaluate", "is_external", "validate"]
