"""One account with a catalog on it, on either service, with hands that work behind the reconciler's back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml

from reconciler.ownership.remark import parse_remark
from reconciler.server import RunningServer
from tests.services.drf.running import Service

#: An account that no key opens: what is put there is out of sight.
_NOWHERE = 999


class Hands(Protocol):
    """What somebody with a console, or the vendor, does to sessions. ``insert`` returns the new session's id."""

    def rows(self) -> list[Mapping[str, Any]]: ...
    def insert(self, **fields: Any) -> int: ...
    def change(self, session_id: int, **fields: Any) -> None: ...
    def move(self, session_id: int, api_id: int) -> None: ...
    def delete(self, session_id: int) -> None: ...
    def say(self, session_id: int, text: str) -> None: ...
    def messages(self, session_id: int) -> int: ...


@dataclass(frozen=True)
class EmbeddedHands:
    """Hands for the embedded server."""

    server: RunningServer

    def rows(self) -> list[Mapping[str, Any]]:
        return [
            {
                "id": row.session_id,
                "api_id": row.api_id,
                "name": row.name,
                "prompt": row.prompt,
                "model": row.model,
                "remark": row.remark,
            }
            for row in self.server.store.sessions()
        ]

    def insert(self, **fields: Any) -> int:
        return self.server.store.insert_session(**fields)

    def change(self, session_id: int, **fields: Any) -> None:
        self.server.store.update_session(session_id, **fields)

    def move(self, session_id: int, api_id: int) -> None:
        store = self.server.store
        with store._lock, store._transaction("BEGIN IMMEDIATE"):
            store._connection.execute(
                "UPDATE session SET api_id = ? WHERE session_id = ?", (api_id, session_id)
            )

    def delete(self, session_id: int) -> None:
        self.server.store.delete_session(session_id)

    def say(self, session_id: int, text: str) -> None:
        self.server.store.insert_message(session_id, content=text)

    def messages(self, session_id: int) -> int:
        return len(self.server.store.messages(session_id))


#: The columns of the second service, by our names; the others have the same names.
_COLUMNS = {"name": "session_name", "remark": "session_remark"}


@dataclass(frozen=True)
class DrfHands:
    """Hands for the second service."""

    service: Service

    def rows(self) -> list[Mapping[str, Any]]:
        return [
            {
                "id": row["session_id"],
                "name": row["session_name"],
                "remark": row["session_remark"],
                **{name: row[name] for name in ("api_id", "prompt", "model")},
            }
            for row in self.service.sessions()
        ]

    def insert(self, **fields: Any) -> int:
        return self.service.put_session(**_columns(fields))

    def change(self, session_id: int, **fields: Any) -> None:
        self.service.change_session(session_id, **_columns(fields))

    def move(self, session_id: int, api_id: int) -> None:
        self.service.change_session(session_id, api_id=api_id)

    def delete(self, session_id: int) -> None:
        self.service.remove_session(session_id)

    def say(self, session_id: int, text: str) -> None:
        self.service.put_messages(session_id, [text])

    def messages(self, session_id: int) -> int:
        return len(self.service.messages(session_id))


