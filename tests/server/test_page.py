"""The page at ``/`` shows the sessions as text, and can't load or run anything."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import requests

from reconciler.server import RunningServer, running_server


class Page(HTMLParser):
    """What a browser would see: elements, attributes, and the text of elements by tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ("meta", "link", "input"):
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            continue

    def handle_data(self, data: str) -> None:
        for tag in self._open:
            self.texts[tag][-1] += data


def shown(server: RunningServer, query: str = "") -> Page:
    return Page(requests.get(server.url + "/" + query, timeout=10).text)


HOSTILE = '\n</pre><script>alert(1)</script><img src=x onerror="alert(2)"> & {{ 7*7 }} {% raw %}'


def test_the_page_shows_sessions_and_their_messages(server: RunningServer) -> None:
    server.store.insert_session(name="爱丽丝", prompt="You are Alice.", remark='{"a":1}', data={"b": "ü"})
    server.store.insert_session(name="Bob")
    server.store.insert_message(1)
    page = shown(server)
    assert [" ".join(text.split()) for text in page.texts["h2"]] == ["爱丽丝 #1", "Bob #2"]
    facts = [" ".join(text.split()) for text in page.texts["p"]]
    assert facts[0] == "2 live"
    assert facts[1].startswith(
        "deepseek-chat · max_tokens 4000 · temperature 0.2 · history_length 4 · 1 message · changed 20"
    )
    assert "· 0 messages ·" in facts[2]
    assert page.texts["pre"] == ["\nYou are Alice.", '\n{\n  "b": "ü"\n}', '\n{"a":1}']


def test_what_strangers_wrote_stays_text(server: RunningServer) -> None:
    plain = shown(server)
    server.store.insert_session(
        name=HOSTILE, model=HOSTILE, prompt=HOSTILE, remark=HOSTILE, data={"k": HOSTILE}
    )
    page = shown(server)
    assert set(page.elements) - set(plain.elements) <= {
        "article",
        "h2",
        "small",
        "bdi",
        "details",
        "summary",
        "span",
        "pre",
    }
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "src"]
    assert page.texts["pre"][0] == "\n" + HOSTILE
    assert shown(server, "?q=%22%3E%3Cscript%3E").elements.count("script") == 0


def test_nothing_can_be_loaded_or_run(server: RunningServer) -> None:
    answer = requests.get(server.url + "/", timeout=10)
    style = re.search(r"<style>(.*)</style>", answer.text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert answer.headers["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    assert "http" not in answer.text
    assert requests.post(server.url + "/", timeout=10).status_code == 405


def test_sessions_are_found_by_name_and_come_in_pages(server: RunningServer) -> None:
    for number in range(51):
        server.store.insert_session(name=f"reader {number}")
    server.store.insert_session(name="Alice")
    assert len(shown(server).texts["h2"]) == 50
    assert "page 1 of 2" in shown(server).texts["nav"][0]
    assert ("href", "?q=&page=2") in shown(server).attributes
    assert len(shown(server, "?page=2").texts["h2"]) == 2
    assert "h2" not in shown(server, "?page=99").texts
    assert len(shown(server, "?page=x").texts["h2"]) == 50
    found = shown(server, "?q=lic")
    assert len(found.texts["h2"]) == 1
    assert found.texts["p"][0].strip() == "1 named like “lic” · all"


def test_a_very_long_prompt_is_cut_short(server: RunningServer) -> None:
    server.store.insert_session(prompt="x" * 100_000)
    page = shown(server)
    assert len(page.texts["pre"][0]) == 20_001
    assert "… 80,000 more characters" in page.texts["p"]


def test_nothing_is_live(server: RunningServer) -> None:
    assert shown(server).texts["p"] == ["Nothing is live yet. reconciler apply makes it so."]


def test_a_browser_is_asked_for_the_key() -> None:
    with running_server(None, require_key="s3cret") as server:
        answer = requests.get(server.url + "/", timeout=10)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="reconciler"')
        assert requests.get(server.url + "/", auth=("", "s3cret"), timeout=10).status_code == 200


def test_faults_and_hooks_are_for_the_api(server: RunningServer) -> None:
    from reconciler.server import Fault

    server.faults.add(Fault("status"))
    assert requests.get(server.url + "/", timeout=10).status_code == 200
    assert [(entry.operation, entry.status) for entry in server.log] == [("page", 200)]
