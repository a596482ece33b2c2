"""The doctor against the second service: starting from the shipped contract, it finds out how to call each variant.

Each case plays several variants at once, as far as they concern different things. With the ``full`` tests, each variant
is also played alone, and looked at once more with what was learned.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reconciler.contract import Contract, Status, load_contract
from tests import warm
from tests.services.drf.running import Service, needs_drf, running_drf
from tests.services.drf.variants import VARIANTS

pytestmark = needs_drf

ONE = "/v1/session/{session_id}/"
BY_TOKEN = "/v1/session/{session_token}/"
BOTH = ("session_id", "session_token")


@dataclass(frozen=True)
class Truth:
    """What the doctor has to find out about a variant, where that is not what the plainest one is.

    ``facts`` are of a call (``create_session.encoding``) or of the service. ``differs`` are the lines that say so:
    the contract that ships says otherwise. ``looking`` are those that a look without a probe shows.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    differs: frozenset[str] = frozenset()
    looking: frozenset[str] = frozenset()


PLAINEST: Mapping[str, Any] = {
    "create_session.path": "/v1/session/",
    "create_session.encoding": "multipart",
    "create_session.data": "config_data",
    "create_session.ignores": frozenset(),
    "update_session.method": "POST",
    "update_session.path": ONE,
    "update_session.encoding": "json",
    "update_session.data": "config_data",
    "update_session.named_by": ("session_id",),
    "update_session.left_out": "kept",
    "update_session.ignores": frozenset(),
    "delete_session.method": "POST",
    "delete_session.path": ONE + "del/",
    "delete_session.named_by": ("session_id",),
    "delete_session.answer": "document",
    "get_session.path": None,
    "create_message.encoding": "json",
    "create_message.named_by": BOTH,
    "list_messages.named_by": ("session_token",),
    "list_messages.pages": "before",
    "list_messages.counts": "none",
    "list_sessions.page_size": 100,
    "largest_page": None,
    "remark_limit": None,
    "remark_over": None,
    "name_filter": "exact",
    "ordering": "honoured",
    "numbers": "number",
    "prompt_ends": "both",
    "prompt_line_endings": "kept",
    "prompt_characters": "kept",
    "prompt_length": 100_000,
    "late_seconds": 0.0,
    "not_found": Status(404, 404),
    "bad_request": Status(400, 400),
    "time_zone": "+00:00",
    "updated_at": "updates",
    "updated_at_seconds": 1,
    "updated_at_order": "honoured",
}


def _truth(*differs: str, looking: tuple[str, ...] = (), **facts: Any) -> Truth:
    """``create_session__encoding`` stands for ``create_session.encoding``."""
    named = {name.replace("__", "."): value for name, value in facts.items()}
    return Truth(named, frozenset((*differs, *looking)), frozenset(looking))


def _by(update: str, delete: str, *named: str, **facts: Any) -> Truth:
    """The calls about one session."""
    paths = {"update_session__path": update, "delete_session__path": delete}
    names = {"update_session__named_by": named, "delete_session__named_by": named}
    changed = [
        name for name, path in (("update", update), ("delete", delete)) if path not in (ONE, ONE + "del/")
    ]
    if "delete_session__method" in facts:
        changed = [*changed, "delete"]
    got = ["one session"] if "get_session__path" in facts else []
    return _truth(*changed, *got, **paths, **names, **facts)


_VERBS = ("/v1/session/update/", "/v1/session/del/")
_HTTP: Mapping[str, Any] = {"delete_session__method": "DELETE", "delete_session__answer": "empty"}
_PAGES = "pages of messages"