def _columns(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {_COLUMNS.get(name, name): value for name, value in fields.items()}


class Command(Protocol):
    """Runs the command in the world's folder, with the key of an account; returns exit code, stdout, stderr."""

    def __call__(self, words: list[str], account: int) -> tuple[int, str, str]: ...


@dataclass
class World:
    """A folder with catalogs, and an account that they are applied to."""

    folder: Path
    hands: Hands
    command: Command
    account: int = 0
    #: What the last ``run`` printed to stderr, on one line.
    said: str = field(default="", init=False)

    # The catalog

    def write(self, sessions: Mapping[str, Any], *, folder: str = "shop", **head: Any) -> None:
        """The catalog ``bookshop`` in a folder; a prompt alone stands for a session."""
        root = self.folder / folder
        (root / "sessions").mkdir(parents=True, exist_ok=True)
        top = {"version": 1, "catalog": "bookshop", "defaults": {"model": "deepseek-chat"}, **head}
        whole = {
            key: {"name": key.title(), **({"prompt": one} if isinstance(one, str) else one)}
            for key, one in sessions.items()
        }
        for path, document in (("catalog.yaml", top), ("sessions/all.yaml", {"sessions": whole})):
            (root / path).write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    # The command

    def run(self, *words: str) -> tuple[int, str]:
        """Run the command; returns its exit code and stdout."""
        code, out, err = self.command(list(words), self.account)
        assert "Traceback" not in err, err
        # The rows are not about the contract, which the tests give by a flag.
        lines = [line for line in err.splitlines() if not line.startswith("contract: ")]
        self.said = tidy(" ".join(lines))
        return code, out

    def apply(self, *words: str, folder: str = "shop") -> None:
        """An apply that works."""
        code, out = self.run("apply", folder, "--auto-approve", "--settle", "0", "--parallelism", "1", *words)
        assert code == 0, out + self.said

    def archive(self) -> str:
        """The id of the only archived session."""
        (file,) = (self.folder / "shop" / ".reconciler" / "archive").glob("*.json")
        return file.stem

    # Hands

    def copy(self, session_id: int) -> int:
        """What a console's "duplicate" does: everything is copied, the remark too."""
        (row,) = [row for row in self.hands.rows() if row["id"] == session_id]
        return self.hands.insert(
            **{name: row[name] for name in ("name", "prompt", "model", "remark", "api_id")}
        )

    def remark(self, session_id: int) -> str:
        (text,) = [row["remark"] or "" for row in self.hands.rows() if row["id"] == session_id]
        return text

    def hide(self, session_id: int) -> None:
        """The list lags: it does not show this session yet."""
        self.hands.move(session_id, _NOWHERE)

    def unhide(self, session_id: int) -> None:
        self.hands.move(session_id, 70)

    def live(self) -> str:
        """Every live session: its number, whose it is by its tag, and how many messages it has."""
        return ", ".join(
            f"#{row['id']} {_whose(row['remark'])}{self._messages(row['id'])}"
            for row in sorted(self.hands.rows(), key=lambda row: row["id"])
        )

    def _messages(self, session_id: int) -> str:
        count = self.hands.messages(session_id)
        return "" if not count else f" ({count} message{'' if count == 1 else 's'})"


def _whose(remark: str | None) -> str:
    found = parse_remark(remark)
    if found.tag is not None:
        return str(found.tag.identity)
    return "unreadable" if found.unreadable else "untagged"


def tidy(text: str) -> str:
    """A text on one line, without what differs from run to run."""
    text = re.sub(r"\d{4}-\d\d-\d\d", "DAY", " ".join(text.split()))
    text = text.replace(" --catalog=shop`", "`")  # which the rows leave out
    text = re.sub(r"http://127\.0\.0\.1:\d+", "ADDRESS", text)
    return re.sub(r"\b\d{8}T\d{6}-[\w-]+\b", "ARCHIVE", text)


def messages(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Everything that a plan says, in its order: refusals, what it would do, notes."""
    refusals = [
        f"Refused [{one['guard']}] {one['message']}. To allow it: {one['allow']}"
        for one in document["refusals"]
    ]
    actions = [f"{one['action']} {_of(one)}: {one['reason']}" for one in document["actions"]]
    notes = [f"[{one['kind']}] {_of(one)}{one['message']}" for one in document["notes"]]
    return tuple(tidy(text) for text in (*refusals, *actions, *notes))


def _of(one: Mapping[str, Any]) -> str:
    """``alice #1``, as far as it is said."""
    number = "" if one.get("session_id") is None else f"#{one['session_id']}"
    words = " ".join(filter(None, (one.get("key"), number)))
    return words if "action" in one or not words else f"{words} "


def plan_messages(out: str) -> tuple[str, ...]:
    """What ``plan --format json`` says."""
    return messages(json.loads(out))
