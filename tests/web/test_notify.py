"""Notifications: what is sent in each form, once each, by real HTTP."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from reconciler.controller.events import ANNOUNCED, Event
from reconciler.errors import UsageError
from reconciler.notify import Notifier, parse_destination
from reconciler.notify.notifier import WAITING
from reconciler.notify.payload import LONGEST, message, outgoing, undelivered
from reconciler.text.escape import visible
from tests.hostile import HOSTILE
from tests.web.conftest import Outside
from tests.web.scripted import ACCOUNT, NOW
from tests.webhook import Hook

EVENT = Event(
    "drift_found", NOW, ACCOUNT, "bookshop", "bookshop", "production", "alice & <bob> drifted", {"n": 1}
)
SECRET = "a secret that nobody sees"


@dataclass
class Told:
    """What a notifier says, and what became of each notification."""

    said: list[str] = field(default_factory=list)
    outcomes: list[tuple[str, str]] = field(default_factory=list)

    def notifier(self, *urls: str, secret: str = "", waits: tuple[float, ...] = (0, 0)) -> Notifier:
        return Notifier(
            urls, secret, say=self.said.append, on_outcome=lambda *one: self.outcomes.append(one), waits=waits
        )


def test_each_announced_event_is_sent_once(hook: Hook) -> None:
    told = Told()
    with told.notifier(hook.url, hook.url) as notifier:
        for kind in ("looked", "listed", "revision", "standby", *sorted(ANNOUNCED)):
            notifier(replace(EVENT, kind=kind))  # type: ignore[arg-type]
    assert [one["kind"] for one in hook.bodies()] == sorted(ANNOUNCED)
    assert told.outcomes == [(kind, "sent") for kind in sorted(ANNOUNCED)]
    assert told.said == []


def test_json_is_signed_over_time_and_body(hook: Hook) -> None:
    with Told().notifier(f"{hook.url}/hook?x=1#secret=own", secret=SECRET) as notifier:
        notifier(EVENT)
    path, headers, body = hook.requests[0]
    assert path == "/hook?x=1"
    stamp, _, given = headers["X-Reconciler-Signature"].partition(",v1=")
    signed = stamp.removeprefix("t=").encode() + b"." + body
    assert hmac.compare_digest(given, hmac.new(b"own", signed, hashlib.sha256).hexdigest())
    assert headers["X-Reconciler-Event"] == "drift_found"
    assert json.loads(body) == {
        "format_version": "1.0",
        "id": headers["X-Reconciler-Delivery"],
        "kind": "drift_found",
        "at": "2026-03-04T09:12:00Z",
        "account": ACCOUNT,
        "watched": "bookshop",
        "catalog": "bookshop",
        "environment": "production",
        "message": "alice & <bob> drifted",
        "facts": {"n": 1},
    }


def test_the_text_forms() -> None:
    text = "[bookshop · production] Drift found: alice & <bob> drifted"

    def sent(url: str, secret: str = "") -> tuple[str, Any]:
        request = outgoing(parse_destination(url, secret), EVENT, "id", 1700000000.5)
        return request.url, json.loads(request.body)

    assert sent("https://hooks.slack.com/services/T/B/X", SECRET) == (
        "https://hooks.slack.com/services/T/B/X",
        {
            "text": "[bookshop · production] Drift found: alice &amp; &lt;bob&gt; drifted",
            "mrkdwn": False,
            "unfurl_links": False,
            "unfurl_media": False,
        },
    )
    plain = {"msg_type": "text", "content": {"text": text.replace("<", "＜")}}
    assert sent("https://open.feishu.cn/open-apis/bot/v2/hook/X")[1] == plain
    key = f"1700000000\n{SECRET}".encode()
    sign = base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()
    assert sent("https://open.larksuite.com/open-apis/bot/v2/hook/X", SECRET)[1] == {
        **plain,
        "timestamp": "1700000000",
        "sign": sign,
    }
    url, document = sent("https://oapi.dingtalk.com/robot/send?access_token=X", SECRET)
    assert document == {"msgtype": "text", "text": {"content": text}, "at": {"isAtAll": False}}
    sign = base64.b64encode(
        hmac.new(SECRET.encode(), f"1700000000500\n{SECRET}".encode(), hashlib.sha256).digest()
    ).decode()
    assert parse_qs(urlsplit(url).query) == {
        "access_token": ["X"],
        "timestamp": ["1700000000500"],
        "sign": [sign],
    }


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_strangers_wrote_is_text(hostile: str) -> None:
    event = replace(
        EVENT, watched=hostile, environment=hostile, message=hostile + "<at user_id=all>" + "x" * 9999
    )
    for form in ("slack", "feishu", "dingtalk"):
        text = outgoing(parse_destination(f"{form}+https://example.com"), event, "id", 0).body
        said = json.loads(text)
        line = said["text"]["content"] if form == "dingtalk" else said.get("text") or said["content"]["text"]
        assert visible(line) == line
        assert len(line) < 5 * LONGEST
        assert form == "dingtalk" or "<" not in line
    assert len(message(event)) <= LONGEST + 1


@pytest.mark.parametrize(
    ("form", "answers", "outcome", "attempts"),
    [
        ("json", [(500, ""), (503, ""), (204, "")], "sent", 3),
        ("json", [(500, "")], "failed", 3),
        ("json", [(404, "")], "failed", 1),
        ("json", [(302, "")], "failed", 1),
        ("slack", [(429, ""), (200, "ok")], "sent", 2),
        (
            "dingtalk",
            [(200, '{"errcode": 130101, "errmsg": "send too fast"}'), (200, '{"errcode": 0}')],
            "sent",
            2,
        ),
        ("dingtalk", [(200, '{"errcode": 310000, "errmsg": "sign not match"}')], "failed", 1),
        ("feishu", [(200, '{"code": 11232}'), (200, '{"StatusCode": 0, "code": 0}')], "sent", 2),
        ("feishu", [(200, '{"code": 19021, "msg": "sign match fail"}')], "failed", 1),
        ("feishu", [(200, "<html>")], "failed", 1),
    ],
)
def test_attempts(form: str, answers: list[tuple[int, str]], outcome: str, attempts: int, hook: Hook) -> None:
    hook.answers = answers
    told = Told()
    notifier = told.notifier(f"{form}+{hook.url}")
    notifier(EVENT)
    hook.wait(attempts)
    notifier.close(60)
    assert told.outcomes == [("drift_found", outcome)]
    assert len(hook.requests) == attempts
    if form == "json":
        assert len({headers["X-Reconciler-Delivery"] for _, headers, _ in hook.requests}) == 1


def test_a_failing_destination_is_named_once_and_nothing_secret_with_it(hook: Hook) -> None:
    told = Told()
    hook.answers = [(404, SECRET), (404, SECRET), (200, "ok")]
    with told.notifier(f"slack+{hook.url}/services/T0P/S3CRET?token=S3CRET#secret={SECRET}") as notifier:
        for _ in range(3):
            notifier(EVENT)
    assert told.said == [
        "notifications can't be delivered (slack at 127.0.0.1): HTTP status 404",
        "notifications are delivered again (slack at 127.0.0.1)",
    ]
    gone = Told()
    with gone.notifier(f"http://127.0.0.1:1/S3CRET#secret={SECRET}") as notifier:
        notifier(EVENT)
    assert gone.said == ["notifications can't be delivered (json at 127.0.0.1): no answer (ConnectionError)"]
    destination = parse_destination(f"{hook.url}/S3CRET", SECRET)
    assert "S3CRET" not in repr(destination)
    assert SECRET not in repr(destination)
    assert "sign match" not in str(undelivered(destination, 200, b""))


def test_a_destination_that_hangs_holds_up_nobody(hook: Hook, web: Outside) -> None:
    hook.gate = threading.Event()
    told = Told()
    slow, fast = told.notifier(hook.url), Told()
    slow(EVENT)
    hook.wait(1)
    for number in range(WAITING + 3):
        slow(replace(EVENT, message=str(number)))
    assert told.outcomes == [("drift_found", "dropped")] * 3
    with fast.notifier("http://127.0.0.1:1/") as other:
        other(EVENT)
    assert fast.outcomes == [("drift_found", "failed")]
    for one in told.outcomes:
        web.metrics.notified(*one)
    assert web.shown()['reconciler_notifications_total{event="drift_found",outcome="dropped"}'] == 3
    slow.close(0)  # gives up in time
    assert told.said == [f"{WAITING + 1} notifications were not delivered before the end (json at 127.0.0.1)"]
    hook.gate.set()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "S3CRET",
        "ftp://example.com/S3CRET",
        "https://user:S3CRET@example.com",
        "https:///S3CRET",
        "https://example.com:S3CRET/",
        "https://example.com/#S3CRET",
        "https://example.com/#secret=a&S3CRET=b",
        "teams+https://example.com/S3CRET",
        "http://example.com/S3CRET",
    ],
)
def test_an_address_that_cannot_be_used_is_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        Notifier([url])
    assert "--notify address" in str(raised.value)
    assert "S3CRET" not in str([(one.message, one.hint) for one in raised.value.problems])
