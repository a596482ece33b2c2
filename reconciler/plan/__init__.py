"""Plans. A plan is a pure function of a catalog and a snapshot: no I/O, no clock."""

from reconciler.plan.build import make_plan as make_plan
from reconciler.plan.types import Action as Action
from reconciler.plan.types import FieldChange as FieldChange
from reconciler.plan.types import Plan as Plan

__all__ = ["Action", "FieldChange", "Plan", "make_plan"]
