"""A service with a catalog beside it, and the judge of what an apply did to it.

The judge believes nobody: it keeps what every session was at the moment before it was deleted or overwritten, and
looks for exactly that in the archive.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGKILL
from typing import Any, Literal

from reconciler.api.client import Client
from reconciler.api.endpoint import Endpoint
from reconciler.api.listing import list_sessions
from reconciler.apply.archive import Archived, read_archive
from reconciler.catalog import load_catalog
from reconciler.cli import run
from reconciler.contract import load_contract
from reconciler.domain import Session
from reconciler.ownership.remark import compose_lock, compose_remark, parse_remark
from reconciler.ownership.tag import Identity, Tag, make_tag
from reconciler.plan import Plan, make_plan
from reconciler.server import (
    Fault,
    LoggedRequest,
    MessageRow,
    Quirks,
    RunningServer,
    SessionRow,
    Store,
    running_server,
)
from reconciler.text.normalise import normalise_prompt
from reconciler.values import as_number
from tests import warm
from tests.faults import load
from tests.faults.tally import Tally
from tests.support import session_of

CATALOG = "shop"
WRITES = frozenset({"create_session", "update_session", "delete_session", "create_message", "clear_messages"})

#: Rows on a page: few, so that listings and messages take several.
PAGE = 10

#: Longest that a command may take, in seconds. Only one that hangs takes so long.
PATIENCE = 120

#: What an apply says that gives the list time to show what was made a moment ago.
WAITING = "a recent run created sessions and ended before the list showed them, or is still running: waiting "

_OURS = ("MINDCRAFT_", "RECONCILER_", "GITHUB_", "CI", "BUILD_")


def environment(**more: str) -> dict[str, str]:
    """The environment of a command: this one, without what would steer it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**kept, "CI_COMMIT_SHA": "0" * 40, **more}


def session(key: str, **fields: Any) -> Session:
    """A session as the catalog wants it, with something in every field."""
    given: dict[str, Any] = {
        "name": key.title(),
        "model": "deepseek-chat",
        "prompt": f"You are {key}.\nBe kind, 请用中文回答。",
        "parameters": {"temperature": 0.3, "max_tokens": 2000},
        "data": {"voice": "low"},
        "remark": {"created_user": "lery"},
    }
    return Session(key=key, **{**given, **fields})


#: What the catalog wanted when it was last applied, and what it wants now: six to create, six to update (one of
#: them for drift alone), six to delete, and two that stay.
GONE = [session(f"gone{number}") for number in range(1, 7)]
KEPT = [session("kept1"), session("kept2")]
BEFORE = [session(f"change{number}") for number in range(1, 7)]
AFTER = [
    replace(BEFORE[0], name="Change One, renamed"),
    replace(BEFORE[1], prompt="You are somebody else now.\n\n你好。"),
    replace(BEFORE[2], parameters={"temperature": 0.9, "max_tokens": 2000}),
    replace(BEFORE[3], data={"voice": "high", "tags": ["a", "b"]}),
    replace(BEFORE[4], remark={"created_user": "anna", "team": 7}),
    BEFORE[5],  # changed by hand
]
NEW = [session(f"new{number}") for number in range(1, 7)]
WANTED = [*KEPT, *AFTER, *NEW]

#: How many messages each of the deleted sessions has: none, one, a full page, more than one page.
MESSAGES = (0, 1, 3, PAGE, PAGE + 2, 5)


@dataclass(slots=True)
class Run:
    """One run of the command. ``code`` is negative where a signal ended it; ``log`` is what it asked the server."""

    code: int
    out: str
    err: str
    log: list[LoggedRequest]

    @property
    def text(self) -> str:
        return self.out + self.err

    @property
    def writes(self) -> list[LoggedRequest]:
        return [entry for entry in self.log if entry.operation in WRITES]

    def __str__(self) -> str:
        calls = "\n".join(
            f"  {one.number} {one.operation} {one.fate} {one.status} worked={one.worked} {one.fault or ''}"
            for one in self.log
        )
        return f"exit code {self.code}\n{self.out}\n--- stderr\n{self.err}\n--- requests\n{calls}"


