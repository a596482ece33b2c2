"""One address with two accounts, commands that run against it, and the judge of each.

The judge believes no plan. It knows each row as it was before a command, what every end user said, and which identity a
tag had before somebody damaged it. Whether a session may be touched it decides from its tag alone.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from reconciler.cli import run
from reconciler.errors import ExitCode
from reconciler.ownership.remark import parse_remark
from reconciler.ownership.tag import Tag
from reconciler.server import LoggedRequest, MessageRow, RunningServer, SessionRow
from tests.faults.world import Killer, is_row
from tests.models.teams import Place, Team, is_among

KEYS = {70: "sk-first-0f-two-accounts", 71: "sk-second-0f-two-accounts"}

#: Processes that can be killed. They come from one that has imported the program once, since that takes long.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(
    ["reconciler.cli.commands.apply", "reconciler.render.text", "jsonschema_rs", "tests.models.world"]
)

#: What is left of a tag's beginning, however it was escaped.
_BEGINNING = re.compile(r"""(?:"|&quot;|\\")reconciler(?:"|&quot;|\\")""")

Touches = Callable[[SessionRow], bool]
Kill: TypeAlias = tuple[int, Literal["before", "after"]]


@dataclass
class Done:
    """A command that ended, or was killed. ``changed`` are the rows that it changed or deleted, as they were.

    Nobody heard what it said if it was ``unheard``: a process that was to be killed.
    """

    words: Sequence[str]
    code: int
    out: str
    err: str
    log: list[LoggedRequest]
    unheard: bool
    changed: dict[int, SessionRow] = field(default_factory=dict)
    made: dict[int, SessionRow] = field(default_factory=dict)

    @property
    def writes(self) -> list[str]:
        return [one.operation for one in self.log if one.method != "GET" and one.worked]

    def document(self) -> dict[str, Any]:
        """What it printed as JSON."""
        found: dict[str, Any] = json.loads(self.out) if self.out.strip() else {}
        return found

    def __str__(self) -> str:
        return f"$ reconciler {' '.join(self.words)}\n{self._told()}{self.err}exit code {self.code}"

    def _told(self) -> str:
        """What it printed; of a plan or a report in JSON the gist."""
        if not self.out.startswith("{"):
            return self.out
        document = self.document()
        lines = [
            f"{one['action']} {one['key']} #{one['session_id']}: {one.get('reason') or one['outcome']} "
            f"{one.get('message', '')} {one.get('hint', '')}".rstrip()
            for one in document.get("actions", document.get("results", ()))
        ]
        lines += [f"[{one['kind']}] {one['message']}" for one in document.get("notes", ())]
        lines += [
            f"[{one['guard']}] {one['message']}: {one['allow']}" for one in document.get("refusals", ())
        ]
        return "".join(f"{line}\n" for line in lines)


@dataclass
class Damaged:
    """A session whose tag somebody damaged: what it was, and the remark before."""

    tag: Tag
    remark: str


@dataclass
class World:
    """The service, and what the model knows of it.

    ``said`` is what end users said: the account and the session, by the text. ``damaged`` are the sessions whose tag
    somebody damaged.
    """

    server: RunningServer
    folder: Path
    contract: Path | None = None
    said: dict[str, tuple[int, int]] = field(default_factory=dict)
    damaged: dict[int, Damaged] = field(default_factory=dict)
    _archived: dict[Path, dict[str, Any]] = field(default_factory=dict)

    def rows(self, account: int | None = None) -> dict[int, SessionRow]:
        """The live sessions, of one account or of both."""
        return {row.session_id: row for row in self.server.store.sessions() if account in (None, row.api_id)}

    def messages(self) -> dict[int, list[MessageRow]]:
        """The live messages by session."""
        found: dict[int, list[MessageRow]] = defaultdict(list)
        for number in self.rows():
            found[number] = self.server.store.list_messages(session_id=number, size=1000).rows
        return found

    # Commands

    def run(
        self,
        team: Team,
        *words: str,
        environment: str | None = None,
        touches: Touches = lambda _: False,
        kill: Kill | None = None,
    ) -> Done:
        """Run a command in a team's checkout, and judge what it did. It may change the rows that ``touches`` allows."""
        team.write()
        began, before, said = len(self.server.log), self.rows(), self.messages()
        argv = [*words, *(() if environment is None else ("--env", environment))]
        code, out, err = self._killed(team, argv, kill) if kill else self._here(team, argv)
        done = Done(argv, code, out, err, self.server.log[began:], kill is not None)
        self._judge(team, done, before, said, touches)
        return done

    def _here(self, team: Team, argv: Sequence[str]) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with self._checkout(team), redirect_stdout(out), redirect_stderr(err):
            code = run(argv)
        return code, out.getvalue(), err.getvalue()

    def _killed(self, team: Team, argv: Sequence[str], kill: Kill) -> tuple[int, str, str]:
        killer = Killer(self.server, *kill)
        with self._checkout(team):
            process = _PROCESSES.Process(target=_child, args=(argv, dict(os.environ), team.folder))
            process.start()
        assert process.pid is not None
        killer.aim(process.pid)
        process.join()
        killer.put_down()
        code = process.exitcode
        process.close()
        assert code is not None
        return code, "", ""

    @contextmanager
    def _checkout(self, team: Team) -> Iterator[None]:
        """Work in a team's checkout as its CI job does: in its folder, and with variables in place of flags."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RECONCILER_")}
        ours = {
            "MINDCRAFT_ENDPOINT": self.server.url,
            "MINDCRAFT_API_KEY": KEYS[team.account],
            "CI_COMMIT_SHA": "0" * 40,
            "RECONCILER_STATE_DIR": str(team.state),
            "RECONCILER_ARCHIVE_DIR": str(team.archive),
            "RECONCILER_AUTO_APPROVE": "1",
            "RECONCILER_SETTLE": "0",
            "RECONCILER_PARALLELISM": "1",
            **({"RECONCILER_CONTRACT": str(self.contract)} if self.contract else {}),
        }
        before = dict(os.environ)
        try:
            os.environ.clear()
            os.environ.update(kept | ours)
            with contextlib.chdir(team.folder):
                yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    # The judge

    def _judge(
        self,
        team: Team,
        done: Done,
        before: dict[int, SessionRow],
        said: dict[int, list[MessageRow]],
        touches: Touches,
    ) -> None:
        after, messages = self.rows(), self.messages()
        done.made = {number: row for number, row in after.items() if number not in before}
        done.changed = {number: row for number, row in before.items() if after.get(number) != row}
        for number, row in done.changed.items():
            assert touches(row), f"{row} became {after.get(number)}\n{done}"
        for number in before.keys() & after.keys():
            assert messages[number] == said[number] or touches(before[number]), done
        for row in done.made.values():
            assert row.api_id == team.account, done
        self._judge_words(done)
        self._judge_archives(team, done, said, after)
        self._judge_creates(done, before, touches)
        self._judge_doubles(team, done, before, said, after)
        self.judge_messages()

    def _judge_words(self, done: Done) -> None:
        """What was not done is said, and what was refused says what to do."""
        assert "Traceback" not in done.err, done
        # Who names a session that is not there has mistyped it.
        allowed = (0, 1, 3, 4, -9, 64) if done.words[0] in ("adopt", "forget", "mv") else (0, 1, 3, 4, -9)
        assert done.code in allowed, done
        if done.code == ExitCode.REFUSED:
            assert not done.writes, done
        if done.unheard:
            return
        if done.code == ExitCode.REFUSED:
            found = done.document().get("refusals", []) if done.out.startswith("{") else []
            assert found or "to allow it: " in done.out or "hint: " in done.err, done
            assert all(one["allow"] and one["message"] for one in found), done
        elif done.code > 0:
            assert done.out.strip() or done.err.strip(), done

    def _judge_archives(
        self,
        team: Team,
        done: Done,
        said: dict[int, list[MessageRow]],
        after: dict[int, SessionRow],
    ) -> None:
        """What was deleted or overwritten is in the archive as it was, for its own account."""
        kept: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for document in self.archives(team.archive):
            kept[document["session_id"]].append(document)
        for number, row in done.changed.items():
            fitting = [one for one in kept[number] if is_row(one["session"], row)]
            if number not in after:
                wanted = [message.content for message in said[number]]
                fitting = [
                    one
                    for one in fitting
                    if one["before"] == "delete" and [m["message_content"] for m in one["messages"]] == wanted
                ]
            assert fitting, f"#{number} is not in the archive as it was: {row}\n{done}"
            assert all(one["account"]["api_ids"] == [row.api_id] for one in fitting), fitting

    def _judge_creates(self, done: Done, before: dict[int, SessionRow], touches: Touches) -> None:
        """No session is made beside one whose damaged tag says, to whoever knows, that it is the same; unless somebody
        asked for that one by its id. What was taken over is damaged no more."""
        for row in done.made.values():
            tag = parse_remark(row.remark).tag
            for number, damaged in self.damaged.items():
                old = before.get(number)
                assert (
                    old is None
                    or tag is None
                    or touches(old)
                    or (old.api_id, old.name) != (row.api_id, row.name)
                    or damaged.tag.identity != tag.identity
                ), f"#{row.session_id} was made beside {old}\n{done}"
        for number in done.changed:
            self.damaged.pop(number, None)

    def _judge_doubles(
        self,
        team: Team,
        done: Done,
        before: dict[int, SessionRow],
        said: dict[int, list[MessageRow]],
        after: dict[int, SessionRow],
    ) -> None:
        """Of several sessions of one identity, none with messages is deleted while only such without stay. Where the
        catalog no longer has the key, what stays is a copy."""
        for number, row in done.changed.items():
            tag = tag_of(row)
            if number in after or tag is None or not said[number] or tag.identity.key not in team.sessions:
                continue
            staying = [
                one
                for one in before.keys() & after.keys()
                if before[one].api_id == row.api_id
                and (other := tag_of(before[one])) is not None
                and other.identity == tag.identity
            ]
            assert not staying or any(said[one] for one in staying), f"#{number} had messages\n{done}"

    def judge_messages(self) -> None:
        """Every message is live in its account, or in an archive of its account."""
        found: dict[str, set[int]] = defaultdict(set)
        rows = self.rows()
        for number, messages in self.messages().items():
            for message in messages:
                account, _ = self.said[message.content]
                assert rows[number].api_id == account, f"{message} is in #{number} of {rows[number].api_id}"
                found[message.content].add(account)
        for folder in self.folder.glob("*.archive"):
            for document in self.archives(folder):
                for message in document["messages"] or ():
                    found[message["message_content"]] |= set(document["account"]["api_ids"])
        for text, (account, number) in self.said.items():
            assert found[text] == {account}, f"{text!r}, in #{number}: {found[text]}"

    def archives(self, folder: Path) -> list[dict[str, Any]]:
        """All that is archived in a folder, in the order of the commands."""
        for path in sorted(folder.glob("[!.]*.json")):
            if path not in self._archived:
                self._archived[path] = json.loads(path.read_text(encoding="utf-8"))
        return [one for path, one in self._archived.items() if path.parent == folder]


def _child(argv: Sequence[str], environ: dict[str, str], folder: Path) -> None:
    """Run a command, in a process that may be killed."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    os._exit(run(argv))


