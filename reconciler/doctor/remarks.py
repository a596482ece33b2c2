"""How long a remark may be, to the byte, and what becomes of a longer one."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

from reconciler.doctor.context import Bench, verdict
from reconciler.doctor.create import say_create_takes
from reconciler.ownership.remark import compose_remark, remark_size
from reconciler.ownership.tag import Identity, make_tag, without_base

#: The longest remark that is tried, in bytes.
MOST = 65_536

#: What became of a remark of some length: kept whole, cut off after so many bytes, refused, or not taken in.
_Outcome: TypeAlias = tuple[Literal["kept", "cut", "refused", "ignored"], int]
_Over: TypeAlias = Literal["refuse", "cut"] | None


def remark_length(bench: Bench) -> None:
    """Find the limit, and what it means for the tag."""
    if bench.update is not None and "remark" in bench.update.fields:
        _by_update(bench)
    else:
        _by_create(bench)
    say_create_takes(bench)


def _by_update(bench: Bench) -> None:
    bench.tell("how long a remark may be")
    mark = remark_size(bench.subject.remark())
    limit: int | None = None
    over: _Over = None
    outcome, size = _try(bench, MOST)
    if outcome == "cut":
        limit, over = size, "cut"
    elif outcome != "kept":
        marked = _try(bench, mark)
        if marked[0] == "kept":
            limit, over = _bisect(bench, mark, MOST)
        elif bench.create_keeps >= mark:
            _not_by_update(bench)
            return
        else:
            limit, over = _bisect(bench, 0, mark)
    if limit is None:
        _judge(bench, None, None, f"{MOST:,} bytes are kept, and more was not tried")
    else:
        beyond = "cut off" if over == "cut" else "refused"
        seen = f"{limit:,} bytes are kept; what is longer is {beyond}" if limit else "none is kept"
        _judge(bench, limit, over, seen)
    kept = MOST if limit is None else limit
    if bench.create_keeps:
        _shorter_at_create(bench, kept)
    elif kept >= mark:
        _not_at_create(bench)


def _shorter_at_create(bench: Bench, kept: int) -> None:
    """A create that keeps less of a remark than an update: the tag goes in by the update."""
    refused = bench.create_refused
    if bench.create_cut and bench.create_keeps < kept:
        seen = f"{bench.create_keeps:,} bytes are kept, and what is longer is cut off"
    elif refused is not None and refused <= kept:
        seen = f"{bench.create_keeps:,} bytes are kept, {refused:,} are refused"
    else:
        return
    known = "remark" in bench.lessons.stated.operation("create_session").ignores
    _not_at_create(bench)
    follows = "an update keeps more: sessions are made in two calls"
    bench.say("remark at a create", verdict(known), seen, follows)


def _by_create(bench: Bench) -> None:
    """Without an update, one session tells of one length; and what is refused before it is made, of others."""
    size, refused = bench.create_keeps, bench.create_refused
    if not size:
        known = "remark" in bench.lessons.stated.operation("create_session").ignores
        _not_at_create(bench)
        bench.say("remark", verdict(known), "a create keeps none", _tag_fits(0))
    elif bench.create_cut:
        _judge(bench, size, "cut", f"{size:,} bytes are kept; what is longer is cut off")
    elif refused is not None:
        least = "" if refused == size + 1 else "at least "
        _judge(bench, size, "refuse", f"{least}{size:,} bytes are kept, {refused:,} are refused")
    else:
        _judge(bench, None, None, f"{size:,} bytes are kept at a create, and more was not tried")


def _judge(bench: Bench, limit: int | None, over: _Over, seen: str) -> None:
    """Note the limit. One that is news and too short for the tag is not what a contract without a limit assumes."""
    known = bench.lessons.stated.service.remark_limit is not None
    stated = bench.lessons.behaves(remark_limit=limit, remark_over=over)
    bench.say("remark", stated if known or _fits(limit) else "differs", seen, _tag_fits(limit))


def _try(bench: Bench, size: int) -> _Outcome:
    before = bench.subject.see().raw_remark or ""
    sent = bench.subject.remark(size)
    reply, live = bench.put({"remark": sent})
    stored = live.raw_remark or ""
    if stored == sent:
        return "kept", size
    if reply.error is not None:
        return "refused", size
    return ("ignored", size) if stored == before else ("cut", remark_size(stored))


def _bisect(bench: Bench, kept: int, not_kept: int) -> tuple[int, _Over]:
    """The longest remark that is kept whole, given one length that is and one that is not."""
    while not_kept - kept > 1:
        middle = (kept + not_kept) // 2
        bench.tell(f"a remark of {middle} bytes")
        outcome, size = _try(bench, middle)
        if outcome == "cut":
            return size, "cut"
        if outcome == "kept":
            kept = middle
        else:
            not_kept = middle
    return kept, "refuse"


def _not_by_update(bench: Bench) -> None:
    """An update that can't renew the tag would leave in it what is not true any more: better none."""
    known = bench.lessons.call("update_session", None)
    bench.amend("update", known)
    bench.update = None
    bench.say(
        "remark",
        known,
        "a create takes it, an update does not",
        "tags can't be renewed, so a plan that changes a live session is refused",
    )


def _not_at_create(bench: Bench) -> None:
    operation = bench.lessons.operation("create_session")
    bench.lessons.call("create_session", replace(operation, ignores=operation.ignores | {"remark"}))


def _sizes(catalog: str, key: str) -> tuple[int, int]:
    """The bytes of a tag with digests of eight fields, and without any."""
    parameters = (f"parameters.{name}" for name in ("temperature", "max_tokens", "history_length"))
    paths = ("name", "model", "prompt", *parameters, "data.a", "data.b")
    tag = make_tag(Identity(catalog, None, key), dict.fromkeys(paths))
    return remark_size(compose_remark(None, {}, tag)), remark_size(
        compose_remark(None, {}, without_base(tag))
    )


def _common() -> tuple[int, int]:
    return _sizes("c" * 20, "k" * 20)


def _fits(limit: int | None) -> bool:
    return limit is None or limit >= _common()[0]


def _tag_fits(limit: int | None) -> str:
    whole, short = _common()
    _, shortest = _sizes("c", "k")
    if limit is None or _fits(limit):
        return f"the tag fits (up to {whole} bytes)"
    if limit >= short:
        return f"the tag fits without digests, which take {whole}: plans can't tell who changed what"
    if limit >= shortest:
        return (
            "the tag fits without digests, for short names of catalog and keys; what does not fit is refused"
        )
    return (
        "the tag has no place, so nothing can be managed here: plans that make or change sessions are refused"
    )