@dataclass(slots=True, repr=False)
class World:
    """A server, a catalog folder and what has happened."""

    folder: Path
    server: RunningServer
    tally: Tally
    quirks: Quirks = field(default_factory=Quirks)
    flags: Sequence[str] = ()
    wanted: Sequence[Session] = ()
    deleted: list[tuple[SessionRow, list[MessageRow]]] = field(default_factory=list)
    overwritten: dict[int, SessionRow] = field(default_factory=dict)
    bystanders: dict[int, SessionRow] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)
    _pending: dict[int, tuple[SessionRow, list[MessageRow]]] = field(default_factory=dict)
    _first: dict[int, SessionRow] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        return self.server.store

    @property
    def state(self) -> Path:
        return self.folder / ".reconciler"

    # What the service holds

    def seed(self) -> None:
        """Put in what an earlier apply made, and what belongs to others."""
        for number, one in enumerate(GONE):
            session_id = self.insert(one)
            for count in range(MESSAGES[number]):
                who = ("user", "assistant", "tip")[count % 3]
                self.store.insert_message(
                    session_id, category=who, content=f"第{count} of {one.key}", meta={"n": count}
                )
        for one in [*KEPT, *BEFORE]:
            live = {"parameters": {"temperature": 0.8, "max_tokens": 2000}} if one is BEFORE[5] else {}
            self.insert(one, **live)
        self.seed_bystanders()
        self.want(WANTED)

    def want(self, sessions: Sequence[Session], **more: Any) -> None:
        """Let the catalog say this."""
        self.wanted = sessions
        write_catalog(self.folder, sessions, **more)

    def seed_bystanders(self) -> None:
        """Put in what an apply of this catalog must never touch."""
        add = self.store.insert_session
        add(name="New1", prompt="a namesake of a session that is to be made", remark="notes, by hand")
        add(name="Change1", prompt="a namesake", remark='{"created_user": "lery"}')
        add(name="Gone1", prompt="another", remark=None)
        add(name="cut off", remark='{"created_user": "lery", "reconciler": {"catalog": "ot')
        self.insert(session("gone1"), catalog="other")
        self.insert(session("new1"), environment="staging")
        lock = {
            "catalog": "other",
            "environment": None,
            "holder": "somebody",
            "expires": "2099-01-01T00:00:00Z",
        }
        add(name="reconciler lock: other", remark=compose_lock(lock))
        self.bystanders = {row.session_id: row for row in self.store.sessions() if not is_ours(row)}

    def insert(
        self, one: Session, *, catalog: str = CATALOG, environment: str | None = None, **live: Any
    ) -> int:
        """Add a session as an apply leaves it, and then changed by hand in ``live``."""
        tag = make_tag(Identity(catalog, environment, one.key), one.fields())
        columns = {
            "name": one.name,
            "model": one.model,
            "prompt": one.prompt,
            "parameters": {"history_length": 4, **one.parameters},
            "data": dict(one.data),
            "extra": {"penalty": 0.5},
            "remark": compose_remark(None, one.remark, tag),
        }
        return self.store.insert_session(**{**columns, **live})

    def duplicates(self) -> list[str]:
        """Identities of this catalog that more than one live session has."""
        tags = [tag_of(row) for row in self.store.sessions()]
        counts = Counter(tag.identity for tag in tags if tag)
        return [str(identity) for identity, count in counts.items() if count > 1]

    def plan(self, folder: Path | None = None) -> Plan:
        """What an apply would do now. The faults must have been lifted."""
        with Client(Endpoint(self.server.url, self.server.url), load_contract(), connections=2) as client:
            return make_plan(load_catalog(folder or self.folder), list_sessions(client))

    # Commands

    def command(self, *arguments: str) -> list[str]:
        """The command line of the installed command, over this server where it is asked to speak to one."""
        return [str(warm.COMMAND), *arguments]

    def applying(
        self, *flags: str, what: Path | None = None, server: RunningServer | None = None
    ) -> list[str]:
        """The arguments that apply the catalog, or a saved plan."""
        folder = (what if what and what.is_dir() else self.folder) / ".reconciler"
        place = ["--endpoint", (server or self.server).url, "--state-dir", str(folder)]
        return ["apply", str(what or self.folder), *place, "--auto-approve", *self.flags, *flags]

    def apply(self, *flags: str, what: Path | None = None, killer: Killer | None = None, **more: Any) -> Run:
        """Apply the catalog, or a saved plan."""
        return self.run(*self.applying(*flags, what=what), killer=killer, **more)

    def run(
        self,
        *arguments: str,
        killer: Killer | None = None,
        prefix: Sequence[str] = (),
        patience: float = PATIENCE,
        **env: str,
    ) -> Run:
        """Run the command to its end, at the latest after ``patience`` (seconds)."""
        began = len(self.server.log)
        if not prefix and warm.can_fork(environment(**env)):
            with warm.running(arguments, cwd=self.folder.parent, env=environment(**env)) as (
                forked,
                out,
                err,
            ):
                if killer:
                    killer.aim(forked.pid)
                code = forked.wait(patience)
                if killer:
                    killer.put_down()
                return Run(code, warm.text(out), warm.text(err), self.server.log[began:])
        with self.start(*arguments, prefix=prefix, **env) as process:
            if killer:
                killer.aim(process.pid)
            said = process.communicate(timeout=patience)
            if killer:
                killer.put_down()
        return Run(process.returncode, *said, self.server.log[began:])

    def here(self, *arguments: str) -> Run:
        """Run the command in this process: for what needs no process of its own, ten times as fast."""
        began = len(self.server.log)
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = run(arguments)
        return Run(code, out.getvalue(), err.getvalue(), self.server.log[began:])

    @contextmanager
    def start(
        self, *arguments: str, prefix: Sequence[str] = (), **env: str
    ) -> Iterator[subprocess.Popen[str]]:
        """Start the command; it does not outlive the block."""
        process = subprocess.Popen(
            [*prefix, *self.command(*arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment(**env),
            cwd=self.folder.parent,
        )
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    @contextmanager
    def other_server(self) -> Iterator[RunningServer]:
        """Another server over the same database file, so that its log tells one run's requests from another's."""
        assert self.store.path is not None
        with running_server(self.store.path, quirks=self.quirks) as server:
            self.watch(server)
            yield server

    # The judge

    def watch(self, server: RunningServer) -> None:
        """Keep what every session was, right before a write changes or ends it. Other users do as they please."""

        def before(entry: LoggedRequest) -> None:
            if load.HEADER in entry.headers:
                return
            number = session_of(entry)
            if entry.operation in ("update_session", "delete_session") and number is not None:
                row = self.store.session(number)
                if row:
                    self._pending[id(entry)] = (row, self.store.messages(row.session_id))
                    self._first.setdefault(row.session_id, row)

        def after(entry: LoggedRequest) -> None:
            if entry.operation == "create_session" and load.HEADER not in entry.headers:
                remark = (entry.body or {}).get("session_remark")
                if not is_ours_remark(remark):
                    self.blame("wrong writes", f"a create with the remark {remark!r}")
            found = self._pending.pop(id(entry), None)
            if found is None:
                return
            row, messages = found
            if not is_ours(row):
                self.blame("wrong writes", f"{entry.operation} of #{row.session_id}, which is not ours")
            elif parse_remark(row.remark).lock is not None:
                return
            elif entry.operation == "delete_session":
                self.deleted.append((row, messages))
            else:
                # Of two writes at once, the one that came first may end last.
                self.overwritten.setdefault(row.session_id, self._first[row.session_id])

        server.before.append(before)
        server.after.append(after)

    def blame(self, what: str, text: str) -> None:
        self.problems.setdefault(what, []).append(text)

    def check(self, run: Run, *allowed: int, converged: Callable[[], bool] | None = None) -> None:
        """A run that ended by itself: it said what it did, and 0 means done. The faults must have been lifted."""
        if run.code not in (allowed or (0, 1, 3, 4)):
            self.blame("silent failures", f"exit code {run.code}, expected {allowed}")
        if "Traceback" in run.text or "Error in sys.excepthook" in run.text:
            self.blame("silent failures", "a traceback in place of a report")
        if run.code and not run.text.strip():
            self.blame("silent failures", f"exit code {run.code}, and nothing is said")
        if run.code == 0 and not (converged or self.converged)():
            self.blame("silent failures", f"exit code 0, and a plan would do {self.left()}")
        self.acquit(run)

    def converged(self) -> bool:
        """Whether the live list is what the catalog says."""
        return not self.left() and not self.duplicates()

    def left(self) -> list[str]:
        """What is still to be done: what a plan would do, and what it should but would not."""
        planned = [f"{one.kind} {one.key}: {one.reason}" for one in self.plan().actions]
        return planned or list(self.differences())

    def differences(self) -> Iterator[str]:
        """Where the rows are not what is wanted, tags or no tags."""
        live = {
            tag.identity.key: row for row in self.store.sessions() if is_ours(row) and (tag := tag_of(row))
        }
        wanted = {one.key: one for one in self.wanted}
        yield from (f"{key} is live" for key in live.keys() - wanted.keys())
        for key, one in wanted.items():
            row = live.get(key)
            if row is None:
                yield f"{key} is not live"
                continue
            remark = parse_remark(row.remark).keys
            for group, found in (("parameters", row.parameters), ("data", row.data), ("remark", remark)):
                for name, value in getattr(one, group).items():
                    if found.get(name) != value:
                        yield f"{key}: {group}.{name} is {found.get(name)!r}"
            if (row.name, row.model, normalise_prompt(row.prompt)) != (one.name, one.model, one.prompt):
                yield f"{key}: name, model or prompt"

    def close(self, run: Run, *archives: Path) -> None:
        """The end of a scenario, in which all is done: count what was lost, doubled or written wrongly."""
        self.check(run, 0)
        for identity in self.duplicates():
            self.blame("duplicates", identity)
        self._close_archives(archives or sorted(self.folder.parent.glob("*/.reconciler/archive")))
        now = {row.session_id: row for row in self.store.sessions()}
        for session_id, row in self.bystanders.items():
            if now.get(session_id) != row:
                self.blame("wrong writes", f"#{session_id} is not ours, and is not what it was")
        self.acquit(run)

    def _close_archives(self, folders: Iterable[Path]) -> None:
        by_id: dict[int, list[Archived]] = {}
        for folder in folders:
            archived, unreadable = read_archive(folder)
            for problem in unreadable:
                self.blame("lost sessions", problem.message)
            for one in archived:
                by_id.setdefault(one.session["session_id"], []).append(one)
        for row, messages in self.deleted:
            kept = [
                one
                for one in by_id.get(row.session_id, [])
                if one.before == "delete" and is_row(one.session, row)
            ]
            if not kept:
                self.blame("lost sessions", f"#{row.session_id} was deleted, and is not in the archive")
                continue
            wanted = [as_listed(message) for message in messages]
            best = max(kept, key=lambda one: len(one.messages or ()))
            found = [{name: one[name] for name in wanted[0]} for one in best.messages or ()] if wanted else []
            if found != wanted:
                lost = sum(message not in found for message in wanted) or 1
                for _ in range(lost):
                    self.blame("lost messages", f"of #{row.session_id}, which was deleted")
        for session_id, row in self.overwritten.items():
            if not any(is_row(one.session, row) for one in by_id.get(session_id, [])):
                self.blame(
                    "lost sessions", f"#{session_id} was overwritten, and what it was is not in the archive"
                )

    def acquit(self, run: Run | None = None) -> None:
        """Count the problems so far, and fail where there are any."""
        new = {what: texts for what, texts in self.problems.items() if texts}
        self.problems = {}
        self.tally.add({what.replace(" ", "_"): len(texts) for what, texts in new.items()})
        assert not new, f"{new}\n{run or ''}"


class Killer:
    """Ends a process with SIGKILL at the nth request to the server, before its work is done or after it.

    With an ``operation``, only its requests count; after their work, only those whose work was done.
    """

    def __init__(
        self, server: RunningServer, number: int, when: Literal["before", "after"], operation: str = ""
    ) -> None:
        self.struck = False
        self._aimed = threading.Event()
        self._over = threading.Event()
        self._pid = 0
        self._nth = 0 if operation else len(server.log) + number
        self._left, self._operation = number, operation
        self._server = server
        self._hooks = server.before if when == "before" else server.after
        self._hooks.append(self._strike)
        self._cut = Fault("cut", where=self._is_it)
        if when == "before":
            server.faults.add(self._cut)
        server.done.append(self._see)

    def aim(self, pid: int) -> None:
        self._pid = pid
        self._aimed.set()

    def put_down(self) -> None:
        """Wait until the server is done with the request at which it struck, and leave the server in peace.

        The process ends before the server looks whether the request is to be cut: who goes on at once may take the
        fault away, and the server does what the process asked for while the next one is at work.
        """
        if self.struck:
            assert self._over.wait(PATIENCE)
        self._hooks.remove(self._strike)
        self._server.done.remove(self._see)
        self._server.faults.remove(self._cut)

    def _see(self, entry: LoggedRequest) -> None:
        if self._is_it(entry):
            self._over.set()

    def _is_it(self, entry: LoggedRequest) -> bool:
        return entry.number == self._nth

    def _strike(self, entry: LoggedRequest) -> None:
        if self._operation == entry.operation:
            self._left -= 1
            if self._left == 0:
                self._nth = entry.number
        if self._is_it(entry) and not self.struck:
            self._aimed.wait(PATIENCE)
            self.struck = True
            os.kill(self._pid, SIGKILL)


@contextmanager
def open_world(
    folder: Path,
    tally: Tally,
    *,
    quirks: Quirks | None = None,
    flags: Iterable[str] = (),
    db: Path | None = None,
    latency: float = 0.0,
) -> Iterator[World]:
    """A world with an empty service. Pages hold :data:`PAGE` rows unless the quirks say otherwise.

    ``latency`` is how long (seconds) each call waits.
    """
    quirks = quirks or Quirks(max_page_size=PAGE)
    (folder / "catalog").mkdir(parents=True)
    with running_server(db, quirks=quirks, latency=latency) as server:
        world = World(folder / "catalog", server, tally, quirks, tuple(flags))
        world.watch(server)
        tally.scenarios += 1
        yield world


def write_catalog(folder: Path, sessions: Iterable[Session], **more: Any) -> None:
    """Write a catalog, as YAML that happens to be JSON."""
    document = {
        "version": 1,
        "catalog": CATALOG,
        **more,
        "sessions": {
            one.key: {
                "name": one.name,
                "model": one.model,
                "prompt": one.prompt,
                "parameters": dict(one.parameters),
                "data": dict(one.data),
                "remark": dict(one.remark),
                **({"lifecycle": {"prevent_destroy": True}} if one.lifecycle.prevent_destroy else {}),
            }
            for one in sessions
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "catalog.yaml").write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")


def is_ours(row: SessionRow) -> bool:
    """Whether a session belongs to the catalog of these tests."""
    return is_ours_remark(row.remark)


def tag_of(row: SessionRow) -> Tag | None:
    return parse_remark(row.remark).tag


def is_ours_remark(text: Any) -> bool:
    remark = parse_remark(text if isinstance(text, str) else None)
    if remark.lock is not None:
        return remark.lock.get("catalog") == CATALOG
    return remark.tag is not None and (remark.tag.identity.catalog, remark.tag.identity.environment) == (
        CATALOG,
        None,
    )


def is_row(listed: Mapping[str, Any], row: SessionRow) -> bool:
    """Whether an archived session is this row, in all that people can change."""
    config = {name: as_number(value) for name, value in listed["session_config"].items()}
    return (
        listed["session_id"] == row.session_id
        and listed["session_token"] == row.session_token
        and listed["session_name"] == row.name
        and listed["session_remark"] == row.remark
        and config
        == {**row.extra, **row.parameters, "model": row.model, "prompt": row.prompt, "data": row.data}
    )


def as_listed(message: MessageRow) -> dict[str, Any]:
    """What of a message has to be in the archive."""
    return {
        "message_id": message.message_id,
        "message_category": message.category,
        "message_content": message.content,
        "message_meta": message.meta,
    }
