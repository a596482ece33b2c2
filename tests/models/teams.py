"""A team's checkout of a catalog, edited as a careful person edits it: every state of it is a valid catalog."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

#: The identity that a ``moved`` entry takes sessions from: catalog, environment, and a key or ``*``.
Place = tuple[str, str | None, str]


@dataclass
class Team:
    """What the catalog says, and where the team keeps its state and its archive.

    ``adopt`` maps environment and key to a session. ``moves`` are pairs of from and to. ``account`` is the one whose
    key the team uses. ``former_ids`` are ids that the catalog had, and says so.
    """

    folder: Path
    name: str
    account: int
    id: str | None = None
    environments: tuple[str, ...] = ()
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    adopt: dict[tuple[str | None, str], int] = field(default_factory=dict)
    moves: list[tuple[str, str]] = field(default_factory=list)
    former_ids: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    states: int = 1

    @property
    def state(self) -> Path:
        """The state folder. It is lost now and then, as that of a CI job is; the archive is not."""
        return self.folder.with_name(f"{self.folder.name}.state{self.states}")

    @property
    def archive(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.archive")

    # Edits

    def want(self, key: str, **fields: Any) -> None:
        """Add a session, or change one."""
        self.sessions[key] = {**self.sessions.get(key, {"name": key.title()}), **fields}
        self.forgotten.discard(key)
        self._drop_moves(lambda source, _: self._is(source, key))

    def drop(self, key: str) -> dict[str, Any]:
        """Remove a session, and what else the catalog says of it."""
        self.adopt = {place: number for place, number in self.adopt.items() if place[1] != key}
        self._drop_moves(lambda _, target: self._is(target, key))
        return self.sessions.pop(key)

    def rename_key(self, old: str, new: str, *, declared: bool) -> None:
        """Give a session another key."""
        session = self.drop(old)
        self.want(new, **session)
        if declared:
            self.move(old, new)

    def move(self, source: str, target: str) -> None:
        """Declare a move, in place of any other that names one of the two."""
        named = {place_of(source, self.name, None), place_of(target, self.name, None)}
        self._drop_moves(lambda *sides: any(place_of(side, self.name, None) in named for side in sides))
        self.moves.append((source, target))

    def forget(self, key: str) -> None:
        """Remove a session and list it as forgotten."""
        self.drop(key)
        self._drop_moves(lambda source, _: self._is(source, key))
        self.forgotten.add(key)

    def rename(self, name: str, environments: tuple[str, ...] = ()) -> None:
        """Give the catalog another name, or other environments. Entries about the old ones go."""
        self.name, self.environments = name, environments
        self.adopt, self.moves, self.forgotten = {}, [], set()

    def _is(self, text: str, key: str) -> bool:
        """Whether a side of an entry names this key of this catalog."""
        return place_of(text, self.name, None)[::2] == (self.name, key)

    def _drop_moves(self, drop: Any) -> None:
        self.moves = [move for move in self.moves if not drop(*move)]

    # What the judge asks

    def sources(self, environment: str | None) -> set[Place]:
        """From where the entries of ``moved`` bring sessions into this environment."""
        return {
            place_of(source, self.name, environment)
            for source, target in self.moves
            if place_of(target, self.name, environment)[:2] == (self.name, environment)
        }

    def adopts(self, environment: str | None) -> set[int]:
        """The sessions that the catalog asks for by id."""
        return {
            number
            for (where, key), number in self.adopt.items()
            if where == environment and key in self.sessions
        }

    # The files

    def write(self) -> None:
        """Write catalog.yaml."""
        document: dict[str, Any] = {"version": 1, "catalog": self.name}
        if self.id:
            document["id"] = self.id
        document["defaults"] = {"model": "m"}
        document["policy"] = {"max_deletes": 2}
        sessions = {key: dict(one) for key, one in self.sessions.items()}
        if self.environments:
            document["environments"] = {
                name: self._below(name) if any(where == name for where, _ in self.adopt) else {}
                for name in self.environments
            }
        else:
            for (_, key), number in self.adopt.items():
                sessions[key]["adopt"] = number
        moves = [*self.moves, *((f"id:{one}", f"id:{self.id}") for one in sorted(self.former_ids))]
        if moves:
            document["moved"] = [{"from": source, "to": target} for source, target in moves]
        if self.forgotten:
            document["forgotten"] = sorted(self.forgotten)
        document["sessions"] = sessions
        self.folder.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
        (self.folder / "catalog.yaml").write_text(text, encoding="utf-8")

    def _below(self, environment: str) -> dict[str, Any]:
        adopted = {key: {"adopt": one} for (where, key), one in self.adopt.items() if where == environment}
        return {"sessions": adopted}

    def read_id(self) -> None:
        """Take over the id that ``apply --write-id`` wrote."""
        self.id = yaml.safe_load((self.folder / "catalog.yaml").read_text(encoding="utf-8")).get("id")


def place_of(text: str, catalog: str, environment: str | None) -> Place:
    """What ``KEY``, ``CATALOG/KEY`` or ``CATALOG@ENVIRONMENT/KEY`` names, from this catalog's point of view."""
    scope, slash, key = text.rpartition("/")
    if not slash:
        return catalog, environment, key
    name, at, where = scope.partition("@")
    return name, where if at else None, key


def is_among(place: Place, sources: Iterable[Place]) -> bool:
    """Whether sessions of this identity come from one of these."""
    return any(source[:2] == place[:2] and source[2] in ("*", place[2]) for source in sources)