# What a row says


def tag_of(row: SessionRow) -> Tag | None:
    """The tag of a session, if it can be read and is its own."""
    tag = parse_remark(row.remark).tag
    return tag if tag and tag.session_id in (None, row.session_id) else None


def place_of_tag(tag: Tag) -> Place:
    return tag.identity.catalog, tag.identity.environment, tag.identity.key


def is_own(team: Team, environment: str | None) -> Touches:
    """Whether a team may change a session, by what its catalog says now."""
    name, ids = team.name, {None, team.id, *team.former_ids}
    account, adopts, sources = team.account, team.adopts(environment), team.sources(environment)

    def touches(row: SessionRow) -> bool:
        if row.api_id != account:
            return False
        if row.session_id in adopts:
            return True
        tag = tag_of(row)
        if tag is None:
            return False
        place = place_of_tag(tag)
        return is_among(place, sources) or (place[:2] == (name, environment) and tag.catalog_id in ids)

    return touches


def has_beginning(remark: str | None) -> bool:
    """Whether a remark shows that there was a tag."""
    return _BEGINNING.search(remark or "") is not None


def copies(
    rows: dict[int, SessionRow], team: Team, environment: str | None, written: Mapping[int, str]
) -> dict[int, str]:
    """The sessions whose tags name none, beside one of the same identity that the catalog's runs wrote under this key:
    somebody copied that one before its first update. Returns their keys. ``written`` are those of what they wrote."""
    tags = {number: tag for number, row in rows.items() if (tag := tag_of(row))}
    keys = {
        number: tag.identity.key
        for number, tag in tags.items()
        if place_of_tag(tag)[:2] == (team.name, environment)
    }
    own = {key for number, key in keys.items() if written.get(number) == key}
    return {
        number: key
        for number, key in keys.items()
        if tags[number].session_id is None and written.get(number) != key and key in own
    }


def live_keys(rows: dict[int, SessionRow], team: Team, environment: str | None) -> Counter[str]:
    """How many live sessions each key of a catalog has."""
    tags = [tag for row in rows.values() if (tag := tag_of(row))]
    return Counter(tag.identity.key for tag in tags if place_of_tag(tag)[:2] == (team.name, environment))
