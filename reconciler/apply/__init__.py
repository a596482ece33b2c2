"""Applying a plan: archive, write, verify; and say of each action what became of it."""

from reconciler.apply.report import Report as Report
from reconciler.apply.report import Result as Result
from reconciler.apply.run import apply_plan as apply_plan

__all__ = ["Report", "Result", "apply_plan"]
