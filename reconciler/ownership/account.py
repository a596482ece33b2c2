"""Which account a list came from. One address serves all accounts, and the key decides. No I/O.

Plans, archives, journals and snapshots carry an :class:`Account`, a mark of three parts. None of them is enough alone:

- the account numbers of the rows: a service may give none, and an empty list has none;
- a salted hash of the key: it can only be compared under the same salt, and a key may be replaced;
- the ids of sessions that were live: they may have been deleted since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import scrypt, sha256
from typing import Any, Final, Literal, TypeAlias

#: The result of comparing two marks. ``emptied``: another account, or the same one after all its sessions were deleted.
Verdict: TypeAlias = Literal["same", "other", "emptied", "unknown"]

#: The mark without a key. Only a server without accounts accepts calls without one.
NO_KEY: Final = "none"

#: How many account numbers a mark holds at most. A service with more of them in one list does not number accounts.
_MOST_NUMBERS: Final = 16
#: How many session ids a mark holds: the oldest, which are the last to go.
_MOST_SESSIONS: Final = 32
_LONGEST: Final = 64


@dataclass(frozen=True, slots=True)
class Account:
    """The mark of an account.

    ``numbers`` are the account numbers of its rows, ``key`` is what :func:`mark_key` made of the key (empty: nothing),
    ``sessions`` are ids of managed sessions.
    """

    numbers: tuple[int | str, ...] = ()
    key: str = ""
    sessions: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.numbers or self.key or self.sessions)

    def compared(self, here: Account, live: Collection[int]) -> Verdict:
        """Whether the account ``here``, with these ``live`` sessions, is this one.

        The same key is the same account. Another key may be a new key of the same account: then the account numbers
        decide, if both sides have some, and else the sessions.
        """
        if self.key and self.key == here.key:
            return "same"
        if self.numbers and here.numbers:
            return "same" if set(self.numbers) & set(here.numbers) else "other"
        if not set(self.sessions).isdisjoint(live):
            return "same"
        if _salt(self.key) and _salt(self.key) == _salt(here.key):
            return "other"
        return "emptied" if self.sessions else "unknown"

    def __str__(self) -> str:
        if self.numbers:
            return f"account{'s' if len(self.numbers) > 1 else ''} {', '.join(map(str, self.numbers))}"
        if self.sessions:
            return f"the account of {', '.join(f'#{one}' for one in self.sessions[:3])}"
        return "the account of another API key" if self.key else "an unknown account"


#: The mark of an unknown account.
UNKNOWN: Final = Account()


def make_account(numbers: Iterable[Any], sessions: Iterable[int], key: str = "") -> Account:
    """The mark for a list: the account numbers of its rows, and the ids of managed sessions."""
    found = {one for one in numbers if type(one) is int or (type(one) is str and 0 < len(one) <= _LONGEST)}
    if len(found) > _MOST_NUMBERS:
        found = set()
    return Account(tuple(sorted(found, key=str)), key, tuple(sorted(sessions)[:_MOST_SESSIONS]))


def mark_key(key: str, salt: bytes | None) -> str:
    """The mark of a key, from which the key can't be recovered. Without a salt there is none.

    Two marks with different salts can't be compared, so the mark names its salt by a hash.
    """
    if not key:
        return NO_KEY
    if salt is None:
        return ""
    hashed = scrypt(key.encode(), salt=salt, n=2**10, r=8, p=1, dklen=12)
    return f"{sha256(b'reconciler salt ' + salt).hexdigest()[:12]}:{hashed.hex()}"


def account_to_json(account: Account) -> dict[str, Any]:
    """The mark, in its form for files."""
    return {"api_ids": list(account.numbers), "key": account.key, "sessions": list(account.sessions)}


def account_from_json(document: Any) -> Account | None:
    """Read a mark; None if it is not one. The file may be untrusted, or from an earlier version."""
    if type(document) is not dict:
        return None
    numbers, key, sessions = (document.get(name) for name in ("api_ids", "key", "sessions"))
    if type(numbers) is not list or type(key) is not str or type(sessions) is not list or len(key) > _LONGEST:
        return None
    found = make_account(numbers, (one for one in sessions if type(one) is int), key)
    return found or None


def other_account(made: str, expected: Account, here: Account, live: Collection[int]) -> str:
    """A sentence on why the account ``here`` is not the ``expected`` one; empty if it is, or if that is unknown.

    ``made`` begins the sentence: ``the plan was made``. ``live`` are the sessions that are live here.
    """
    verdict = expected.compared(here, live)
    if verdict in ("same", "unknown"):
        return ""
    if verdict == "emptied":
        return (
            f"{made} for {expected}, and none of the sessions that were live then is live here: this is another "
            "account, or all of them were deleted"
        )
    if not expected.numbers and not here.numbers:
        return f"{made} with another API key, and none of its sessions is live here"
    return f"{made} for {expected}, and this is {here}"


def _salt(key: str) -> str:
    return key.partition(":")[0] if ":" in key else ""
