"""Judge a single write by the lists before and after it: did exactly that session change in exactly that way? No I/O.

Others write to the account, too, so the two lists differ by more than the write. A difference in another session is:

- *Proof* against the write if another session has the tag that was sent, or a session from before has the tag of a
  create. The tag names the catalog and the key, so nobody else wrote it.
- *Doubt* if the write may be the reason. In doubt the run stops.
  - Each changed field is now what was sent for it, or empty. An update of the wrong session or a reset does that.
  - A session of this catalog is gone.
  - An unmanaged or another catalog's session is gone after a delete: the call may have deleted both.
- *Neither* if somebody else did it.
  - A field changed to a value that was not sent. A call can't write what it does not carry.
  - An unmanaged or another catalog's session is gone after an update, or such sessions keep vanishing while nothing is
    sent. A second look shows that.
  - A lock changed: its holder renews it all the time.
  - This run wrote it earlier, and the list lags.

The session of the write must show all of it: the tag with its digests, and each field as sent or in another form.

- A field was *not kept* if a value was sent and the field is absent, empty, or as it was before the update. A trimmed
  string or a rounded number is another form, which the verification records. So is a key of `data` or of the remark
  that is absent while another one that the call changed is there: the call carries them, and the service drops it.
- A field that was not sent must be unchanged. An update that resets omitted fields breaks the contract.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler.apply.payload import call_field
from reconciler.domain import LiveSession
from reconciler.ownership.remark import parse_remark
from reconciler.ownership.reserved import reserved_kind
from reconciler.plan.types import PROTECTION, Action
from reconciler.values import MISSING, key_as_kept, same

#: The sessions of one list, by id.
Lives = Mapping[int, LiveSession]

#: Whether an earlier write of the same run explains a change of another session.
Explained = Callable[[LiveSession, LiveSession | None], bool]

_SHOWN: Final = 80  # characters of a remark
_NAMED: Final = 5  # sessions named in a sentence


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of a write. It passed if there are no ``problems``, which are parts of a sentence.

    - ``proof``: another look can't change the verdict.
    - ``touched``: other sessions that the write may have changed or deleted, as they were before it.
    - ``strangers``: the ids of unmanaged and other catalogs' sessions that are gone.
    - ``found``: the session of the write, as it is now.
    - ``nothing``: the list shows no effect of the write.
    """

    problems: tuple[str, ...] = ()
    proof: bool = False
    touched: tuple[LiveSession, ...] = ()
    strangers: frozenset[int] = frozenset()
    found: LiveSession | None = None
    nothing: bool = False


def kept(sent: Any, stored: Any, before: Any = MISSING) -> bool:
    """Whether the service kept a value, as sent or in another form. ``before`` is the value before an update."""
    if _empty(sent):
        return True
    if stored is MISSING or _empty(stored):
        return False
    if same(stored, sent) or before is MISSING or not same(stored, before):
        return True
    return _same_form(sent, stored)


def _empty(value: Any) -> bool:
    return (
        value is None
        or value is MISSING
        or value in ("", [], {})
        or (type(value) is str and not value.strip())
    )


def _same_form(left: Any, right: Any) -> bool:
    """Whether two values differ only in white space, entities, Unicode form, or the digits of a number."""
    if type(left) is str and type(right) is str:
        return _plain(left) == _plain(right)
    numbers = (int, float)
    if type(left) in numbers and type(right) in numbers:
        return right in {int(left), *(round(left, digits) for digits in range(7))}
    return False


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", html.unescape(text)).split())


