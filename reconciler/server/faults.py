"""Fault injection: rules that say which calls go wrong, and how.

    Fault("status", operation="create_session", when="every 2", status=503, retry_after=1)

A rule counts the requests of its operation from the moment it was added. If several rules apply to a request, the first
one that breaks it is carried out. ``latency`` breaks nothing, and the latencies of several rules add up.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from reconciler.errors import ReconcilerError
from reconciler.server.log import LoggedRequest
from reconciler.strict_yaml.document import read_document
from reconciler.text.nearest import nearest
from reconciler.text.truncate import truncate
from reconciler.values import JSON

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

#: What each kind does, in the words of the documentation.
KINDS: Mapping[str, str] = {
    "latency": "waits `seconds`, then continues",
    "status": "answers `status` (500) with a JSON envelope, and with Retry-After if `retry_after` is given",
    "html": "answers `status` (502) with an HTML page",
    "rate-limit": "answers 429 to more than `rate` requests a second",
    "cut": "closes the connection without a response",
    "reset": "resets the connection",
    "hang": "does not answer until the request is released or the server stops",
    "half": "sends the head of the response and half of its body, then closes the connection",
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
        operation: the call by its name in the contract; ``None`` for every call.
        when: ``all``, ``first``, ``first 3`` (each of the first three), ``nth 3`` (only the third) or ``every 2``
            (the second, the fourth …).
        status: the status of the response, if the kind answers with one.
        retry_after: the Retry-After header: seconds, or an HTTP date.
        seconds: how long ``latency`` waits.
        rate: how many requests in any second ``rate-limit`` lets through.
        worked: whether the call is carried out before the fault. The default is true for ``half`` only.
        where: restricts the rule to some requests; the others are not counted.

    Raises:
        ValueError: the rule is invalid.
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
            raise ValueError(f"status: {self.status} is not an error status, 400 to 599")
        if self.kind == "half" and self.worked is False:
            raise ValueError("`half` needs the call to be carried out: `worked` can't be false")
        if self.kind in ("rate-limit", "latency") and self.worked:
            raise ValueError(f"{self.kind} comes before the call is carried out")

    @property
    def after_work(self) -> bool:
        """Whether the call is carried out before the fault."""
        return self.kind == "half" or bool(self.worked)

    @property
    def answered_status(self) -> int:
        """The status of the response."""
        return self.status or _DEFAULT_STATUS.get(self.kind, 500)

    def strikes(self, count: int) -> bool:
        """Whether the rule applies to the nth request that it counts."""
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
    recent: deque[float] = field(default_factory=deque)  # when a rate limit let requests through


class Faults:
    """The rules of a server. All methods but ``hang`` are thread-safe.

    Args:
        operations: the valid names of operations.
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
        """Add a rule after the existing ones.

        Raises:
            ValueError: the operation is unknown.
        """
        if fault.operation is not None and fault.operation not in self._operations:
            raise ValueError(
                f"no such operation: {fault.operation!r}; there are: {', '.join(sorted(self._operations))}"
            )
        with self._lock:
            self._rules.append(_Rule(fault))
        return fault

    def remove(self, fault: Fault) -> None:
        """Remove a rule. Requests that hang because of it keep hanging."""
        with self._lock:
            self._rules = [rule for rule in self._rules if rule.fault is not fault]

    def clear(self) -> None:
        """Remove all rules, and release hanging requests."""
        with self._lock:
            self._rules = []
        self.release()

    def struck(self, fault: Fault) -> int:
        """How many requests a rule was applied to."""
        with self._lock:
            return sum(rule.struck for rule in self._rules if rule.fault is fault)

    def pick(self, entry: LoggedRequest) -> tuple[float, Fault | None]:
        """Count a request, and return the seconds that it waits and the rule that breaks it."""
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
        """How many requests are hanging."""
        with self._lock:
            return len(self._hanging)

    def release(self) -> None:
        """Let all hanging requests continue."""
        with self._lock:
            for event in self._hanging:
                assert self._loop is not None
                self._loop.call_soon_threadsafe(event.set)

    async def hang(self, lost: Callable[[], Any]) -> bool:
        """Wait until released (``True``) or until the client disconnects (``False``)."""
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


def load_faults(path: Path, operations: Collection[str]) -> list[Fault]:
    """Read rules from a YAML file: a list of mappings with the fields of :class:`Fault`.

    Args:
        path: the file.
        operations: the valid names of operations.

    Raises:
        ReconcilerError: the file can't be read or a rule makes no sense. All problems are reported, with their places.
    """
    document = read_document(path, "the fault file")
    source = document.source
    problems = list(document.problems)
    faults: list[Fault] = []
    if isinstance(document.value, list):
        places = {(problem.line, problem.column) for problem in problems}
        for number, rule in enumerate(document.value):
            try:
                faults.append(_fault(rule, operations))
            except _BadRuleError as error:
                path_of = source.at_key if error.at_key else source.at_value
                problem = path_of((number, *error.field), str(error), error.hint)
                if (problem.line, problem.column) not in places:  # otherwise that problem is its cause
                    problems.append(problem)
    elif not document.broken:
        hint = "write one rule an entry, such as: - {kind: status, status: 503}"
        problems.append(source.at_value((), "the fault file must be a list of rules", hint))
    if problems:
        raise ReconcilerError(sorted(problems, key=lambda problem: problem.order))
    return faults


class _BadRuleError(Exception):
    """A rule of a file that makes no sense. ``field`` is the one at fault, empty for the whole rule."""

    def __init__(self, message: str, hint: str = "", *field: str, at_key: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.field = field
        self.at_key = at_key


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
_TYPE_NAMES: Mapping[type, str] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
}


def _fault(rule: JSON, operations: Collection[str]) -> Fault:
    if not isinstance(rule, dict):
        raise _BadRuleError("this rule is not a mapping", "write it as {kind: status, status: 503}")
    for name, value in rule.items():
        _check_field(name, value)
    if "kind" not in rule:
        raise _BadRuleError("this rule has no `kind`", f"the kinds are {_listed(KINDS)}")
    kind = str(rule["kind"])
    if kind not in KINDS:
        raise _BadRuleError(f"`{truncate(kind)}` is not a kind of fault", _meant(kind, KINDS), "kind")
    operation = rule.get("operation")
    if operation is not None and operation not in operations:
        raise _BadRuleError(
            f"`{truncate(str(operation))}` is not an operation of the API",
            _meant(str(operation), sorted(operations)),
            "operation",
        )
    fields: dict[str, Any] = dict(rule)
    try:
        return Fault(**fields)
    except ValueError as error:
        field = [name for name in rule if str(error).startswith(f"{name}: ")]
        raise _BadRuleError(str(error), "", *field) from None


def _check_field(name: str, value: JSON) -> None:
    if name not in _TYPES:
        message = f"`{truncate(name)}` is not a field of a rule"
        raise _BadRuleError(message, _meant(name, _TYPES), name, at_key=True)
    types = _TYPES[name]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        wanted = " or ".join(_TYPE_NAMES[one] for one in types)
        raise _BadRuleError(f"`{name}` has to be {wanted}", "", name)


def _meant(word: str, known: Collection[str]) -> str:
    close = nearest(word, known)
    return f"did you mean `{close}`?" if close else f"known are {_listed(known)}"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
