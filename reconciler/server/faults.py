"""What the server can be told to do wrong: rules that say on which calls, and what.

    Fault("status", operation="create_session", when="every 2", status=503, retry_after=1)

A rule counts the requests of its operation, from the moment it was added. Of the rules that apply to a request
the first one that breaks it is carried out; ``latency`` breaks nothing, and adds up.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from reconciler.errors import Problem, ReconcilerError
from reconciler.server.log import LoggedRequest

Kind: TypeAlias = Literal[
    "latency",
    "status",
    "html",
    "rate-limit",
    "cut",
    "reset",
    "hang",
    "half",
    "body-status",
    "empty",
    "wrong-type",
]

#: What each kind does, as the documentation words it.
KINDS: Mapping[str, str] = {
    "latency": "waits `seconds`, then goes on",
    "status": "answers `status` (500) with a JSON envelope, and Retry-After where `retry_after` is given",
    "html": "answers `status` (502) with an HTML page",
    "rate-limit": "answers 429 to what is beyond `rate` requests a second",
    "cut": "closes the connection without an answer",
    "reset": "resets the connection",
    "hang": "does not answer until it is released or the server stops",
    "half": "sends the head of the answer, half of its body, and closes the connection",
    "body-status": "answers HTTP 200 with `status` (500) in the body",
    "empty": "answers HTTP 200 without a body",
    "wrong-type": "answers HTTP 200 with an HTML page",
}

_DEFAULT_STATUS = {"html": 502, "rate-limit": 429}
_WHEN = re.compile(r"(all|first|first ([1-9]\d{0,8})|nth ([1-9]\d{0,8})|every ([1-9]\d{0,8}))", re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)
class Fault:
    """One rule.

    Args:
        kind: what happens, one of :data:`KINDS`.
        operation: the call by its name in the contract; ``None`` for every one.
        when: ``all``, ``first``, ``first 3`` (each of the first three), ``nth 3`` (the third alone) or ``every 2``
            (the second, the fourth …).
        status: the status that is answered, where the kind answers one.
        retry_after: the Retry-After header: seconds, or an HTTP date.
        seconds: how long ``latency`` waits.
        rate: how many requests in any second ``rate-limit`` lets through.
        worked: whether the work is done before it goes wrong. Left out, it is for ``half`` alone.
        where: narrows the rule to some requests; the others are not counted.

    Raises:
        ValueError: the rule makes no sense.
    """

    kind: Kind
    operation: str | None = None
    when: str = "all"
    status: int | None = None
    retry_after: float | str | None = None
    seconds: float = 0.0
    rate: int = 0
    worked: bool | None = None
    message: str = ""
    where: Callable[[LoggedRequest], bool] | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"no such kind of fault: {self.kind!r}; there are: {', '.join(KINDS)}")
        if not _WHEN.fullmatch(self.when):
            raise ValueError(f"when: {self.when!r} is none of: all, first, first N, nth N, every N")
        if self.kind == "rate-limit" and self.rate < 1:
            raise ValueError("rate-limit needs a rate of at least 1")
        if self.kind == "latency" and not 0 < self.seconds < 86400:
            raise ValueError("latency needs seconds, more than 0")
        if self.status is not None and not 400 <= self.status <= 599:
            raise ValueError(f"status: {self.status} is no error, which is 400 to 599")
        if self.kind == "half" and self.worked is False:
            raise ValueError("half of an answer needs the work to be done")
        if self.kind in ("rate-limit", "latency") and self.worked:
            raise ValueError(f"{self.kind} comes before the work")

    @property
    def after_work(self) -> bool:
        """Whether the work is done before it goes wrong."""
        return self.kind == "half" or bool(self.worked)

    @property
    def answered_status(self) -> int:
        """The status that is answered."""
        return self.status or _DEFAULT_STATUS.get(self.kind, 500)

    def strikes(self, count: int) -> bool:
        """Whether the rule applies to the nth request that it counted."""
        found = _WHEN.fullmatch(self.when)
        assert found is not None
        _, first, nth, every = found.groups()
        if nth:
            return count == int(nth)
        if every:
            return count % int(every) == 0
        return self.when == "all" or count <= int(first or 1)


@dataclass(slots=True)
class _Rule:
    fault: Fault
    count: int = 0
    struck: int = 0
    recent: deque[float] = field(default_factory=deque)  # moments of what a rate limit let through


class Faults:
    """The rules of a server. Tests change them from their own thread.

    Args:
        operations: the names that a rule may have for its operation.
        clock: seconds, for rate limits.
    """

    def __init__(self, operations: frozenset[str], clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._operations = operations
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self._hanging: set[asyncio.Event] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, fault: Fault) -> Fault:
        """Put in a rule, after those that are there.

        Raises:
            ValueError: there is no such operation.
        """
        if fault.operation is not None and fault.operation not in self._operations:
            raise ValueError(
                f"no such operation: {fault.operation!r}; there are: {', '.join(sorted(self._operations))}"
            )
        with self._lock:
            self._rules.append(_Rule(fault))
        return fault

    def remove(self, fault: Fault) -> None:
        """Take a rule out again. What hangs on its account goes on hanging."""
        with self._lock:
            self._rules = [rule for rule in self._rules if rule.fault is not fault]

    def clear(self) -> None:
        """Take out every rule, and release what hangs."""
        with self._lock:
            self._rules = []
        self.release()

    def struck(self, fault: Fault) -> int:
        """How many requests a rule was carried out on."""
        with self._lock:
            return sum(rule.struck for rule in self._rules if rule.fault is fault)

    def pick(self, entry: LoggedRequest) -> tuple[float, Fault | None]:
        """Count a request: the seconds that it waits, and the rule that breaks it."""
        wait, broken = 0.0, None
        with self._lock:
            for rule in self._rules:
                fault = rule.fault
                if fault.operation not in (None, entry.operation):
                    continue
                if fault.where is not None and not fault.where(entry):
                    continue
                rule.count += 1
                if not fault.strikes(rule.count):
                    continue
                if fault.kind == "latency":
                    wait += fault.seconds
                elif broken is None and (fault.kind != "rate-limit" or self._exceeds(rule)):
                    broken = fault
                else:
                    continue
                rule.struck += 1
        return wait, broken

    def _exceeds(self, rule: _Rule) -> bool:
        now = self.clock()
        while rule.recent and rule.recent[0] <= now - 1:
            rule.recent.popleft()
        if len(rule.recent) >= rule.fault.rate:
            return True
        rule.recent.append(now)
        return False

    # Hanging

    @property
    def hanging(self) -> int:
        """How many requests hang at this moment."""
        with self._lock:
            return len(self._hanging)

    def release(self) -> None:
        """Let every request go on that hangs."""
        with self._lock:
            for event in self._hanging:
                assert self._loop is not None
                self._loop.call_soon_threadsafe(event.set)

    async def hang(self, lost: Callable[[], Any]) -> bool:
        """Wait to be released: ``True``; or for the client to go away: ``False``."""
        event = asyncio.Event()
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._hanging.add(event)
        waiting = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(lost())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
            with self._lock:
                self._hanging.discard(event)
        return event.is_set()


def load_faults(path: Path) -> list[Fault]:
    """Read rules from a YAML file: a list of mappings with the fields of :class:`Fault`.

    Raises:
        ReconcilerError: the file can't be read or a rule makes no sense. Every bad rule is told.
    """
    import yaml

    try:
        document = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
    except OSError as error:
        raise ReconcilerError(f"the faults {path} can't be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ReconcilerError(f"the faults {path} are not YAML: {error}") from None
    if not isinstance(document, list):
        raise ReconcilerError(
            f"the faults {path} are not a list", "one rule an entry, such as: - {kind: status, status: 503}"
        )
    faults: list[Fault] = []
    problems: list[Problem] = []
    for number, rule in enumerate(document, start=1):
        try:
            faults.append(_fault(rule))
        except ValueError as error:
            problems.append(Problem(f"{path}: rule {number}: {error}"))
    if problems:
        raise ReconcilerError(problems)
    return faults


_TYPES: Mapping[str, tuple[type, ...]] = {
    "kind": (str,),
    "operation": (str,),
    "when": (str,),
    "status": (int,),
    "retry_after": (int, float, str),
    "seconds": (int, float),
    "rate": (int,),
    "worked": (bool,),
    "message": (str,),
}


def _fault(rule: object) -> Fault:
    if not isinstance(rule, dict):
        raise ValueError("not a mapping")
    for name, value in rule.items():
        if name not in _TYPES:
            raise ValueError(f"no such field: {name}; there are: {', '.join(_TYPES)}")
        wrong = not isinstance(value, _TYPES[name]) or (isinstance(value, bool) and name != "worked")
        if wrong:
            raise ValueError(f"{name}: {value!r} is of the wrong type")
    if "kind" not in rule:
        raise ValueError("kind is missing")
    return Fault(**rule)