TRUTHS: Mapping[str, Truth] = {
    "rest-token": _by(BY_TOKEN, BY_TOKEN + "del/", "session_token", get_session__path=BY_TOKEN),
    "rest-delete-word": _by(ONE, ONE + "delete/", "session_id", get_session__path=ONE),
    "http-delete": _by(ONE, ONE, "session_id", get_session__path=ONE, **_HTTP),
    "http-delete-token": _by(BY_TOKEN, BY_TOKEN, "session_token", **_HTTP),
    "verbs-token-body": _by(*_VERBS, "session_token"),
    "verbs-id-body": dataclasses.replace(
        _by(*_VERBS, "session_id", list_messages__named_by=("session_id",)),
        differs=frozenset(("update", "delete", "messages")),
        looking=frozenset(("messages",)),
    ),
    "verbs-both-ids": _by(*_VERBS, *BOTH),
    "verbs-either-id": _by(_VERBS[0], "/v1/session/delete/", "session_token"),
    "query-create": _truth("create", create_session__encoding="query", create_session__longest_query=8000),
    "json-only": _truth("create", create_session__encoding="json"),
    "data-field": _truth("create", "update", create_session__data="data", update_session__data="data"),
    "reset-updates": _truth("fields left out of an update", update_session__left_out="reset"),
    "refusing-updates": _truth("fields left out of an update", update_session__left_out="refused"),
    "no-id-in-answer": _by(BY_TOKEN, BY_TOKEN + "del/", "session_token"),
    "remark-255-cut": _truth(remark_limit=255, remark_over="cut"),
    "remark-255-refused": _truth(remark_limit=255, remark_over="refuse"),
    "white-space-kept": _truth(prompt_ends="kept"),
    "local-times": _truth(time_zone="+08:00"),
    "times-with-messages": _truth(updated_at="messages"),
    "times-never-move": _truth(updated_at="never", updated_at_seconds=None, updated_at_order=None),
    "name-contains": _truth(name_filter="partial"),
    "clamped-50": _truth(looking=("page size",), largest_page=50, list_sessions__page_size=50),
    "cursor-page-count": _truth(list_messages__counts="page"),
    "cursor-rest-count": _truth(list_messages__counts="all"),
    "cursor-whole-count": _truth(list_messages__counts="all"),
    "pages-whole-count": _truth(_PAGES, list_messages__pages="page", list_messages__counts="all"),
    "pages-page-count": _truth(_PAGES, list_messages__pages="page", list_messages__counts="page"),
    "pages-ordering-ignored": _truth(_PAGES, list_messages__pages="page", list_messages__counts="all"),
    "pages-ignored": _truth(_PAGES, list_messages__pages="none", list_messages__counts="all"),
    "messages-all-at-once": _truth(_PAGES, list_messages__pages="none", list_messages__counts="all"),
    "filter-ignored": _truth(looking=("messages",), list_messages__named_by=("session_id",)),
    "bare-errors": _truth(bad_request=Status(400), not_found=Status(404)),
    "english-errors": _truth(bad_request=Status(400), not_found=Status(404)),
    "http200-errors": _truth(bad_request=Status(200, 400), not_found=Status(200, 404)),
}

#: Variants that are played together. Those without a line above are to be found like the plainest one.
TOGETHER = (
    ("rest-id", "cursor-no-count"),
    ("rest-token", "query-create", "remark-255-cut", "local-times", "pages-whole-count"),
    ("rest-delete-word", "white-space-kept", "cursor-page-count", "times-with-messages"),
    ("http-delete", "multipart-unread", "remark-255-refused", "pages-page-count", "bare-errors"),
    ("http-delete-token", "json-only", "name-contains", "pages-ordering-ignored", "english-errors"),
    ("verbs-token-body", "data-field", "cursor-rest-count", "times-never-move"),
    ("verbs-id-body", "reset-updates", "http200-errors"),
    ("verbs-both-ids", "refusing-updates", "cursor-whole-count"),
    ("verbs-either-id", "clamped-50", "id-and-token-in-answer"),
    ("no-id-in-answer", "cursor-no-pages", "filter-required"),
    ("pages-ignored", "multipart-create"),
    ("messages-all-at-once",),
    ("filter-ignored", "cursor-oldest-first"),
    ("throttled",),
)


def _settings(names: tuple[str, ...], *, quick: bool) -> dict[str, str]:
    merged: dict[str, str] = {}
    for name in names:
        for variable, value in VARIANTS[name].items():
            assert merged.setdefault(variable, value) == value, f"{name} can't be played with {names}"
    if names == ("throttled",) and quick:
        merged["throttle"] = "40/sec"  # a limit per minute takes minutes
    return merged


def _truth_of(names: tuple[str, ...]) -> tuple[dict[str, Any], set[str], set[str]]:
    truths = [TRUTHS.get(name, Truth()) for name in names]
    facts = {**PLAINEST}
    for truth in truths:
        facts |= truth.facts
    return facts, {one for it in truths for one in it.differs}, {one for it in truths for one in it.looking}


