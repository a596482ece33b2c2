"""Finding the delete call, and what the second of two deletes is answered."""

from __future__ import annotations

from dataclasses import replace

from reconciler.doctor.bench import Bench, answer, call, status_of
from reconciler.doctor.candidates import candidates, learned


def delete(bench: Bench) -> None:
    """Try the candidates until the session is gone; the others are not tried then."""
    bench.tell("deleting the session")
    update = bench.update
    read = update.encoding if update is not None and update.encoding != "none" else None
    calls = candidates(bench.lessons.contract, "delete_session", encoding=read)
    number = bench.subject.id
    done = bench.subject.remove(calls)
    if done is None:
        bench.say(
            "delete",
            bench.lessons.call("delete_session", None),
            f"none of {len(calls)} calls deletes a session",
            "plans that delete are refused; take the probe's session away in the console",
        )
        return
    operation, reply = done
    empty = reply.response is not None and not reply.response.content
    operation = replace(learned(operation), answer="empty" if empty else "document")
    stated = bench.lessons.call("delete_session", operation)
    bench.say("delete", stated, f"{call(operation)}; answered {answer(reply)}")
    # Once more for the same number, which is given to no other session.
    again = bench.client.call(operation, {"session_id": number})
    status = status_of(again)
    if status is None:
        bench.say("a session that is gone", "unknown", answer(again))
        return
    plain = again.error is not None and again.error.status == 404
    stated = bench.lessons.behaves(not_found=status)
    bench.say(
        "a session that is gone",
        stated if plain or bench.lessons.stated.service.not_found else "differs",
        f"a second delete is answered {answer(again)}",
        "" if plain else "a delete that somebody else was quicker with is looked up in the list",
    )
