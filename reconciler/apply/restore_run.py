"""Restoring all that one run deleted or overwrote, session by session."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from reconciler.api.client import Client
from reconciler.apply.archive import Archived
from reconciler.apply.restore import restore
from reconciler.apply.restore_options import Restored, RestoreOptions
from reconciler.errors import ExitCode, ReconcilerError

#: After this many sessions in a row that could not be restored, no further one is tried.
MOST_FAILURES = 3


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What became of one archived session: what was done, or why it was not. Neither is set if it was not tried."""

    archived: Archived
    restored: Restored | None = None
    error: ReconcilerError | None = None


def of_run(found: Iterable[Archived], run: str) -> list[Archived]:
    """What to restore of a run: each session that it touched once, as it was before. ``run`` may be abbreviated.

    Updates come first, since one may free the identity of a session that was deleted. Of several states of a session,
    that before the first update counts, and the last one before a delete, since messages may have come meanwhile.

    Raises:
        ReconcilerError: the archive holds nothing of such a run, or of several.
    """
    mine = [one for one in found if run and one.run.startswith(run)]
    runs = {one.run for one in mine}
    if not mine:
        raise ReconcilerError(
            f"the archive holds nothing of a run {run!r}",
            "`reconciler history` shows the runs of this machine",
        )
    if len(runs) > 1:
        raise ReconcilerError(f"{run!r} matches {len(runs)} runs", "give more of the run's id")
    updated: dict[object, Archived] = {}
    deleted: dict[object, Archived] = {}
    for one in mine:
        session = one.id if one.session_id is None else one.session_id
        if one.messages is not None:
            deleted[session] = one
        elif one.before != "retag":  # what the run itself had just written
            updated.setdefault(session, one)
    return [one for session, one in updated.items() if session not in deleted] + list(deleted.values())


def restore_all(
    found: Sequence[Archived],
    client: Client,
    options: RestoreOptions,
    on_result: Callable[[RestoreResult], None] = lambda result: None,
) -> list[RestoreResult]:
    """Restore archived sessions one after the other. One that can't be restored does not keep the others from it.

    ``on_result`` is called for each as soon as it is done.
    """
    results: list[RestoreResult] = []
    failures = 0
    for archived in found:
        if failures == MOST_FAILURES:
            result = RestoreResult(archived)
        else:
            try:
                result = RestoreResult(archived, restore(archived, client, options))
                failures = 0
            except ReconcilerError as error:
                result = RestoreResult(archived, error=error)
                failures += error.exit_code != ExitCode.REFUSED
        results.append(result)
        on_result(result)
    return results


def exit_code(results: Iterable[RestoreResult]) -> ExitCode:
    """The exit code that says the same."""
    codes = {
        ExitCode.OK if one.restored else one.error.exit_code if one.error else ExitCode.ERROR
        for one in results
    }
    if len(codes) > 1 and codes & {ExitCode.OK, ExitCode.PARTIAL}:
        return ExitCode.PARTIAL
    return codes.pop() if len(codes) == 1 else ExitCode.ERROR