def judge_created(
    action: Action, sent: Mapping[str, Any], lives: Iterable[LiveSession], known: Lives, made: int | None
) -> Verdict:
    """Judge a create. ``known`` are the sessions from before it, ``made`` is the id in the response."""
    lives = list(lives)
    ours = [live for live in lives if (tag := live.own_tag) is not None and tag.identity == action.identity]
    old = [live for live in ours if live.session_id in known]
    new = [live for live in ours if live.session_id not in known]
    if old:
        which = _list(known[live.session_id] for live in old)
        problem = f"it created no session of its own, but changed {which}, which was there before"
        return Verdict((problem,), True, tuple(known[live.session_id] for live in old))
    if len(new) > 1:
        return Verdict((f"it created {len(new)} sessions: {_numbers(new)}",), proof=True, found=new[0])
    if new:
        return Verdict(tuple(_misses(action, new[0], sent)), proof=True, found=new[0])
    for live in lives:
        if live.session_id == made and live.session_id in known:
            was = known[made]
            problem = f"it created no session, and its answer names {_label(was)}, which was there before"
            return Verdict((problem,), True, (was,) if _changes(was, live) else ())
        fresh = live.session_id not in known and live.session_id > max(known, default=0)
        if live.session_id == made or (
            made is None and fresh and live.name == action.name and live.remark.tag is None
        ):
            return Verdict((_unread(live),), proof=True, found=live)
    return Verdict(("the session that it created is not listed",), nothing=True)


def judge_updated(
    action: Action, sent: Mapping[str, Any], before: Lives, after: Lives, explained: Explained
) -> Verdict:
    """Judge an update: the session must be as wanted, and the others as they were."""
    problems = target_problems(action, sent, before, after)
    number = action.session_id or 0
    nothing = bool(problems) and number in before and number in after
    nothing = nothing and not _changes(before[number], after[number])
    others = _Others(action, sent, before, after, explained)
    proof = False
    for other, now in after.items():
        new = other != number and other not in before
        if new and now.raw_remark == sent.get("remark") and now.remark.tag is not None:
            problems.append(f"it created #{other}")
            proof = True
    for was, now in others.changed():
        problems.append(f"{_label(was)} changed: {', '.join(_changes(was, now))}")
        proof = proof or others.has_tag(now)
    gone = others.gone()
    ours = [live for live in gone if others.ours(live)]
    problems += [f"{_list(ours)} {'is' if len(ours) == 1 else 'are'} gone"] if ours else []
    touched = (*(was for was, _ in others.changed()), *ours)
    nothing = nothing and not proof and not touched
    return Verdict(tuple(problems), proof, touched, found=after.get(number), nothing=nothing)


def judge_deleted(
    action: Action, before: Lives, after: Lives, explained: Explained, *, restless: bool
) -> Verdict:
    """Judge a delete: only that session must be gone. ``restless`` says that sessions of others vanish anyway."""
    found = after.get(action.session_id or 0)
    problems = [] if found is None else [f"#{action.session_id} is still listed"]
    others = _Others(action, {}, before, after, explained)
    gone = others.gone()
    strangers = frozenset(live.session_id for live in gone if not others.ours(live))
    if restless:
        gone = [live for live in gone if others.ours(live)]
    if gone:
        problems.append(f"{_list(gone)} {'is' if len(gone) == 1 else 'are'} gone")
        if strangers and not restless and found is None:
            problems.append("somebody else may have deleted sessions that are not ours at the same moment")
    changed = others.changed()
    problems += [f"{_label(was)} changed: {', '.join(_changes(was, now))}" for was, now in changed]
    touched = (*gone, *(was for was, _ in changed))
    nothing = found is not None and not touched
    return Verdict(tuple(problems), False, touched, strangers, found, nothing)


def target_problems(action: Action, sent: Mapping[str, Any], before: Lives, after: Lives) -> list[str]:
    """How the session of an update differs from what is wanted."""
    number = action.session_id or 0
    was, now = before.get(number), after.get(number)
    if now is None:
        return [f"#{number} is gone"]
    if was is not None and not _changes(was, now) and was.raw_remark != sent.get("remark"):
        return [f"#{number} is as it was"]
    beside = [] if was is None else sorted(_changes(was, now).keys() - sent.keys())
    if beside:
        return [f"#{number} changed in {_and(beside)}, which the call did not carry"]
    if action.kind == "forget":
        tag = now.remark.tag
        ours = tag is not None and tag.identity == action.identity
        return [f"#{number} still has our tag"] if ours or now.remark.unreadable else []
    return _misses(action, now, sent, was)


