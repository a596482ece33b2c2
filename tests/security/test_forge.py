"""What a forge, or whoever answers in its place, could do to the comment command: get the token, hold up the job for
ever, end it in a traceback, or write commands into its log."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.ci import api
from reconciler.ci.api import PassingError
from reconciler.ci.comment import put_comment
from reconciler.ci.forge import this_request
from tests.ci.forge import BOT, TOKEN, Forge
from tests.ci.test_comment import PLAN, comment, github, gitlab
from tests.hostile import HOSTILE
from tests.security.test_answers import speaking
from tests.support import Answer, Stub, answering


def at(stub: Stub, **more: Any) -> Forge:
    return Forge(url=stub.url, **more)


@pytest.fixture
def evil() -> Iterator[Stub]:
    """Another host, which would like to have the token."""
    with answering(Answer([])) as stub:
        yield stub


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_redirect_cannot_lead_the_token_elsewhere(status: int, evil: Stub, tmp_path: Path) -> None:
    with answering(Answer({}, status, {"Location": f"{evil.url}/steal"})) as stub:
        done = comment(tmp_path, github(at(stub), tmp_path))
    assert not evil.asked
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "link",
    [
        '<{evil}/repos?page=2>; rel="next"',
        '<//127.0.0.1:{port}/x?page=2>; rel="next"',
        '<https://user:pass@[::1/?page=2>; rel="next"',
        '<http://[>; rel="next"',
        '<\\\\evil\\x?%ff=%00&page=2>; rel="next"',
        ";;;,,<<>>",
    ],
)
def test_a_link_to_further_pages_cannot_lead_the_token_elsewhere(
    link: str, evil: Stub, tmp_path: Path
) -> None:
    header = link.format(evil=evil.url, port=evil.url.rpartition(":")[2])
    made = Answer({"id": 1, "user": {"login": BOT, "type": "Bot"}}, 201)
    with answering(Answer([], 200, {"Link": header}), Answer([]), made) as stub:
        done = comment(tmp_path, github(at(stub), tmp_path))
    assert not evil.asked
    assert "Traceback" not in done.stderr


def test_pages_without_end_come_to_an_end(tmp_path: Path) -> None:
    with answering(Answer([{}] * 5, 200, {"Link": '</x?page=2>; rel="next"'})) as stub:
        done = comment(tmp_path, github(at(stub), tmp_path))
    assert len(stub.asked) <= 4 * (api.PAGES + 2)
    assert "Traceback" not in done.stderr


def test_a_forge_that_drips_cannot_hold_up_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (api.CALL_TIMEOUT, api.TOTAL_TIMEOUT) == (60, 300)
    monkeypatch.setattr(api, "CALL_TIMEOUT", 0.15)
    monkeypatch.setattr(api, "TOTAL_TIMEOUT", 0.3)
    slept: list[float] = []

    def drip() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
        for _ in itertools.repeat(None):
            time.sleep(0.02)
            yield b" "

    with speaking(drip) as url:
        forge = this_request(github(Forge(url=url), tmp_path))
        assert forge is not None
        with pytest.raises(PassingError, match=r"127\.0\.0\.1 took more than 0\.3 s in all"):
            put_comment(forge, PLAN, sleep=slept.append)
    assert len(slept) <= 3


_ROWS: dict[str, Any] = {
    "a list in place of the author": {"id": 1, "user": [], "author": [1]},
    "a string in place of the author": {"id": 1, "user": "x", "author": "x"},
    "an id that is no number": {"id": "../../user", "user": {"login": BOT}, "author": {"id": 1}},
    "an id beyond all bounds": {"id": 10**30, "user": {"login": BOT}, "author": {"id": 1}},
    "a number in place of the text": {"id": 1, "body": 5, "user": {"login": 5, "type": 5, "id": "x"}},
    "nothing at all": {},
    "no object": 5,
}


@pytest.mark.parametrize("name", _ROWS)
@pytest.mark.parametrize("kind", ["github", "gitlab", "forgejo"])
def test_no_form_of_a_comment_ends_in_a_traceback(kind: str, name: str, tmp_path: Path) -> None:
    row = _ROWS[name]
    answers = [Answer([row]), Answer(row, 201), Answer([row])]
    if kind == "gitlab":
        answers.insert(0, Answer({"id": row}))
    with answering(*answers) as stub:
        forge = at(stub)
        env = gitlab(forge) if kind == "gitlab" else github(forge, tmp_path)
        done = comment(tmp_path, {**env, "FORGEJO_ACTIONS": str(kind == "forgejo").lower()})
    assert done.returncode in (0, 1), done
    assert "Traceback" not in done.stderr


def test_a_nameless_account_does_not_own_the_comments_of_deleted_ones(tmp_path: Path) -> None:
    stranger = {"id": 7, "body": "<!-- reconciler comment key=", "author": None}
    with answering(Answer({}), Answer([stranger]), Answer({"id": 8}, 201), Answer([])) as stub:
        forge = this_request(gitlab(at(stub)))
        assert forge is not None
        assert [one.ours for one in forge.comments()] == [False]


@pytest.mark.parametrize("head", ["x", [], {"sha": 5}, None])
def test_no_form_of_a_request_ends_in_a_traceback(head: Any, tmp_path: Path) -> None:
    with answering(Answer({"head": head, "sha": head})) as stub:
        for env in (github(at(stub), tmp_path), gitlab(at(stub))):
            forge = this_request(env)
            assert forge is not None
            assert isinstance(forge.head(), str)


@pytest.mark.parametrize("body", [b"[" * 100_000, b"[NaN]", b"\xff\xfe\x00", b"<h1>Oops</h1>", b'"text"'])
@pytest.mark.parametrize("status", [200, 403, 404, 422, 500])
def test_no_body_ends_in_a_traceback(
    body: bytes, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(Answer(body, status, {"Content-Type": "text/html", "Retry-After": "9" * 400})) as stub:
        done = comment(tmp_path, github(at(stub), tmp_path))
    assert done.returncode in (0, 1), done
    assert "Traceback" not in done.stderr
    assert "<h1>" not in done.stderr


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_a_message_of_the_forge_has_no_effect_in_the_log(status: int, tmp_path: Path) -> None:
    hostile = " ".join(HOSTILE[name] for name in ("clear-screen", "osc52-clipboard", "bidi-override"))
    message = f"{hostile}\n::error::fake\n##[command]x {TOKEN}"
    with answering(Answer({"message": message}, status, {"Retry-After": "9" * 400})) as stub:
        done = comment(tmp_path, github(at(stub), tmp_path))
    assert not re.search("[\0-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", done.stderr)
    assert not re.search(r"^(::|##\[)", done.stderr, re.MULTILINE)
    assert TOKEN not in done.stdout + done.stderr
    summary = tmp_path / "summary.md"
    assert not summary.exists() or TOKEN not in summary.read_text()
