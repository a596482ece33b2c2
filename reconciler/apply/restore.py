"""Restoring an archived session.

A deleted session is created again, with its remark and its messages in order. The server gives it a new id. An updated
session is changed back to what it was. Each write is in the journal, as those of an apply are, together with the id of
the archived session. That is how a restore that was interrupted and is run again knows what it created, and resumes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reconciler.api.addressing import address
from reconciler.api.client import Client
from reconciler.api.decode import answered, value_at
from reconciler.api.errors import ApiError
from reconciler.api.listing import list_sessions
from reconciler.api.messages import list_messages, message_id
from reconciler.api.polling import poll
from reconciler.api.send import Found, send_until_certain
from reconciler.apply import journal as journals
from reconciler.apply.archive import Archive, Archived
from reconciler.apply.journal import Journal, new_run, read_journal
from reconciler.apply.payload import making_payload, not_carried, restore_payload
from reconciler.contract import Operation
from reconciler.domain import LiveSession, Snapshot
from reconciler.errors import ReconcilerError, Refused
from reconciler.ownership.account import UNKNOWN, Account, account_to_json, other_account
from reconciler.ownership.remark import parse_remark, remark_of_another_session
from reconciler.ownership.reserved import half_made_name, reserved_kind
from reconciler.text.timestamps import write_timestamp

_AGAIN = "run the restore again to resume"


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: the session that it created or changed back, and how many messages it added."""

    session_id: int
    made: bool
    messages: int


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """How to restore.

    ``state`` is the folder of the journal. ``archive`` is the folder for what the restore overwrites. ``settle`` is how
    long (seconds) a list may lag behind a write. ``who`` goes into the journal as it is, and ``run`` names the run in
    it. ``holding`` is asked before each write whether the run still holds its lock. ``on_message`` is called with the
    number of messages added so far, and of all. ``account`` is the mark of the account as far as the key tells;
    ``other_account`` allows another one than that of the archived session.
    """

    state: Path
    archive: Path
    settle: float = 10.0
    who: Mapping[str, str] = field(default_factory=dict)
    run: str = field(default_factory=new_run)
    holding: Callable[[], bool] = lambda: True
    on_message: Callable[[int, int], None] = lambda done, total: None
    account: Account = UNKNOWN
    other_account: bool = False


def restore(archived: Archived, client: Client, options: RestoreOptions) -> Restored:
    """Restore one archived session.

    Raises:
        Refused: it is from another endpoint or account, or what is live in its place may not be changed.
        ReconcilerError: a call failed, or the journal can't be written. Running it again resumes.
    """
    if archived.endpoint != client.endpoint.name:
        raise Refused(
            f"{archived.id} is from {archived.endpoint}, and this is {client.endpoint.name}",
            f"restore it with --endpoint={archived.endpoint}",
        )
    path = options.state / journals.FILE
    earlier = _earlier(read_journal(path), archived.id)
    with Journal(path) as journal:
        work = _Work(archived, archived.live(client.contract.session), client, journal, options)
        return work.put_back() if archived.messages is None else work.make_again(earlier)


@dataclass(frozen=True, slots=True)
class _Earlier:
    """What the journal says about earlier restores of the same archived session.

    ``made`` are the ids of the sessions that they created. ``open`` has an entry for each create with an unknown
    outcome: the newest id that was live before it.
    """

    made: frozenset[int]
    open: tuple[int, ...]


def _earlier(entries: Iterable[Mapping[str, Any]], archive_id: str) -> _Earlier:
    made: set[int] = set()
    pending: dict[Any, int] = {}
    for entry in entries:
        if entry.get("restores") != archive_id or entry.get("action") != "create":
            continue
        run, event, number = entry.get("run"), entry.get("event"), entry.get("session_id")
        if event == "intent" and type(newest := entry.get("newest")) is int:
            pending[run] = newest
        elif event in ("applied", "failed"):
            pending.pop(run, None)
            if type(number) is int:
                made.add(number)
    return _Earlier(frozenset(made), tuple(pending.values()))


