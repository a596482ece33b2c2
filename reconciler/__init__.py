"""Infrastructure-as-code for AI personas.

The public Python API (see ``docs/python-api.md``)::

    from reconciler import load_catalog, make_plan, apply_plan
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from reconciler.apply import apply_plan as apply_plan
    from reconciler.catalog import load_catalog as load_catalog
    from reconciler.plan import make_plan as make_plan

__all__ = ["__version__", "apply_plan", "load_catalog", "make_plan"]

_HOMES = {
    "load_catalog": "reconciler.catalog",
    "make_plan": "reconciler.plan",
    "apply_plan": "reconciler.apply",
}


def __getattr__(name: str) -> Any:
    """Import a public function when it is first used: the command line starts in a third of the time."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
