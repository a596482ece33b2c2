"""Sessions that a plan would create, and that are live under another catalog's or environment's name.

If a catalog was renamed or given environments, its live sessions have other identities. A plan would create all of them
again, and leave the old ones, with their messages, unmanaged. So a plan compares its creates with the sessions of every
other catalog and environment, and prints the entry of ``moved`` that keeps them.

Another environment that the catalog still declares is live in its own right, and never counts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from reconciler.domain import Catalog, LiveSession, Snapshot
from reconciler.ownership.key import EVERY_KEY, is_identity
from reconciler.ownership.tag import Identity, Tag
from reconciler.plan.types import Action, Note, Refusal
from reconciler.text.paste import command

_Scope: TypeAlias = tuple[str, str | None]

#: How many sessions a message names by id.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Likeness:
    """Recognises another catalog's session as one of this catalog by its key or its prompt.

    ``prompts`` maps the prompts of the catalog, without white space at the ends, to themselves. ``ignored`` are the
    catalog and environments that a session can't have been renamed from, and ``spoken_for`` the identities that an
    entry of ``moved`` gives to another environment, with ``*`` as the key for all of a catalog. ``ids`` are
    those of the catalog, with its former ones; none if it has no id. A catalog that was renamed keeps its id, so the
    sessions of one with another id are another team's.
    """

    keys: Collection[str]
    prompts: Mapping[str, str]
    ignored: frozenset[_Scope]
    spoken_for: frozenset[Identity] = frozenset()
    ids: frozenset[str] = frozenset()

    @classmethod
    def of(cls, catalog: Catalog) -> Likeness:
        """The features of this catalog's sessions."""
        prompts = {wanted.prompt.strip(): wanted.prompt for wanted in catalog.sessions.values()}
        prompts.pop("", None)
        ignored = {(catalog.name, one) for one in (catalog.environment, *catalog.environments)}
        ids = {catalog.id, *catalog.former_ids} if catalog.id else ()
        return cls(
            catalog.sessions.keys(),
            prompts,
            frozenset(ignored),
            catalog.moved_elsewhere,
            frozenset(one for one in ids if one),
        )

    def candidate(self, tag: Tag) -> bool:
        """Whether a session with this tag could have been renamed to one of the catalog."""
        identity = tag.identity
        if self.ids and tag.catalog_id and tag.catalog_id not in self.ids:
            return False
        if (identity.catalog, identity.environment) in self.ignored:
            return False
        if self.spoken_for and self.spoken_for & {identity, replace(identity, key=EVERY_KEY)}:
            return False
        return is_identity(identity)

    def like_key(self, tag: Tag) -> bool:
        """Whether the key is one of the catalog's."""
        return tag.identity.key in self.keys and self.candidate(tag)

    def prompt(self, live: LiveSession) -> str:
        """The session's prompt if the catalog has it, too; otherwise an empty string."""
        tag = live.remark.tag
        if tag is None or not live.prompt:
            return ""
        prompt = self.prompts.get(live.prompt.strip(), "")
        return prompt if prompt and self.candidate(tag) else ""


@dataclass(frozen=True, slots=True)
class Pair:
    """A session that would be created, and the live one that it looks like.

    ``sure`` says that more than the key of another catalog is the same.
    """

    action: Action
    live: LiveSession
    source: Identity
    sure: bool


@dataclass(frozen=True, slots=True)
class Renamed:
    """The sessions of one other catalog or environment that look like what a plan would create.

    ``every`` says that one entry with ``*`` would move them all, and nothing but them. ``others`` are the other
    environments that the sessions may belong to: the API key may be that of another one's account.
    """

    source: str
    target: _Scope
    pairs: tuple[Pair, ...]
    every: bool
    others: tuple[str, ...] = ()

    def if_ours(self) -> str:
        """The condition under which the entry is right, as the beginning of a clause; empty if there is none."""
        return f"if they are those of {self.target[1]}, " if self.others else ""

    def otherwise(self) -> str:
        """What to do if the sessions are those of another environment; empty if they can't be."""
        if not self.others:
            return ""
        return (
            f". If they are those of {' or '.join(self.others)}, write that environment in it instead of "
            f"{self.target[1]}, and check the API key"
        )

    def entry(self) -> str:
        """The entry of catalog.yaml that moves these sessions."""
        moves = ", ".join(f'{{from: "{start}", to: "{end}"}}' for start, end in self._sides())
        return f"moved: [{moves}]"

    def command(self) -> str:
        """The command that moves them at once; empty if no single command does."""
        sides = self._sides()
        if len(sides) > 1:
            return ""
        return command("mv", *sides[0], environment=self.target[1])

    def _sides(self) -> list[tuple[str, str]]:
        if self.every:
            return [(f"{self.source}/{EVERY_KEY}", self._target(EVERY_KEY))]
        return [(str(pair.source), self._target(pair.action.key)) for pair in self.pairs]

    def _target(self, key: str) -> str:
        # In a catalog with environments, a key alone means one of the selected environment.
        catalog, environment = self.target
        return key if environment is None else f"{catalog}@{environment}/{key}"