@dataclass(slots=True)
class _Work:
    """One restore. ``original`` is the session as it was."""

    archived: Archived
    original: LiveSession
    client: Client
    journal: Journal
    options: RestoreOptions
    outcomes: Counter[str] = field(default_factory=Counter)
    account: Account = UNKNOWN

    # An updated session

    def put_back(self) -> Restored:
        """Change an updated session back to what it was."""
        number = self.original.session_id
        lives = self._list()
        now = next((live for live in lives if live.session_id == number), None)
        if now is None:
            raise Refused(
                f"#{number} is gone, so there is nothing to restore it to",
                "if its deletion was archived, restore that: `reconciler archive list`",
            )
        self._refuse_if_not_ours(now)
        payload = restore_payload(self.original, self.client.contract.operation("update_session"), now=now)
        started = write_timestamp(datetime.now(UTC), "milliseconds")
        archive = Archive(
            self.options.archive, self.options.run, started, self.client.endpoint.name, self.account
        )
        archive.prepare()
        with self._recorded():
            kept = archive.put("restore", self.archived.identity, now, None)
            self._update(payload, number, archive=kept)
        return Restored(number, False, 0)

    def _list(self) -> Snapshot:
        """All sessions.

        Raises:
            Refused: they are another account's, whose customers the archived messages do not concern.
        """
        lives = list_sessions(self.client)
        self.account = replace(lives.account, key=self.options.account.key)
        expected = self.archived.account
        if expected is not None and not self.options.other_account:
            there = {live.session_id for live in lives}
            # That the archived session itself is gone says nothing about the account.
            others = tuple(one for one in expected.sessions if one != self.original.session_id)
            expected = replace(expected, sessions=others)
            sentence = other_account(f"{self.archived.id} was archived", expected, self.account, there)
            if sentence:
                raise Refused(
                    sentence,
                    "use the key of that account, or add --other-account to restore it into this one",
                )
        return lives

    def _refuse_if_not_ours(self, now: LiveSession) -> None:
        untagged = now.remark.tag is None and not now.remark.unreadable and reserved_kind(now) is None
        if self._ours(now) or self._damaged(now) or (untagged and self.original.remark.tag is None):
            return
        raise Refused(
            f"#{now.session_id} is {owner(now)} now, and no longer {self.archived.identity}'s: "
            "nothing was put back",
            f"`reconciler archive show {self.archived.id}` has what it was",
        )

    def _damaged(self, now: LiveSession) -> bool:
        """Whether a write that went to the wrong session gave this one the tag that it bears."""
        tag, mine = now.remark.tag, self.archived.identity
        where = None if tag is None else (tag.identity.catalog, tag.identity.environment)
        return self.archived.before == "canary" and where == (mine.catalog, mine.environment)

    # A deleted session

    def make_again(self, earlier: _Earlier) -> Restored:
        """Create a deleted session again, or resume with what an earlier try created."""
        lives = self._list()
        live = self._made_before(lives, earlier)
        wanted = [self._content(message) for message in self._in_order()]
        create = self.client.contract.operation("create_session")
        left_out = self._left_out(create)
        made = live is None or reserved_kind(live) == "half-made"
        with self._recorded():
            if live is None:
                newest = max((one.session_id for one in lives), default=0)
                live = self._make(create, newest, whole=not left_out)
            if reserved_kind(live) == "half-made":
                payload = restore_payload(self.original, create)
                update = self.client.contract.operation("update_session")
                live = self._update({**address(update, live), **payload}, live.session_id)
            added = self._add_messages(live, wanted)
        return Restored(live.session_id, made, added)

    def _made_before(self, lives: Snapshot, earlier: _Earlier) -> LiveSession | None:
        """The session that an earlier try created, if any.

        Raises:
            Refused: another session of the same identity is in the way.
        """
        identity, original = self.archived.identity, self.original
        in_the_way = None
        for live in lives:
            if live.session_id == original.session_id:
                raise Refused(
                    f"#{original.session_id} is live: it was not deleted, so there is nothing to restore"
                )
            if live.session_id in earlier.made:
                if self._ours(live) or self._half_made(live):
                    return live
                raise Refused(
                    f"#{live.session_id}, which an earlier restore of {self.archived.id} made, "
                    f"is {owner(live)} now",
                    "restoring it would make a second one: delete that one first, if it is not wanted",
                )
            if self._as_it_was(live) and any(live.session_id > newest for newest in earlier.open):
                return live
            if self._ours(live):
                in_the_way = in_the_way or live
        if in_the_way is None:
            return next((live for live in lives if self._half_made(live)), None)
        if self._as_it_was(in_the_way):
            raise Refused(
                f"{identity} is live as #{in_the_way.session_id}, just as it was, and the journal "
                f"{self.journal.path} does not say that a restore of {self.archived.id} made it",
                "a restore that was cut short resumes only with the journal that it began with: name its folder "
                "with --state-dir. If the session is not wanted, delete it and restore again",
            )
        raise Refused(
            f"{identity} is live as #{in_the_way.session_id}, so restoring it would make a second one",
            "remove that one from the catalog and apply first, or restore into another account",
        )

    def _ours(self, live: LiveSession) -> bool:
        return live.remark.tag is not None and live.remark.tag.identity == self.archived.identity

    def _as_it_was(self, live: LiveSession) -> bool:
        original = self.original
        return (live.name, live.prompt, live.raw_remark) == (
            original.name,
            original.prompt,
            remark_of_another_session(original.raw_remark, original.remark),
        )

    def _half_made(self, live: LiveSession) -> bool:
        return live.name == half_made_name(self.archived.identity) and reserved_kind(live) == "half-made"

    def _left_out(self, create: Operation) -> list[str]:
        """The fields that a create does not store, so that an update has to set them.

        Raises:
            Refused: there is no update call.
        """
        payload = restore_payload(self.original, create)
        found = sorted(name for name in not_carried(create, payload) if payload[name] not in (None, "", {}))
        if found and "update_session" not in self.client.contract.operations:
            raise Refused(
                f"the service does not take {', '.join(found)} when it creates a session, and has no update call: "
                f"{self._label} could not be made as it was",
                f"`reconciler archive show {self.archived.id}` has what it was",
            )
        return found

    def _make(self, create: Operation, newest: int, *, whole: bool) -> LiveSession:
        """Send a create, and find the session that it created even if its answer is lost.

        Unless it is created ``whole``, an update has to follow, and until then its name says what it is. ``newest`` is
        the highest id that was live before.
        """
        payload = restore_payload(self.original, create)
        if not whole:
            payload = making_payload(payload, self.archived.identity)
        fits = self._as_it_was if whole else self._half_made
        found: LiveSession | None = None

        def look(_: ApiError | None = None) -> Found:
            nonlocal found
            found = self._wait_until_listed(
                payload["name"], lambda live: live.session_id > newest and fits(live)
            )
            return Found("not done") if found is None else Found("done", found.session_id)

        self._note("create", "intent", newest=newest)
        try:
            body = self._send("create_session", payload, look)
        except ApiError as error:
            self._note("create", "failed" if error.outcome == "not done" else "unknown", message=str(error))
            raise
        number, _ = answered(body, create, self.client.contract.session)
        if number is not None:
            self._note("create", "applied", number)
            found = self._wait_until_listed(payload["name"], lambda live: live.session_id == number)
        else:
            if found is None:
                look()  # not every answer tells the id
            self._note("create", *("unknown",) if found is None else ("applied", found.session_id))
        if found is None:
            made = "was made" if number is None else f"was made as #{number}"
            raise ReconcilerError(f"{self._label} {made}, but is not listed yet", _AGAIN)
        self._note("create", "listed", found.session_id)  # so that whoever comes next need not wait for it
        return found

    def _add_messages(self, live: LiveSession, wanted: list[dict[str, Any]]) -> int:
        if not wanted:
            return 0
        label = f"{self._label} (#{live.session_id})"

        def listed() -> list[dict[str, Any]]:
            return [self._content(message) for message in list_messages(self.client, live, label)]

        there = listed()
        if there != wanted[: len(there)]:
            raise Refused(
                f"{label} has other messages than the archive",
                "somebody has chatted in it since: nothing was added",
            )
        names_it = address(self.client.contract.operation("create_message"), live)
        for number in range(len(there), len(wanted)):
            upto = wanted[: number + 1]

            def look(error: ApiError, upto: list[dict[str, Any]] = upto) -> Found:
                seconds = 0.0 if error.says_not_done else self.options.settle
                there = any(listed() == upto for _ in poll(self.client.limiter, seconds))
                return Found("done" if there else "not done")

            self._send("create_message", {**names_it, **wanted[number]}, look, label=label)
            self.options.on_message(number + 1, len(wanted))
        return len(wanted) - len(there)

    def _in_order(self) -> list[Mapping[str, Any]]:
        """The archived messages, oldest first, whatever the order in which they were listed once.

        Raises:
            ReconcilerError: there are some, and the contract has no call that adds them.
        """
        messages = list(self.archived.messages or ())
        if messages:
            self.client.contract.operation("create_message")
        numbers = [message_id(message, self.client.contract.message) for message in messages]
        if any(number is None for number in numbers):
            return messages  # archived under a contract that knew no ids
        return [
            message for _, message in sorted(zip(numbers, messages, strict=True), key=lambda one: one[0] or 0)
        ]

    def _content(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """What of a listed message can be sent again, under our names."""
        shape = self.client.contract.message
        places = {"category": shape.category, "content": shape.content, "meta": shape.meta}
        found = {name: value_at(message, place) for name, place in places.items()}
        return {name: value for name, value in found.items() if value is not None}

    # Writes, and their record

    @property
    def _label(self) -> str:
        return self.archived.identity.key

    def _update(self, payload: Mapping[str, Any], number: int, *, archive: str = "") -> LiveSession:
        """Send an update until it is answered, which does no harm twice, and see that the list shows it."""
        self._note("update", "intent", number, archive=archive)
        try:
            self._send("update_session", payload)
        except ApiError as error:
            self._note(
                "update", "failed" if error.outcome == "not done" else "unknown", number, message=str(error)
            )
            raise
        self._note("update", "applied", number)
        found = self._wait_until_listed(
            payload["name"],
            lambda live: live.session_id == number and _same_remark(live, payload["remark"]),
        )
        if found is None:
            raise ReconcilerError(
                f"{self._label} (#{number}) was updated, but is not listed as it was", _AGAIN
            )
        return found

    def _send(
        self,
        operation: str,
        fields: Mapping[str, Any],
        look: Callable[[ApiError], Found] | None = None,
        *,
        label: str = "",
    ) -> Any:
        """Send a write until it is known to be done. Returns the answer's body, None where it was lost.

        ``look`` finds out whether a write whose answer was lost was done. Without it, doing it twice does no harm.

        Raises:
            ApiError: it was not done; or nobody can tell, and it is not sent again.
        """
        label = label or self._label
        sent = send_until_certain(
            self.client,
            lambda: self.client.write(operation, fields, session=label, check=self._check_lock),
            look,
            repeatable=look is None,
        )
        if sent.error is not None:
            raise sent.error
        return sent.body

    def _check_lock(self) -> None:
        if not self.options.holding():
            raise ReconcilerError("the lock was lost: nothing more is written", _AGAIN)

    def _wait_until_listed(self, name: str, fits: Callable[[LiveSession], bool]) -> LiveSession | None:
        """The session of this name that fits, as soon as the list shows it; None if it never does."""
        for _ in poll(self.client.limiter, self.options.settle):
            for live in list_sessions(self.client, name=name):
                if fits(live):
                    return live
        return None

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        """Record that the restore begins, and how it ended."""
        identity = self.archived.identity
        self._append(
            "start",
            catalog=identity.catalog,
            environment=identity.environment,
            endpoint=self.client.endpoint.name,
            account=account_to_json(self.account),
            **self.options.who,
        )
        try:
            yield
        except ReconcilerError:
            with suppress(ReconcilerError):  # what went wrong is what has to be said
                self._end("failed")
            raise
        with suppress(ReconcilerError):  # what is done is done
            self._end("verified")

    def _end(self, verification: str) -> None:
        counts = {outcome: self.outcomes[outcome] for outcome in ("applied", "failed", "unknown")}
        self._append("end", verification=verification, **counts, not_tried=0)

    def _note(self, action: str, event: str, number: int | None = None, **facts: Any) -> None:
        self.outcomes[event] += 1
        known = {name: fact for name, fact in facts.items() if fact or fact == 0}
        self._append(event, action=action, key=self.archived.identity.key, session_id=number, **known)

    def _append(self, event: str, **facts: Any) -> None:
        self.journal.record(self.options.run, event, {"restores": self.archived.id, **facts})


def owner(live: LiveSession) -> str:
    """The owner of a live session, in words."""
    if live.remark.tag is not None:
        return f"{live.remark.tag.identity}'s"
    if live.remark.unreadable:
        return f"of nobody knows whom ({live.remark.unreadable})"
    kind = reserved_kind(live)
    return "unmanaged" if kind is None else f"a {kind} session of this program"


def _same_remark(live: LiveSession, sent: str | None) -> bool:
    """Whether a remark was stored. A service may format JSON differently, and turn null into an empty string."""
    return (live.raw_remark or "") == (sent or "") or (
        live.remark.tag is not None and live.remark == parse_remark(sent)
    )
