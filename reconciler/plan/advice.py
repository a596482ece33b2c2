"""How a person takes a session over: the command and the line to paste, in a catalog with environments as well."""

from __future__ import annotations


def environment_flag(environment: str | None) -> str:
    """`` --env staging``, for a command in a catalog with environments; empty in one without."""
    return f" --env {environment}" if environment else ""


def adopt_command(key: str, session_id: int | None, environment: str | None) -> str:
    """The command that adopts a session."""
    return f"reconciler adopt {key}={session_id}{environment_flag(environment)}"


def adopt_line(key: str, session_id: int, environment: str | None) -> str:
    """What to add, and where, so that the next apply adopts a session."""
    if environment is None:
        return f'add "adopt: {session_id}" to its manifest'
    line = f"environments: {{{environment}: {{sessions: {{{key}: {{adopt: {session_id}}}}}}}}}"
    return f'add "{line}" to catalog.yaml'
