"""Finding the delete call, and what the second of two deletes is answered."""

from __future__ import annotations

from dataclasses import replace

from reconciler.api.listing import list_sessions
from reconciler.doctor.candidates import candidates, learned
from reconciler.doctor.context import Bench, answer, call, status_of
from reconciler.doctor.session import Removal


def delete(bench: Bench) -> None:
    """Try the candidates until the session is gone; the others are not tried then."""
    bench.tell("deleting the session")
    update = bench.update
    read = update.encoding if update is not None and update.encoding != "none" else None
    calls = candidates(bench.lessons.contract, "delete_session", encoding=read)
    number = bench.subject.id
    removal = bench.subject.remove(calls)
    if removal.by is None:
        _not_found(bench, removal, len(calls))
        return
    operation, reply = removal.by
    empty = reply.response is not None and not reply.response.content
    operation = replace(learned(operation), answer="empty" if empty else "document")
    stated = bench.lessons.call("delete_session", operation)
    bench.say("delete", stated, f"{call(operation)}; answered {answer(reply)}")
    # Once more for the same number. Should the service have given it to another session by now, that is not ours.
    if any(live.session_id == number for live in list_sessions(bench.client)):
        seen = f"#{number} is another session by now: no second delete was sent"
        bench.say("a session that is gone", "unknown", seen, "this service gives out ids again")
        return
    again = bench.client.call(operation, {"session_id": number})
    status = status_of(again)
    if status is None:
        bench.say("a session that is gone", "unknown", answer(again))
        return
    plain = again.error is not None and again.error.status == 404
    known = bench.lessons.stated.service.not_found is not None
    stated = bench.lessons.behaves(not_found=status)
    bench.say(
        "a session that is gone",
        stated if plain or known else "differs",
        f"a second delete is answered {answer(again)}",
        "" if plain else "a delete that somebody else was quicker with is looked up in the list",
    )


def _not_found(bench: Bench, removal: Removal, calls: int) -> None:
    if not removal.gone and not removal.tried:
        bench.say(
            "delete",
            bench.lessons.call("delete_session", None),
            f"none of {calls} calls deletes a session",
            "plans that delete are refused; take the probe's session away in the console",
        )
        return
    bench.unclear = True
    answers = "; ".join(
        f"{call(operation)} is answered {answer(reply)}" for operation, reply in removal.tried
    )
    if removal.gone:
        seen = f"the session is gone, and which call did it is not clear{answers and ': '}{answers}"
    else:
        seen = (
            f"{len(removal.tried)} of {calls} calls may delete a session, and the list shows it for "
            f"{bench.subject.settle:g} s after them: {answers}"
        )
    bench.say("delete", "unknown", seen, "run the probe again")
