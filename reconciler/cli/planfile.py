"""Saved plans as files: written atomically and readable by their owner alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reconciler.apply.who import who
from reconciler.contract import ContractFile, contract_from_json
from reconciler.disk import MAX_DOCUMENT, read_named, write_out
from reconciler.errors import ReconcilerError
from reconciler.plan.saved import plan_to_saved, saved_to_plan
from reconciler.plan.types import Plan
from reconciler.text.timestamps import write_timestamp


def write_plan(path: Path, plan: Plan, root: Path, contract: ContractFile | None = None) -> None:
    """Save a plan. ``root`` is the catalog's folder, ``contract`` the one in use if it is not the built-in one.

    Raises:
        ReconcilerError: it can't be written.
    """
    created = write_timestamp(datetime.now(UTC))
    used = None if contract is None else {"file": contract.file, "content": contract.document}
    document = plan_to_saved(plan, created=created, run=who(root), contract=used)
    try:
        write_out(path, json.dumps(document, indent=1) + "\n")
    except OSError as error:
        raise ReconcilerError(f"the plan can't be written to {path}: {error.strerror}") from None


def saved_contract(document: Mapping[str, Any]) -> ContractFile | None:
    """The contract that a saved plan was made with; None if it was the built-in one, or an earlier version saved it.

    Raises:
        ReconcilerError: this version can't use it.
    """
    used = document.get("contract")
    if used is None:
        return None
    return contract_from_json(used["file"], used["content"])


def read_plan(path: Path) -> tuple[Plan, dict[str, Any]]:
    """Read a saved plan. Returns the plan and its public JSON.

    Raises:
        ReconcilerError: it can't be read.
        Refused: it is not what was saved.
    """
    try:
        text = read_named(path, MAX_DOCUMENT)
    except OSError as error:
        raise ReconcilerError(f"the plan {path} can't be read: {error.strerror}") from None
    return saved_to_plan(text, str(path))