def doctor(service: Service, folder: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run the installed command; gives its exit code, its report and what it printed to stderr."""
    env = {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "MINDCRAFT_ENDPOINT": service.url,
        "MINDCRAFT_API_KEY": service.key,
    }
    done = warm.run(["doctor", "--format", "json", *arguments], cwd=folder, env=env)
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, report, done.stderr


def lines(report: Mapping[str, Any], verdict: str) -> set[str]:
    return {check["name"] for check in report["checks"] if check["verdict"] == verdict}


def seen(report: Mapping[str, Any], name: str) -> str:
    found: str = [check["seen"] for check in report["checks"] if check["name"] == name][-1]
    return found


def _fill(service: Service, many: bool) -> None:
    """What others have on the account, and on another one."""
    people = [service.put_session(session_name=name, prompt=f"You are {name}.") for name in ("Ann", "Bo")]
    service.put_messages(people[0], ["你好", "hello"])
    service.put_messages(people[1], ["hi"])
    stranger = service.put_session(session_name="a stranger's", api_id=71)
    service.put_messages(stranger, ["secret"])
    for number in range(60 if many else 0):
        service.put_session(session_name=f"end user {number}")


def _fact(contract: Contract, name: str) -> Any:
    call, _, fact = name.partition(".")
    if not fact:
        return getattr(contract.service, call)
    operation = contract.operations.get(call)
    if operation is None:
        return None
    return operation.fields.get("data") if fact == "data" else getattr(operation, fact)


def _all_that_is_stored(service: Service) -> list[tuple[Any, ...]]:
    return service.picture(row["session_id"] for row in service.sessions())


def _find_out(names: tuple[str, ...], folder: Path, again: bool) -> None:
    facts, differs, looking = _truth_of(names)
    with running_drf(**_settings(names, quick=not again)) as service:
        _fill(service, many="clamped-50" in names)
        stored, messages = _all_that_is_stored(service), service.messages()

        code, report, err = doctor(service, folder)
        assert {request["method"] for request in service.requests()} == {"GET"}
        assert lines(report, "differs") == looking
        assert (code, err) == (1 if looking else 0, "")
        assert "writes" in lines(report, "unknown")

        code, report, err = doctor(service, folder, "--probe", "--auto-approve", "--write", "contract.yaml")
        assert (code, err) == (0, ""), report
        assert lines(report, "differs") == differs
        assert lines(report, "unknown") <= {"page size"}
        assert _all_that_is_stored(service) == stored
        assert service.messages() == messages

        contract = load_contract(folder / "contract.yaml")
        assert {name: _fact(contract, name) for name in facts} == facts
        assert contract.learned is not None
        assert contract.learned.partial == ()
        called = [name for name, one in contract.operations.items() if one.known == "learned"]
        assert {"create_session", "update_session", "delete_session", "list_messages"} <= {*called}
        if again:
            code, report, _ = doctor(service, folder, "--contract", "contract.yaml")
            assert (code, lines(report, "differs")) == (0, set())


@pytest.mark.parametrize("names", TOGETHER, ids="+".join)
def test_the_truth_is_found(names: tuple[str, ...], tmp_path: Path) -> None:
    _find_out(names, tmp_path, again=False)


@pytest.mark.full
@pytest.mark.parametrize("name", sorted({*VARIANTS} - {"out-of-points"}))
def test_each_alone(name: str, tmp_path: Path) -> None:
    _find_out((name,), tmp_path, again=True)


def test_every_variant_is_played_once() -> None:
    played = [name for names in TOGETHER for name in names]
    assert sorted([*played, "out-of-points"]) == sorted(VARIANTS)


def test_few_creates_are_tried(tmp_path: Path) -> None:
    """A refusal that names what was sent as missing ends the tries in that encoding."""
    with running_drf(**VARIANTS["query-create"]) as service:
        doctor(service, tmp_path, "--probe", "--auto-approve")
        creates = [
            one for one in service.requests() if (one["method"], one["path"]) == ("POST", "/v1/session/")
        ]
        assert [one["status"] for one in creates] == [400, 400, 400, 201]


def test_an_account_that_is_out_of_points(tmp_path: Path) -> None:
    """It stops at the first write, and keeps what reading had shown."""
    with running_drf(**VARIANTS["out-of-points"]) as service:
        _fill(service, many=False)
        stored = _all_that_is_stored(service)
        code, report, err = doctor(service, tmp_path, "--probe", "--auto-approve", "--write", "contract.yaml")
        assert (code, err) == (1, "")
        assert lines(report, "differs") == {"the probe ended early"}
        assert seen(report, "the probe ended early") == (
            "creating the session: HTTP 406 (the account is out of points): 积分不足"
        )
        assert [one["status"] for one in service.requests() if one["method"] != "GET"] == [406]
        assert _all_that_is_stored(service) == stored
    learned = load_contract(tmp_path / "contract.yaml")
    assert learned.learned is not None
    assert {"create_session", "update_session", "delete_session"} <= {*learned.learned.partial}
    assert learned.service.name_filter == "exact"
    assert "  delete_session:  # not learned\n" in (tmp_path / "contract.yaml").read_text(encoding="utf-8")
