"""Whether one session can be read without the list."""

from __future__ import annotations

from dataclasses import replace

from reconciler.api.addressing import address, names
from reconciler.api.client import Reply
from reconciler.api.decode import answered
from reconciler.contract import Operation
from reconciler.doctor.candidates import as_learned, candidates
from reconciler.doctor.context import ProbeContext, describe_call, ok_if


def get_one(context: ProbeContext) -> None:
    """Ask for the session by its id and by its token. Each call is a GET."""
    context.progress("getting one session")
    session = context.session
    live = session.require_listed()
    session_address = session.address
    for operation in candidates(context.learned.contract, "get_session"):
        if not names(operation, live):
            continue
        reply = context.client.call(operation, address(operation, session_address))
        path = _session_in(context, operation, reply)
        if path is not None:
            found = replace(as_learned(operation), answer_in=path)
            context.report(
                "one session", context.learned.learn_operation("get_session", found), describe_call(found)
            )
            return
    stated = context.learned.in_use.operations.get("get_session")
    context.learned.learn_operation("get_session", None)
    context.report(
        "one session", ok_if(stated is None), "there is no call for it", "the list is read instead"
    )


def _session_in(context: ProbeContext, operation: Operation, reply: Reply) -> tuple[str, ...] | None:
    """Where the response has our session; None if it has not."""
    session, shape = context.session, context.client.contract.session
    for path in dict.fromkeys((operation.answer_in, ("data",), ())):
        number, token = answered(reply.body, replace(operation, answer_in=path), shape)
        if number == session.id or (token is not None and token == session.token):
            return path
    return None
