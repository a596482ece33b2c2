"""Shards: several processes share the accounts. Each account belongs to exactly one of them.

What is hashed is the name of the account's Secret (``NAMESPACE/NAME``), not its content: a new key must not move an
account, because the process that had it may still be writing. Several Secrets may name one account, by the same
endpoint and key. Then the oldest of them counts for all, so that one process sees all catalogs of the account, and
finds two resources for one catalog. An account moves only if such Secrets come, go, or stop being the same, and then
whoever gets it waits (:data:`HANDED_OVER`). A resource without a Secret belongs where the Secret's name says.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from reconciler.address import canonical
from reconciler.errors import UsageError
from reconciler.operator.resource import Account

#: How long after an account has moved to another shard nothing is created in it (seconds), plus the settle time: the
#: process that had it may see the Secret later, and finishes what it had begun.
HANDED_OVER: Final = 60.0

#: The most shards. More would be a typing error.
_MOST: Final = 1000

_LEASE: Final = "reconciler-operator"
_LEASES: Final = re.compile(rf"{_LEASE}-[0-9]+-of-([0-9]+)")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of ``count`` shards; ``index`` counts from 0."""

    index: int = 0
    count: int = 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def lease(self) -> str:
        """The name of the shard's Lease."""
        return _LEASE if self.count == 1 else f"{_LEASE}-{self.index}-of-{self.count}"

    def has(self, secret: str) -> bool:
        """Whether a Secret (``NAMESPACE/NAME``) belongs to the shard."""
        digest = hashlib.sha256(secret.encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index


#: The only shard: it has all accounts.
WHOLE: Final = Shard()


def parse_shard(text: str) -> Shard:
    """A shard written as ``INDEX/COUNT``. The index may be the name of a pod of a StatefulSet, which ends with it.

    Raises:
        UsageError: it is not written like that, or there is no such shard.
    """
    found = re.fullmatch(r"(?:[a-z0-9][a-z0-9.-]*-)?([0-9]{1,4})/([0-9]{1,4})", text.strip())
    if found is None:
        raise UsageError(
            f"{text[:80]!r} is no shard", "write INDEX/COUNT, such as 0/3 for the first of three"
        )
    index, count = int(found[1]), int(found[2])
    if not 1 <= count <= _MOST:
        raise UsageError(f"there can't be {count} shards", f"name a count from 1 to {_MOST}, such as 0/3")
    if index >= count:
        raise UsageError(
            f"there is no shard {index} of {count}",
            f"shards count from 0: the last one is {count - 1}/{count}",
        )
    return Shard(index, count)


def count_of_lease(name: str) -> int | None:
    """How many shards there are according to the name of a Lease; None if it is not one of an operator."""
    if name == _LEASE:
        return 1
    found = _LEASES.fullmatch(name)
    return None if found is None else int(found[1])


class Accounts:
    """The accounts that the Secrets of the cluster name, and which of them belong to a shard. For one thread at a time.

    All shards know all Secrets, and come to the same result.
    """

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._known: dict[str, Account] = {}
        self._groups: dict[tuple[str, str], set[str]] = {}  # the Secrets of each account
        self._since: dict[str, float] = {}

    def get(self, secret: str) -> Account | None:
        return self._known.get(secret)

    def __contains__(self, secret: str) -> bool:
        return secret in self._known

    def names(self) -> frozenset[str]:
        """The names of the Secrets."""
        return frozenset(self._known)

    def put(self, secret: str, account: Account | None, *, moved: float | None = None) -> set[str]:
        """Note what a Secret names; None if it is gone. Returns the Secrets that are concerned, this one included.

        ``moved`` is the time (monotonic clock, seconds) from which what has moved here is held back; None: it was
        nowhere else before.
        """
        before = self._known.get(secret)
        if before == account:
            return {secret}
        concerned = {secret} | self._group(before) | self._group(account)
        had = {name for name in concerned if self.mine(name)}
        if before is not None:
            self._leave(secret, before)
        if account is not None:
            self._groups.setdefault(_identity(account), set()).add(secret)
            self._known[secret] = account
        for name in concerned:
            if not self.mine(name):
                self._since.pop(name, None)
            elif name not in had and moved is not None:
                self._since[name] = moved + HANDED_OVER
        return concerned

    def mine(self, secret: str) -> bool:
        """Whether an account belongs to this shard, by the oldest of its Secrets."""
        group = self._group(self._known.get(secret))
        return self._shard.has(min(group, key=self._age, default=secret))

    def since(self, secret: str) -> float | None:
        """From when on (monotonic clock, seconds) it is certain that no other shard writes to an account; None: it was
        in no other one."""
        return self._since.get(secret)

    def same(self, secret: str) -> list[str]:
        """The Secrets that name the same account, this one included; none if there is no such Secret."""
        return sorted(self._group(self._known.get(secret)))

    def identity(self, secret: str) -> tuple[str, str] | None:
        """What is the same for all Secrets of an account: address and key."""
        account = self._known.get(secret)
        return None if account is None else _identity(account)

    def _leave(self, secret: str, account: Account) -> None:
        del self._known[secret]
        group = self._groups[_identity(account)]
        group.discard(secret)
        if not group:  # else every key that was ever replaced would be remembered
            del self._groups[_identity(account)]

    def _group(self, account: Account | None) -> set[str]:
        return set() if account is None else self._groups.get(_identity(account), set())

    def _age(self, secret: str) -> tuple[str, str]:
        return self._known[secret].created, secret


def _identity(account: Account) -> tuple[str, str]:
    return _address(account.endpoint), account.key


@lru_cache(1000)
def _address(endpoint: str) -> str:
    return canonical(endpoint)
