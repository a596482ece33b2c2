"""Finding the delete call, and what a second delete of the same session is answered."""

from __future__ import annotations

from dataclasses import replace

from reconciler.api.addressing import Address, address
from reconciler.api.listing import list_sessions
from reconciler.contract import Operation
from reconciler.doctor.candidates import as_learned, candidates, has_body
from reconciler.doctor.context import (
    ProbeContext,
    describe_answer,
    describe_answers,
    describe_call,
    ok_if,
    status_of,
)
from reconciler.doctor.session import Deletion


def find_delete(context: ProbeContext) -> None:
    """Try the candidates until the session is gone. The rest of them are not tried."""
    context.progress("deleting the session")
    update = context.update
    read = update.encoding if update is not None and has_body(update) else None
    calls = candidates(context.learned.contract, "delete_session", encoding=read)
    calls = [one for one in calls if context.session.can_address(one)]
    was = context.session.address
    deletion = context.session.delete(calls)
    if deletion.by is None:
        _report_not_found(context, deletion, len(calls))
        return
    operation, reply = deletion.by
    empty = reply.response is not None and not reply.response.content
    operation = replace(as_learned(operation), answer="empty" if empty else "document")
    verdict = context.learned.learn_operation("delete_session", operation)
    context.report("delete", verdict, f"{describe_call(operation)}; answered {describe_answer(reply)}")
    # The service may have given the id to another session. A second delete would hit that one.
    if any(live.session_id == was.session_id for live in list_sessions(context.client)):
        seen = f"#{was.session_id} is another session now: no second delete was sent"
        context.report("a session that is gone", "unknown", seen, "this service reuses ids")
        return
    _delete_again(context, operation, was)


def _delete_again(context: ProbeContext, operation: Operation, was: Address) -> None:
    again = context.client.call(operation, address(operation, was))
    status = status_of(again)
    if status is None:
        context.report("a session that is gone", "unknown", describe_answer(again))
        return
    is_404 = again.error is not None and again.error.status == 404
    known = context.learned.in_use.service.not_found is not None
    verdict = context.learned.learn_service(not_found=status)
    context.report(
        "a session that is gone",
        verdict if known else ok_if(is_404),
        f"a second delete is answered {describe_answer(again)}",
        "" if is_404 else "if somebody else deletes a session first, the list is read to find that out",
    )


def _report_not_found(context: ProbeContext, deletion: Deletion, calls: int) -> None:
    if not deletion.gone and not deletion.tried:
        context.report(
            "delete",
            context.learned.learn_operation("delete_session", None),
            f"none of {calls} calls deletes a session: {describe_answers(deletion.refused)}",
            "plans that delete are refused; delete the probe's session in the console",
        )
        return
    context.unknown.append("delete_session")
    answers = describe_answers(deletion.tried)
    if deletion.gone:
        seen = f"the session is gone, but which call deleted it is not clear{answers and ': '}{answers}"
    else:
        seen = (
            f"{len(deletion.tried)} of {calls} calls may delete a session, but the list still shows it "
            f"{context.session.settle:g} s later: {answers}"
        )
    context.report("delete", "unknown", seen, "run the probe again")
