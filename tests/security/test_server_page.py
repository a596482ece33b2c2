"""What the text of a session, or a page that somebody has open, could do through the embedded server's page: run
scripts, load something, or write to the server. In a real browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.server import RunningServer, running_server
from tests.hostile import HOSTILE
from tests.render.screens import CHROMIUM, chromium
from tests.support import Answer, answering

pytestmark = pytest.mark.skipif(
    not CHROMIUM and not os.environ.get("CI"), reason="there is no Chromium here, and this is no CI"
)

#: Texts that mean something in an HTML page that was put together by hand.
IN_HTML = {
    "script": "<script>document.title='pwned'</script>",
    "handler": "\"'><img src=x onerror=\"document.title='pwned'\">",
    "svg": "<svg onload=\"document.title='pwned'\"><set attributeName=href to=javascript:alert(1)></svg>",
    "close": "</pre></details></main></body></html><script>alert(1)</script>",
    "iframe": "<iframe srcdoc='<script>parent.document.title=1</script>'></iframe>",
    "base": "<base href='http://127.0.0.1:1/'><link rel=stylesheet href=x>",
    "form": "<form action=http://127.0.0.1:1/><button autofocus onfocus=alert(1)>x</button></form>",
    "meta": "<meta http-equiv=refresh content='0;url=http://127.0.0.1:1/'>",
    "style": "<style>@import 'http://127.0.0.1:1/x';</style>",
    "jinja": "{{ 7 * 7 }}{% raw %}",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server with a hostile text in each place of a session."""
    with running_server(None) as running:
        for text in [*IN_HTML.values(), *HOSTILE.values()]:
            text = text.encode("utf-8", "replace").decode()
            number = running.store.insert_session(
                name=text, model=text, prompt=text, data={text: [text]}, remark=text, extra={text: text}
            )
            running.store.insert_message(number, content=text, meta={text: text})
        yield running


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    context = browser.new_context()
    context.set_default_timeout(300_000)
    yield context.new_page()
    context.close()


def test_a_text_cannot_run_or_load_anything(server: RunningServer, tab: Any) -> None:
    said: list[str] = []
    tab.on("console", lambda message: said.append(f"console: {message.text}"))
    tab.on("pageerror", lambda error: said.append(f"error: {error}"))
    tab.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    tab.on("popup", lambda _: said.append("popup"))
    tab.on("request", lambda one: one.url.startswith(server.url) or said.append(f"request: {one.url}"))
    tab.goto(server.url)
    assert tab.title() == "Sessions"
    tab.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    found = set(tab.evaluate("[...document.querySelectorAll('*')].map((one) => one.localName)"))
    assert not found & {"script", "img", "svg", "iframe", "base", "object", "embed", "template"}
    assert tab.locator("form").count() == 1
    assert tab.locator("style").count() == 1
    names = tab.locator("h2 > bdi").all_text_contents()
    assert names[: len(IN_HTML)] == list(IN_HTML.values())
    for text in IN_HTML.values():  # in the search, its title and its links
        tab.fill("input[name=q]", text)
        with tab.expect_navigation():
            tab.click("form button")
        assert tab.title() == f"Sessions · {text}"
        assert tab.input_value("input[name=q]") == text
    assert said == []


ATTACK = """<!doctype html><title>nice</title><iframe src="{url}/"></iframe>
<form id=f method=post action="{url}/v1/session/" enctype="multipart/form-data" target=t>
<input name=session_name value=evil><input name=model value=m><input name=prompt value=p></form>
<iframe name=t></iframe><img src="{url}/v1/session/"><script src="{url}/v1/session/"></script>
<script>
const url = "{url}/v1/session/";
const body = JSON.stringify({{session_name: "evil", model: "m", prompt: "p"}});
const done = [];
f.submit();
done.push(fetch(url, {{method: "POST", body}}).then((one) => one.text(), () => "refused"));
done.push(fetch(url, {{method: "POST", body, mode: "no-cors"}}).then((one) => one.text(), () => "refused"));
done.push(fetch(url, {{method: "POST", body, headers: {{"Content-Type": "application/json"}}}})
  .then((one) => one.text(), () => "refused"));
done.push(fetch(url + "?session_name=evil&model=m&prompt=p", {{method: "POST", mode: "no-cors"}})
  .then((one) => one.text(), () => "refused"));
done.push(fetch(url).then((one) => one.text(), () => "refused"));
done.push(Promise.resolve(String(navigator.sendBeacon(url, body))));
window.result = Promise.all(done);
</script>"""


def test_another_page_in_the_same_browser_can_neither_read_nor_write(browser: Any, tab: Any) -> None:
    with running_server(None) as server:
        server.store.insert_session(name="Alice", prompt="a secret")
        before = server.store.dump()
        page = ATTACK.format(url=server.url).encode()
        with answering(Answer(page, 200, {"Content-Type": "text/html"})) as evil:
            for host in ("127.0.0.1", "localhost"):
                tab.goto(evil.url.replace("127.0.0.1", host))
                results = tab.evaluate("window.result")
                assert all("secret" not in str(one) for one in results), results
                assert results[0] == results[2] == results[4] == "refused"
                tab.wait_for_load_state("networkidle")
        assert server.store.dump() == before
        assert [one for one in server.log if one.worked and one.method != "GET"] == []
