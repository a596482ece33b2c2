"""What a plan advises a person to add to a file."""

from __future__ import annotations


def adopt_line(key: str, session_id: int, environment: str | None) -> str:
    """What to add, and where, so that the next apply adopts a session."""
    if environment is None:
        return f'add "adopt: {session_id}" to its manifest'
    line = f"environments: {{{environment}: {{sessions: {{{key}: {{adopt: {session_id}}}}}}}}}"
    return f'add "{line}" to catalog.yaml'
