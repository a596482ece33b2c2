"""What a plan advises a person to add to a file."""

from __future__ import annotations

from reconciler.domain import Catalog
from reconciler.text.paste import command


def adopt_line(catalog: Catalog, key: str, session_id: int) -> str:
    """What to add, and where, so that the next apply adopts a session; or, if it has no lines of its own, what to run
    instead."""
    environment = catalog.environment
    if environment is None:
        if key in catalog.generated:
            return f"run {command('adopt', f'{key}={session_id}')}"
        return f'add "adopt: {session_id}" to its manifest'
    line = f"environments: {{{environment}: {{sessions: {{{key}: {{adopt: {session_id}}}}}}}}}"
    return f'add "{line}" to catalog.yaml'
