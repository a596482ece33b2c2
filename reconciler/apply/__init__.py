"""Apply a plan: archive, write, verify, and report the outcome of each action."""

from reconciler.apply.report import Report as Report
from reconciler.apply.report import Result as Result
from reconciler.apply.run import apply_plan as apply_plan

__all__ = ["Report", "Result", "apply_plan"]
