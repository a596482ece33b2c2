"""The sessions of an account, in the smallest form from which several plans can be made.

Each plan keeps something else of a session (:data:`reconciler.domain.Keep`). Of a session that all of them only count,
and count alike, nothing is kept but that. Of one that some of them keep in part, the part is kept from which each gets
what it would get from the whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

from reconciler.api.seen import Row, Seen
from reconciler.domain import Keep, KnownKeep, LeftOut, LiveSession, Others, Snapshot


def is_known(keep: Keep) -> TypeGuard[KnownKeep]:
    """Whether it is a :class:`KnownKeep`. Asking for the protocol itself takes a hundred times as long."""
    return hasattr(keep, "beyond")


class Keeps:
    """What several plans keep."""

    def __init__(self, keeps: Iterable[Keep]) -> None:
        self.all = list(keeps)
        known = [keep for keep in self.all if is_known(keep)]
        self._known = bool(known) and len(known) == len(self.all)
        self._scopes = {keep.scope for keep in known}
        self._ids = frozenset[int]().union(*(keep.ids for keep in known))
        self._names = frozenset[str]().union(*(keep.names for keep in known))

    def smallest(self, live: LiveSession) -> Row:
        """The smallest form of a session in which each plan keeps the same of it as of the whole.

        On an account that others use, nearly all sessions are theirs. One plan is asked about these, not a hundred.
        """
        tag = live.remark.tag
        if (
            self._known
            and tag is not None
            and (tag.identity.catalog, tag.identity.environment) in self._scopes
        ):
            return live
        if (
            self._known
            and tag is None
            and live.session_id not in self._ids
            and live.name.strip() not in self._names
        ):
            return self.all[0](live)
        found = []
        parts: list[Row] = []
        for keep in self.all:
            one = keep(live)
            if one is live:
                return live
            found.append(one)
            if not any(one is other or one == other for other in parts):
                parts.append(one)
        if len(parts) == 1 and isinstance(parts[0], str):
            return parts[0]
        for part in parts:
            if isinstance(part, LiveSession) and [keep(part) for keep in self.all] == found:
                return part
        return live


@dataclass(slots=True)
class View:
    """What one plan keeps: some sessions by id, and how many others are kept for other plans, by their owner.

    ``parts`` are shared with other plans: of a session that many keep in part, the part is held once. ``asked`` is when
    somebody asked for it last, ``snapshot`` what they got, and ``version`` that of the list then.
    """

    keep: Keep
    parts: dict[int, list[LiveSession]]
    asked: float = 0.0
    snapshot: Snapshot | None = None
    version: int = -1
    kept: dict[int, LiveSession] = field(default_factory=dict)
    counted: Counter[Others] = field(default_factory=Counter)

    def add(self, session_id: int, row: Row) -> None:
        """Add a session that is kept for some plan."""
        if isinstance(row, LiveSession):
            found = self.keep(row)
            if isinstance(found, str):
                self.counted[found] += 1
            else:
                self.kept[session_id] = row if found is row else self._shared(session_id, found)

    def _shared(self, session_id: int, part: LiveSession) -> LiveSession:
        parts = self.parts.setdefault(session_id, [])
        for one in parts:
            if one == part:
                return one
        parts.append(part)
        return part

    def remove(self, session_id: int, row: Row | None) -> None:
        """Remove a session that was added like this."""
        if isinstance(row, LiveSession) and self.kept.pop(session_id, None) is None:
            found = self.keep(row)
            if isinstance(found, str):
                self.counted[found] -= 1

    def sessions(self) -> tuple[LiveSession, ...]:
        """The sessions that this plan keeps, by id."""
        return tuple(self.kept[session_id] for session_id in sorted(self.kept))


class AccountRows:
    """The sessions that were ``seen``, each in the form that :meth:`Keeps.smallest` gives for these ``keeps``.

    ``before`` is what was seen before, and is not to be used any more: what differs from it is looked at alone.
    """

    def __init__(self, seen: Seen, keeps: Iterable[Keep], before: AccountRows | None = None) -> None:
        self.seen = seen
        self.views: list[View] = []
        self._parts: dict[int, list[LiveSession]] = before._parts if before else {}
        old = {id(view.keep): view for view in before.views} if before else {}
        differs = seen.differing(before.seen) if before else []
        for session_id, _, _ in differs:
            self._parts.pop(session_id, None)
        for keep in keeps:
            view = old.get(id(keep))
            if view is None:
                self._show(keep)
                continue
            for session_id, was, row in differs:
                view.remove(session_id, was)
                if row is not None:
                    view.add(session_id, row)
            self.views.append(view)

    @property
    def keeps(self) -> list[Keep]:
        """What is kept for."""
        return [view.keep for view in self.views]

    def view(self, keep: Keep) -> View | None:
        """What this keeps; None if that can't be told without reading the list."""
        for view in self.views:
            if view.keep is keep or view.keep == keep:
                return view
        if is_known(keep):
            for view in self.views:
                more = keep.beyond(view.keep)
                if more is not None and all(self._is_whole(one) for one in more):
                    return self._show(keep)
            if self._has_all_of(keep):
                return self._show(keep)
        return None

    def _has_all_of(self, keep: KnownKeep) -> bool:
        """Whether nothing that a plan could want was left out: what is kept is kept as a whole, and what is only
        counted are sessions without a tag, by names that it does not ask for."""
        out = self.seen.left_out()
        if out.foreign or not all(one.row for one in self.seen.kept.values()):
            return False
        known = frozenset[str]().union(*(one.names for one in self.keeps if is_known(one)))
        names = not out.unmanaged or known.issuperset(keep.names)
        return names and all(self._is_whole(one) for one in keep.ids)

    def update(self, changed: Mapping[int, LiveSession], gone: Iterable[int]) -> bool:
        """Take over changes. Returns whether anything is different now."""
        differs, keeps = False, Keeps(self.keeps)
        for session_id in sorted(changed):
            row, before = keeps.smallest(changed[session_id]), self.seen.row(session_id)
            if row == before:
                continue
            differs = True
            self._remove(session_id, before)
            for view in self.views:
                view.add(session_id, row)
            self.seen.add([session_id], [row])
        for session_id in gone:
            before = self.seen.row(session_id)
            if before is not None:
                differs = True
                self._remove(session_id, before)
                self.seen.remove(session_id)
        return differs

    def _remove(self, session_id: int, before: Row | None) -> None:
        for view in self.views:
            view.remove(session_id, before)
        self._parts.pop(session_id, None)

    def left_out(self, view: View) -> LeftOut:
        """How many sessions a plan only counts."""
        out, more = self.seen.left_out(), view.counted
        return LeftOut(out.unmanaged + more["unmanaged"], out.foreign + more["foreign"])

    def _is_whole(self, session_id: int) -> bool:
        """Whether all of a session is kept, or it is not live."""
        row = self.seen.row(session_id)
        return row is None or (isinstance(row, LiveSession) and bool(row.row))

    def _show(self, keep: Keep) -> View:
        view = View(keep, self._parts)
        for session_id, row in self.seen.kept.items():
            view.add(session_id, row)
        self.views.append(view)
        return view