def _misses(
    action: Action, live: LiveSession, sent: Mapping[str, Any], was: LiveSession | None = None
) -> list[str]:
    """What the service did not keep: the tag, or some fields."""
    expected = parse_remark(sent.get("remark")).tag
    tag = live.remark.tag
    if tag is None or tag != expected:
        return [_unread(live)]
    found, earlier = live.fields(), {} if was is None else was.fields()
    lost = []
    carried = {"remark"}  # its tag came back
    for change in action.fields:
        if change.path == PROTECTION or change.cause == "released":
            continue
        stored = _stored(change.path, found, action)
        if not kept(change.after, stored, earlier.get(change.path, MISSING)):
            lost.append(change.path)
        elif not _empty(change.after) and change.path.startswith("data."):
            carried.add("data")
    lost = [path for path in lost if path.partition(".")[0] not in carried]
    fields = sorted({path if path.startswith("parameters.") else call_field(path) for path in lost})
    return [f"#{live.session_id} did not keep {_and(fields)}"] if lost else []


def _stored(path: str, found: Mapping[str, Any], action: Action) -> Any:
    if path not in found:
        path = key_as_kept(path, found, {*action.managed, *action.held}) or path
    return found.get(path, MISSING)


def _unread(live: LiveSession) -> str:
    raw = live.raw_remark
    if not raw:
        return f"the tag of #{live.session_id} did not come back: its remark is empty"
    left = raw if len(raw) <= _SHOWN else raw[:_SHOWN] + "…"
    return f"the tag of #{live.session_id} did not come back as sent: its remark is {left}"


@dataclass(frozen=True, slots=True)
class _Others:
    """All sessions but the one of the write, before and after it."""

    action: Action
    sent: Mapping[str, Any]
    before: Lives
    after: Lives
    explained: Explained

    def gone(self) -> list[LiveSession]:
        """Those that are gone, without locks and what the run itself deleted."""
        return [
            was
            for number, was in self.before.items()
            if number != self.action.session_id
            and number not in self.after
            and reserved_kind(was) is None
            and not self.explained(was, None)
        ]

    def changed(self) -> list[tuple[LiveSession, LiveSession]]:
        """Those with a change that the write may have made: as they were, and as they are."""
        found = []
        for number, was in self.before.items():
            now = self.after.get(number)
            if number == self.action.session_id or now is None or now.row == was.row:
                continue
            proof = self.has_tag(now) and not self.has_tag(was)
            if proof or (self._may_be_ours(was, now) and not self.explained(was, now)):
                found.append((was, now))
        return found

    def has_tag(self, live: LiveSession) -> bool:
        """Whether a session has the tag that was sent."""
        sent = parse_remark(self.sent.get("remark")).tag
        return sent is not None and live.remark.tag is not None and live.remark.tag.identity == sent.identity

    def ours(self, live: LiveSession) -> bool:
        """Whether a session belongs to the catalog and environment of the write."""
        mine, tag = self.action.identity, live.remark.tag
        where = None if tag is None else (tag.identity.catalog, tag.identity.environment)
        return where == (mine.catalog, mine.environment)

    def _may_be_ours(self, was: LiveSession, now: LiveSession) -> bool:
        """Whether the write may explain the change: each field is as sent, or empty."""
        changes = _changes(was, now)
        return bool(changes) and all(
            _empty(value) or (name in self.sent and _is(self.sent[name], value))
            for name, value in changes.items()
        )


def _is(sent: Any, stored: Any) -> bool:
    return same(sent, stored) or _same_form(sent, stored)


def _changes(was: LiveSession, now: LiveSession) -> dict[str, Any]:
    """The fields that differ, with their present values, by the names of a call."""
    before, after = _face(was), _face(now)
    return {
        name: after.get(name)
        for name in sorted(before.keys() | after.keys())
        if not same(before.get(name), after.get(name))
    }


def _face(live: LiveSession) -> dict[str, Any]:
    return {
        **live.parameters,
        "name": live.name,
        "model": live.model,
        "prompt": live.config.get("prompt", live.prompt),
        "data": live.data,
        "remark": live.raw_remark,
    }


def _label(live: LiveSession) -> str:
    tag = live.remark.tag
    return f"#{live.session_id} ({tag.identity.key})" if tag else f"#{live.session_id} (unmanaged)"


def _list(lives: Iterable[LiveSession]) -> str:
    labels = [_label(live) for live in lives]
    more = f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else ""
    return ", ".join(labels[:_NAMED]) + more


def _and(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _numbers(lives: Iterable[LiveSession]) -> str:
    return ", ".join(f"#{live.session_id}" for live in lives)
