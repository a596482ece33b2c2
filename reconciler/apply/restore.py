"""Restoring an archived session.

A deleted session is created again, with its remark and its messages in order. The server gives it a new id. If an
empty successor is live, the messages can be added to that one instead. An updated session is changed back to what it
was. Each write is in the journal with the id of the archived session, so an interrupted restore can resume.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from reconciler.api.addressing import address
from reconciler.api.client import Client
from reconciler.api.decode import answered
from reconciler.api.errors import ApiError
from reconciler.api.listing import list_sessions
from reconciler.api.messages import list_messages
from reconciler.api.polling import poll
from reconciler.api.send import Found, send_until_certain
from reconciler.apply import journal as journals
from reconciler.apply.archive import Archive, Archived
from reconciler.apply.archived_messages import content, messages_to_send
from reconciler.apply.journal import Journal, read_journal
from reconciler.apply.payload import (
    is_restored,
    making_payload,
    not_carried,
    restore_payload,
    same_remark,
    under_identity,
)
from reconciler.apply.restore_options import Restored, RestoreOptions
from reconciler.apply.restored_before import RestoredBefore, restored_before
from reconciler.contract import Operation
from reconciler.domain import LiveSession, Others, Snapshot
from reconciler.errors import ExitCode, ReconcilerError, Refused
from reconciler.ownership.account import UNKNOWN, Account, account_to_json, other_account
from reconciler.ownership.remark import remark_of_another_session
from reconciler.ownership.reserved import half_made_name, owner, reserved_kind
from reconciler.ownership.tag import Identity
from reconciler.plan.unreadable import may_be, why_not_to_create
from reconciler.text.paste import flag
from reconciler.text.timestamps import write_timestamp

_AGAIN = "run the restore again to resume"


def restore(archived: Archived, client: Client, options: RestoreOptions) -> Restored:
    """Restore one archived session.

    Raises:
        Refused: it is from another endpoint or account, or what is live in its place may not be changed.
        ReconcilerError: a call failed, or the journal can't be written. Running it again resumes. The exit code is
            that of "done in part" if something was written.
    """
    if archived.endpoint != client.endpoint.name:
        raise Refused(
            f"{archived.id} is from {archived.endpoint}, and this is {client.endpoint.name}",
            f"restore it with {flag('endpoint', archived.endpoint)}",
        )
    path = options.state / journals.FILE
    earlier = restored_before(read_journal(path), archived.id)
    with Journal(path) as journal:
        original = archived.live(client.contract.session)
        identity = options.moved.get(archived.identity, archived.identity)
        work = _Work(archived, original, client, journal, options, identity)
        return work.put_back() if archived.messages is None else work.make_again(earlier)


@dataclass(slots=True)
class _Work:
    """One restore. ``original`` is the session as it was, and ``identity`` the one that it gets."""

    archived: Archived
    original: LiveSession
    client: Client
    journal: Journal
    options: RestoreOptions
    identity: Identity
    outcomes: Counter[str] = field(default_factory=Counter)
    account: Account = UNKNOWN
    begun: bool = False  # whether something was written, now or by an earlier try

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
        update = self.client.contract.operation("update_session")
        if now.remark.tag is not None and self._ours(now):
            self.identity = now.remark.tag.identity  # it may be about to move
            self._take_identity(update)
        payload = restore_payload(self.original, update, now=now)
        if is_restored(now, payload, update):
            return Restored(number, made=False, messages=0, already=True)
        started = write_timestamp(datetime.now(UTC), "milliseconds")
        archive = Archive(
            self.options.archive, self.options.run, started, self.client.endpoint.name, self.account
        )
        archive.prepare()
        with self._recorded():
            kept = archive.put("restore", self.identity, now, None)
            self._update(payload, number, archive=kept)
        return Restored(number, made=False, messages=0)

    def _list(self, made: frozenset[int] = frozenset()) -> Snapshot:
        """The managed sessions, those that this one may have become, and those that tell which account it is.

        Raises:
            Refused: they are another account's, whose customers the archived messages do not concern.
        """
        expected = self.archived.account
        known = {self.original.session_id, *made, *(expected.sessions if expected else ())}

        def keep(live: LiveSession) -> LiveSession | Others:
            kept = live.remark.tag or self._as_it_was(live) or self._half_made(live) or self._may_be_it(live)
            return live if kept or live.session_id in known else "unmanaged"

        lives = list_sessions(self.client, keep=keep)
        self.account = replace(lives.account, key=self.options.account.key)
        ids = {live.session_id for live in lives}
        if expected is not None and not self.options.other_account:
            # That the archived session itself is gone says nothing about the account.
            expected = replace(expected, sessions=tuple({*expected.sessions} - {self.original.session_id}))
            if sentence := other_account(f"{self.archived.id} was archived", expected, self.account, ids):
                hint = "use the key of that account, or add --other-account to restore it into this one"
                raise Refused(sentence, hint)
        return lives

    def _refuse_if_not_ours(self, now: LiveSession) -> None:
        untagged = now.remark.tag is None and not now.remark.unreadable and reserved_kind(now) is None
        if self._ours(now) or self._damaged(now) or (untagged and self.original.remark.tag is None):
            return
        hint = f"`reconciler archive show {self.archived.id}` has what it was"
        if now.own_tag is not None:
            present = now.own_tag.identity
            hint += (
                f"; if {present} is the same under a new name, add to its catalog.yaml, and restore it from there: "
                f'moved: [{{from: "{self.identity}", to: "{present}"}}]'
            )
        raise Refused(
            f"#{now.session_id} is {owner(now)} now, and no longer {self.identity}'s: nothing was put back",
            hint,
        )

    def _damaged(self, now: LiveSession) -> bool:
        """Whether a write that went to the wrong session gave this one the tag that it bears."""
        tag, mine = now.remark.tag, self.archived.identity
        where = None if tag is None else (tag.identity.catalog, tag.identity.environment)
        return self.archived.before == "canary" and where == (mine.catalog, mine.environment)

    # A deleted session

    def make_again(self, earlier: RestoredBefore) -> Restored:
        """Create a deleted session again, or resume with what an earlier try created, or fill its successor."""
        self._take_identity(self.client.contract.operation("create_session"))
        lives = self._list(earlier.made)
        live = self._made_before(lives, earlier)
        wanted = messages_to_send(self.archived, self.client.contract)
        if live is None:
            successor = self._successor(lives, earlier)
            if successor is not None:
                return self._fill(successor, wanted)
            live = next((one for one in lives if self._half_made(one)), None)
        made = live is None or reserved_kind(live) == "half-made"
        if live is not None and not made and self._has_all(live, wanted):
            return Restored(live.session_id, made=False, messages=0, already=True)
        create = self.client.contract.operation("create_session")
        left_out = self._left_out(create)
        self.begun = live is not None
        if live is None and (suspect := next(filter(self._may_be_it, lives), None)):
            raise Refused(*why_not_to_create(self.identity, suspect))
        with self._recorded():
            if live is None:
                live = self._make(create, lives.newest, whole=not left_out)
            if reserved_kind(live) == "half-made":
                payload = restore_payload(self.original, create)
                update = self.client.contract.operation("update_session")
                live = self._update({**address(update, live), **payload}, live.session_id)
            added = self._add_messages(live, wanted)
        return Restored(live.session_id, made, added)

    def _made_before(self, lives: Snapshot, earlier: RestoredBefore) -> LiveSession | None:
        """The session that an earlier try created, if any.

        Raises:
            Refused: the session was not deleted, or what an earlier try created is another's now.
        """
        original = self.original
        for live in lives:
            if live.session_id == original.session_id:
                raise Refused(
                    f"#{original.session_id} is live: it was not deleted, so there is nothing to restore",
                    f"`reconciler archive show {self.archived.id}` prints what is in the archive",
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
        return None

    def _successor(self, lives: Snapshot, earlier: RestoredBefore) -> LiveSession | None:
        """The session that has the identity by now, if any, and may get the messages.

        Raises:
            Refused: it may not.
        """
        identity = self.identity
        found = [live for live in lives if self._ours(live)]
        if not found:
            return None
        live, number = found[0], found[0].session_id
        self.begun = number in earlier.filled
        if self.begun or self.options.replace:
            if len(found) > 1:
                raise Refused(f"{identity} is live {len(found)} times", "apply resolves that: apply first")
            there = 0 if self.begun else len(self._messages(live))
            if there:
                raise Refused(
                    f"{identity} is live as #{number}, which has messages of its own ({there}): nothing was restored",
                    f"`reconciler archive show {self.archived.id}` prints what is in the archive",
                )
            return live
        if self._as_it_was(live):
            raise Refused(
                f"{identity} is live as #{number}, just as it was, and the journal "
                f"{self.journal.path} does not say that a restore of {self.archived.id} made it",
                "a restore that was interrupted resumes only with the journal that it began with: name its "
                f"folder with --state-dir. If an apply made #{number}, add --replace to put the messages into it",
            )
        raise Refused(
            f"{identity} is live as #{number}, so restoring it would make a second one",
            f"add --replace to put the archived messages into #{number}, if that one has none; "
            "or remove that one from the catalog and apply first",
        )

    def _fill(self, successor: LiveSession, wanted: list[dict[str, Any]]) -> Restored:
        """Add the messages to the session that has the identity by now. Its fields stay as they are."""
        number = successor.session_id
        if self._has_all(successor, wanted):
            return Restored(number, made=False, messages=0, already=True)
        with self._recorded():
            self._note("fill", "intent", number)
            try:
                added = self._add_messages(successor, wanted)
            except ReconcilerError as error:
                self._note("fill", "failed", number, message=str(error))
                raise
            self._note("fill", "applied", number)
        return Restored(number, made=False, messages=added)

    def _ours(self, live: LiveSession) -> bool:
        tag = live.own_tag
        return tag is not None and tag.identity in (self.identity, self.archived.identity)

    def _take_identity(self, operation: Operation) -> None:
        self.original = under_identity(self.original, self.identity, self.options.catalog_id, operation)

    def _as_it_was(self, live: LiveSession) -> bool:
        original = self.original
        return (live.name, live.prompt, live.raw_remark) == (
            original.name,
            original.prompt,
            remark_of_another_session(original.raw_remark, original.remark),
        )

    def _may_be_it(self, live: LiveSession) -> bool:
        """Whether it may be this session, with a damaged tag."""
        return self.original.remark.tag is not None and any(
            may_be(live, identity, self.original.name) for identity in (self.identity, self.archived.identity)
        )

    def _half_made(self, live: LiveSession) -> bool:
        return live.name == half_made_name(self.identity) and reserved_kind(live) == "half-made"

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
            payload = making_payload(payload, self.identity)
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
        there = self._messages(live)
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
                there = any(self._messages(live) == upto for _ in poll(self.client.limiter, seconds))
                return Found("done" if there else "not done")

            self._send("create_message", {**names_it, **wanted[number]}, look, label=label)
            self.options.on_message(number + 1, len(wanted))
        return len(wanted) - len(there)

    def _messages(self, live: LiveSession) -> list[dict[str, Any]]:
        """The live messages of a session, as far as they can be sent again."""
        rows = list_messages(self.client, live, f"{self._label} (#{live.session_id})")
        return [content(message, self.client.contract.message) for message in rows]

    def _has_all(self, live: LiveSession, wanted: list[dict[str, Any]]) -> bool:
        """Whether a session begins with all of these messages. People may have chatted in it since."""
        return not wanted or self._messages(live)[: len(wanted)] == wanted

    # Writes, and their record

    @property
    def _label(self) -> str:
        return self.identity.key

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
            lambda live: live.session_id == number and same_remark(live, payload["remark"]),
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
        self.begun |= sent.state != "not done"
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
        self._append(
            "start",
            catalog=self.identity.catalog,
            environment=self.identity.environment,
            endpoint=self.client.endpoint.name,
            account=account_to_json(self.account),
            **self.options.who,
        )
        try:
            yield
        except ReconcilerError as error:
            with suppress(ReconcilerError):  # what went wrong is what has to be said
                self._end("failed")
            if self.begun:
                error.exit_code = ExitCode.PARTIAL
            raise
        with suppress(ReconcilerError):  # what is done is done
            self._end("verified")

    def _end(self, verification: str) -> None:
        counts = {outcome: self.outcomes[outcome] for outcome in ("applied", "failed", "unknown")}
        self._append("end", verification=verification, **counts, not_tried=0)

    def _note(self, action: str, event: str, number: int | None = None, **facts: Any) -> None:
        self.outcomes[event] += 1
        known = {name: fact for name, fact in facts.items() if fact or fact == 0}
        self._append(event, action=action, key=self.identity.key, session_id=number, **known)

    def _append(self, event: str, **facts: Any) -> None:
        self.journal.record(self.options.run, event, {"restores": self.archived.id, **facts})