def find_renamed(catalog: Catalog, actions: Sequence[Action], snapshot: Snapshot) -> list[Renamed]:
    """The creates of a plan that are live elsewhere, by that catalog and environment."""
    creates = {action.key: action for action in actions if action.kind == "create"}
    if not creates:
        return []
    likeness = Likeness.of(catalog)
    by_scope: dict[_Scope, list[LiveSession]] = {}
    for live in snapshot:
        tag = live.remark.tag
        if tag is None or tag.identity in catalog.moved:
            continue
        if likeness.like_key(tag) or likeness.prompt(live):
            by_scope.setdefault((tag.identity.catalog, tag.identity.environment), []).append(live)
    target = (catalog.name, catalog.environment)
    found = []
    for scope, lives in by_scope.items():
        pairs = _pairs(creates, lives, likeness, same_catalog=scope[0] == catalog.name)
        alike = [live for live in lives if _identity(live).key in catalog.sessions]
        every = len(pairs) > 1 and len(alike) == len(pairs) == sum(_keeps_key(pair) for pair in pairs)
        if pairs:
            source = scope[0] if scope[1] is None else f"{scope[0]}@{scope[1]}"
            same = scope[0] == catalog.name
            others = tuple(sorted(catalog.environments - {catalog.environment})) if same else ()
            found.append(Renamed(source, target, tuple(pairs), every, others))
    return found


def _pairs(
    creates: Mapping[str, Action], lives: Sequence[LiveSession], likeness: Likeness, *, same_catalog: bool
) -> list[Pair]:
    """Pair each create with one live session at most: first by key, then what is left by prompt."""
    by_key: dict[str, LiveSession] = {}
    for live in lives:
        by_key.setdefault(_identity(live).key, live)
    pairs = []
    for key, action in creates.items():
        if key in by_key:
            live = by_key[key]
            sure = same_catalog or live.name == action.name or likeness.prompt(live) == _prompt(action) != ""
            pairs.append(Pair(action, live, _identity(live), sure))
    paired = {pair.action.key for pair in pairs}
    by_prompt: dict[str, LiveSession] = {}
    for live in lives:
        if _identity(live).key not in likeness.keys and (prompt := likeness.prompt(live)):
            by_prompt.setdefault(prompt.strip(), live)
    for key, action in creates.items():
        if key not in paired and (found := by_prompt.pop(_prompt(action).strip(), None)):
            pairs.append(Pair(action, found, _identity(found), True))
    return pairs


def _keeps_key(pair: Pair) -> bool:
    return pair.action.key == pair.source.key


def _identity(live: LiveSession) -> Identity:
    tag = live.remark.tag
    assert tag is not None
    return tag.identity


def _prompt(action: Action) -> str:
    return next((str(change.after) for change in action.fields if change.path == "prompt"), "")


def rename_notes(renamed: Sequence[Renamed]) -> list[Note]:
    """A message for each, with the entry to paste."""
    return [Note("maybe-moved", _sentence(one), None) for one in renamed]


def _sentence(one: Renamed) -> str:
    count = len(one.pairs)
    keys = _some([pair.action.key for pair in one.pairs])
    ids = _some([f"#{pair.live.session_id}" for pair in one.pairs])
    if count == 1:
        what = f"{keys} would be created, and {ids} of {one.source} has the same key or prompt"
    else:
        what = f"{keys} would be created, and {ids} of {one.source} have the same keys or prompts"
    them = "it keeps its id and messages" if count == 1 else "they keep their ids and messages"
    command = one.command()
    shell = f", or run {command}" if command else ""
    same = f"If they are those of {one.target[1]}" if one.others else "If this is the same under a new name"
    return f"{what}. {same}, {them} with this entry in catalog.yaml: {one.entry()}{shell}"


def _some(words: Sequence[str]) -> str:
    more = len(words) - _NAMED
    return ", ".join(words[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def recreate_refusals(renamed: Sequence[Renamed], wanted: int) -> tuple[Refusal, ...]:
    """Refuse to create more than half of a catalog that is live under one other name.

    ``wanted`` is the number of sessions in the catalog. A key that a catalog of another name has too is not enough.
    """
    return tuple(
        Refusal(
            "allow_recreate",
            f"it would create {count} of the catalog's {wanted} session{'' if wanted == 1 else 's'}, "
            f"and as many are live as {one.source}: was the catalog or its environment renamed? "
            f"To keep them, {one.if_ours()}add to catalog.yaml: {one.entry()}{one.otherwise()}",
            "--allow-recreate",
        )
        for one in renamed
        if 2 * (count := sum(pair.sure for pair in one.pairs)) > wanted
    )
