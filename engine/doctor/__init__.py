"""What this machine can and cannot do for Hako, and what to do about it: facts, then judgement, then a report."""

from engine.doctor.report import as_dict, main, render
from engine.doctor.verdicts import Verdict, judge

__all__ = ["Verdict", "as_dict", "judge", "main", "render"]
