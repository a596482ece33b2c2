"""Infrastructure-as-code for AI personas.

The public Python API is what this package exports, and nothing else (see ``docs/python-api.md``)::

    from reconciler import load_catalog, make_plan, apply_plan
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from reconciler.api.account_list import AccountList as AccountList
    from reconciler.api.cancellation import Cancellation as Cancellation
    from reconciler.api.client import Client as Client
    from reconciler.api.endpoint import Endpoint as Endpoint
    from reconciler.api.lister import Lister as Lister
    from reconciler.api.listing import list_sessions as list_sessions
    from reconciler.apply.report import Report as Report
    from reconciler.apply.report import Result as Result
    from reconciler.apply.report import report_to_document as report_to_document
    from reconciler.apply.run import ApplyOptions as ApplyOptions
    from reconciler.apply.run import apply_plan as apply_plan
    from reconciler.catalog.load import load_catalog as load_catalog
    from reconciler.contract import Contract as Contract
    from reconciler.contract import load_contract as load_contract
    from reconciler.controller.controller import Controller as Controller
    from reconciler.controller.events import Event as Event
    from reconciler.controller.git_source import GitPlace as GitPlace
    from reconciler.controller.git_source import GitSource as GitSource
    from reconciler.controller.settings import Limits as Limits
    from reconciler.controller.settings import WatchedAccount as WatchedAccount
    from reconciler.controller.settings import WatchedCatalog as WatchedCatalog
    from reconciler.controller.sources import FolderSource as FolderSource
    from reconciler.controller.status import Status as Status
    from reconciler.controller.status import status_to_document as status_to_document
    from reconciler.controller.window import parse_window as parse_window
    from reconciler.domain import Catalog as Catalog
    from reconciler.domain import Limit as Limit
    from reconciler.domain import LiveSession as LiveSession
    from reconciler.domain import Session as Session
    from reconciler.domain import Snapshot as Snapshot
    from reconciler.errors import CatalogError as CatalogError
    from reconciler.errors import Problem as Problem
    from reconciler.errors import ReconcilerError as ReconcilerError
    from reconciler.errors import Refused as Refused
    from reconciler.plan.build import make_plan as make_plan
    from reconciler.plan.document import plan_to_document as plan_to_document
    from reconciler.plan.types import Action as Action
    from reconciler.plan.types import FieldChange as FieldChange
    from reconciler.plan.types import Plan as Plan
    from reconciler.render import RenderOptions as RenderOptions
    from reconciler.render import render_plan as render_plan
    from reconciler.server.faults import Fault as Fault
    from reconciler.server.run import RunningServer as RunningServer
    from reconciler.server.run import running_server as running_server

__all__ = [
    "AccountList",
    "Action",
    "ApplyOptions",
    "Cancellation",
    "Catalog",
    "CatalogError",
    "Client",
    "Contract",
    "Controller",
    "Endpoint",
    "Event",
    "Fault",
    "FieldChange",
    "FolderSource",
    "GitPlace",
    "GitSource",
    "Limit",
    "Limits",
    "Lister",
    "LiveSession",
    "Plan",
    "Problem",
    "ReconcilerError",
    "Refused",
    "RenderOptions",
    "Report",
    "Result",
    "RunningServer",
    "Session",
    "Snapshot",
    "Status",
    "WatchedAccount",
    "WatchedCatalog",
    "__version__",
    "apply_plan",
    "list_sessions",
    "load_catalog",
    "load_contract",
    "make_plan",
    "parse_window",
    "plan_to_document",
    "render_plan",
    "report_to_document",
    "running_server",
    "status_to_document",
]

#: The module of each public name. None is imported before it is used: the command line starts in a third of the time.
_HOMES = {
    "AccountList": "api.account_list",
    "Action": "plan.types",
    "ApplyOptions": "apply.run",
    "Cancellation": "api.cancellation",
    "Catalog": "domain",
    "CatalogError": "errors",
    "Client": "api.client",
    "Contract": "contract",
    "Controller": "controller.controller",
    "Endpoint": "api.endpoint",
    "Event": "controller.events",
    "Fault": "server.faults",
    "FieldChange": "plan.types",
    "Lister": "api.lister",
    "FolderSource": "controller.sources",
    "GitPlace": "controller.git_source",
    "GitSource": "controller.git_source",
    "Limit": "domain",
    "Limits": "controller.settings",
    "LiveSession": "domain",
    "Plan": "plan.types",
    "Problem": "errors",
    "ReconcilerError": "errors",
    "Refused": "errors",
    "RenderOptions": "render",
    "Report": "apply.report",
    "Result": "apply.report",
    "RunningServer": "server.run",
    "Session": "domain",
    "Snapshot": "domain",
    "Status": "controller.status",
    "WatchedAccount": "controller.settings",
    "WatchedCatalog": "controller.settings",
    "apply_plan": "apply.run",
    "list_sessions": "api.listing",
    "load_catalog": "catalog.load",
    "load_contract": "contract",
    "make_plan": "plan.build",
    "parse_window": "controller.window",
    "plan_to_document": "plan.document",
    "render_plan": "render",
    "report_to_document": "apply.report",
    "running_server": "server.run",
    "status_to_document": "controller.status",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
