"""How long a remark may be, to the byte, and what the service does to a longer one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from reconciler.doctor.context import ProbeContext, ok_if
from reconciler.doctor.create import report_created_fields
from reconciler.ownership.remark import compose_remark, remark_size
from reconciler.ownership.tag import Identity, bare, make_tag, without_base

#: The longest remark that is tried, in bytes.
LONGEST_REMARK: Final = 65_536

#: What a service did to a remark: kept it, cut it off after this many bytes, refused it, or ignored it.
_Outcome: TypeAlias = tuple[Literal["kept", "cut", "refused", "ignored"], int]
_Over: TypeAlias = Literal["refuse", "cut"] | None


def remark_length(context: ProbeContext) -> None:
    """The limit, and what it means for the tag."""
    if context.update is not None and "remark" in context.update.fields:
        _by_update(context)
    else:
        _by_create(context)
    report_created_fields(context)


def _by_update(context: ProbeContext) -> None:
    context.progress("how long a remark may be")
    mark = remark_size(context.session.remark())
    limit: int | None = None
    over: _Over = None
    outcome, size = _try(context, LONGEST_REMARK)
    if outcome == "cut":
        limit, over = size, "cut"
    elif outcome != "kept":
        marked = _try(context, mark)
        if marked[0] == "kept":
            limit, over = _bisect(context, mark, LONGEST_REMARK)
        elif context.create_remark_kept >= mark:
            _not_by_update(context)
            return
        else:
            limit, over = _bisect(context, 0, mark)
    if limit is None:
        _report_limit(context, None, None, f"{LONGEST_REMARK:,} bytes are kept; more was not tried")
    else:
        beyond = "cut off" if over == "cut" else "refused"
        seen = f"{limit:,} bytes are kept; longer remarks are {beyond}" if limit else "none is kept"
        _report_limit(context, limit, over, seen)
    kept = LONGEST_REMARK if limit is None else limit
    if context.create_remark_kept:
        _shorter_at_create(context, kept)
    elif kept >= mark:
        _not_at_create(context)


def _shorter_at_create(context: ProbeContext, kept: int) -> None:
    """A create that keeps less of a remark than an update does: the update has to write the tag."""
    refused = context.create_remark_refused
    if context.create_remark_cut and context.create_remark_kept < kept:
        seen = f"{context.create_remark_kept:,} bytes are kept; longer remarks are cut off"
    elif refused is not None and refused <= kept:
        seen = f"{context.create_remark_kept:,} bytes are kept, {refused:,} are refused"
    else:
        return
    known = "remark" in context.learned.in_use.operation("create_session").ignores
    _not_at_create(context)
    follows = "an update keeps more: sessions are created in two calls"
    context.report("remark in a create", ok_if(known), seen, follows)


def _by_create(context: ProbeContext) -> None:
    """Without an update, a session tells about one length; the creates that were refused tell about others."""
    size, refused = context.create_remark_kept, context.create_remark_refused
    if not size:
        known = "remark" in context.learned.in_use.operation("create_session").ignores
        _not_at_create(context)
        context.report("remark", ok_if(known), "a create keeps none", _tag_fits(0))
    elif context.create_remark_cut:
        _report_limit(context, size, "cut", f"{size:,} bytes are kept; longer remarks are cut off")
    elif refused is not None:
        least = "" if refused == size + 1 else "at least "
        _report_limit(context, size, "refuse", f"{least}{size:,} bytes are kept, {refused:,} are refused")
    else:
        _report_limit(context, None, None, f"{size:,} bytes are kept by a create; more was not tried")


def _report_limit(context: ProbeContext, limit: int | None, over: _Over, seen: str) -> None:
    """Note the limit. A contract without one assumes that the tag fits, so a limit too short for it differs."""
    known = context.learned.in_use.service.remark_limit is not None
    verdict = context.learned.learn_service(remark_limit=limit, remark_over=over)
    context.report("remark", verdict if known or _fits(limit) else "differs", seen, _tag_fits(limit))


def _try(context: ProbeContext, size: int) -> _Outcome:
    before = context.session.require_listed().raw_remark or ""
    sent = context.session.remark(size)
    reply, live = context.apply_update({"remark": sent})
    stored = live.raw_remark or ""
    if stored == sent:
        return "kept", size
    if reply.error is not None:
        return "refused", size
    return ("ignored", size) if stored == before else ("cut", remark_size(stored))


def _bisect(context: ProbeContext, kept: int, not_kept: int) -> tuple[int, _Over]:
    """The longest remark that is kept, given a length that is kept and one that is not."""
    while not_kept - kept > 1:
        middle = (kept + not_kept) // 2
        context.progress(f"a remark of {middle} bytes")
        outcome, size = _try(context, middle)
        if outcome == "cut":
            return size, "cut"
        if outcome == "kept":
            kept = middle
        else:
            not_kept = middle
    return kept, "refuse"


def _not_by_update(context: ProbeContext) -> None:
    """An update that can't write the tag would leave an outdated one behind, so there is to be no update."""
    known = context.learned.learn_operation("update_session", None)
    context.change_verdict("update", known)
    context.update = None
    context.report(
        "remark",
        known,
        "a create stores it, an update does not",
        "tags can't be updated, so a plan that changes a live session is refused",
    )


def _not_at_create(context: ProbeContext) -> None:
    operation = context.learned.operation("create_session")
    context.learned.learn_operation(
        "create_session", replace(operation, ignores=operation.ignores | {"remark"})
    )


@dataclass(frozen=True, slots=True)
class _Sizes:
    """How long a remark with a tag is, in bytes: whole, without digests, and with neither digests nor ids."""

    whole: int
    without_digests: int
    bare: int


def _sizes(catalog: str, key: str) -> _Sizes:
    """The sizes with digests of eight fields and both ids."""
    parameters = (f"parameters.{name}" for name in ("temperature", "max_tokens", "history_length"))
    paths = ("name", "model", "prompt", *parameters, "data.a", "data.b")
    tag = make_tag(Identity(catalog, None, key), dict.fromkeys(paths), catalog_id="zzzzzzzz", session_id=1)
    whole, short, least = (
        remark_size(compose_remark(None, {}, one)) for one in (tag, without_base(tag), bare(tag))
    )
    return _Sizes(whole, short, least)


def _usual_sizes() -> _Sizes:
    return _sizes("c" * 20, "k" * 20)


def _fits(limit: int | None) -> bool:
    return limit is None or limit >= _usual_sizes().whole


def _tag_fits(limit: int | None) -> str:
    usual = _usual_sizes()
    if limit is None or _fits(limit):
        return f"the tag fits (up to {usual.whole} bytes)"
    with_all = f"({usual.whole} bytes with them)"
    if limit >= usual.without_digests:
        return f"the tag fits only without digests {with_all}: plans can't tell who changed what"
    if limit >= usual.bare:
        return (
            f"the tag fits only without digests and ids {with_all}: plans can't tell who changed what, nor a copy "
            "from its original, nor two catalogs of the same name"
        )
    if limit >= _sizes("c", "k").bare:
        return (
            "the tag fits only without digests and ids, and with short catalog names and keys; what does not fit is "
            "refused"
        )
    return "the tag does not fit, so nothing can be managed here: plans that create or change sessions are refused"
