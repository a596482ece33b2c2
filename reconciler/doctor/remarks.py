"""How long a remark may be, to the byte, and what becomes of a longer one."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

from reconciler.doctor.bench import Bench
from reconciler.doctor.making import say_create_takes
from reconciler.remark import compose_remark, remark_size
from reconciler.tag import Identity, make_tag, without_base

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
            limit, over = _bisect(bench, max(mark, 0 if bench.create_cut else bench.create_keeps), MOST)
        elif bench.create_keeps >= mark:
            _not_by_update(bench)
            return
        else:
            limit, over = _bisect(bench, 0, mark)
    stated = bench.lessons.behaves(remark_limit=limit, remark_over=over)
    if not bench.create_keeps and (limit is None or limit >= mark):
        _not_at_create(bench)
    if limit is None:
        bench.say("remark", stated, f"{MOST:,} bytes are kept, and more was not tried", _tag_fits(None))
        return
    beyond = "cut off" if over == "cut" else "refused"
    seen = f"{limit:,} bytes are kept; what is longer is {beyond}" if limit else "none is kept"
    bench.say("remark", stated if _fits(limit) else "differs", seen, _tag_fits(limit))


def _by_create(bench: Bench) -> None:
    """Without an update, one session tells of one length."""
    size = bench.create_keeps
    if not size:
        _not_at_create(bench)
        bench.say("remark", "differs", "a create keeps none", _tag_fits(0))
    elif bench.create_cut:
        stated = bench.lessons.behaves(remark_limit=size, remark_over="cut")
        bench.say("remark", stated, f"{size:,} bytes are kept; what is longer is cut off", _tag_fits(size))
    elif bench.create_refused is not None:
        stated = bench.lessons.behaves(remark_limit=size, remark_over="refuse")
        seen = f"{size:,} bytes are kept, {bench.create_refused:,} are refused"
        bench.say("remark", stated, seen, _tag_fits(size))
    else:
        bench.say(
            "remark", "ok", f"{size:,} bytes are kept at a create, and more was not tried", _tag_fits(None)
        )


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
    bench.lessons.call("update_session", None)
    bench.update = None
    bench.say(
        "remark",
        "differs",
        "a create takes it, an update does not",
        "tags can't be renewed, so a plan that changes a live session is refused",
    )


def _not_at_create(bench: Bench) -> None:
    operation = bench.lessons.operation("create_session")
    bench.lessons.call("create_session", replace(operation, ignores=operation.ignores | {"remark"}))


def _sizes() -> tuple[int, int]:
    """The bytes of a common tag, with digests of eight fields and without any."""
    parameters = (f"parameters.{name}" for name in ("temperature", "max_tokens", "history_length"))
    paths = ("name", "model", "prompt", *parameters, "data.a", "data.b")
    tag = make_tag(Identity("c" * 20, None, "k" * 20), dict.fromkeys(paths))
    return remark_size(compose_remark(None, {}, tag)), remark_size(
        compose_remark(None, {}, without_base(tag))
    )


def _fits(limit: int | None) -> bool:
    return limit is None or limit >= _sizes()[0]


def _tag_fits(limit: int | None) -> str:
    whole, short = _sizes()
    if _fits(limit):
        return f"the tag fits (up to {whole} bytes)"
    if limit is not None and limit >= short:
        return f"the tag fits without digests, which take {whole}: plans can't tell who changed what"
    if limit:
        return (
            "the tag fits without digests, for short names of catalog and keys; what does not fit is refused"
        )
    return (
        "the tag has no place, so nothing can be managed here: plans that make or change sessions are refused"
    )
