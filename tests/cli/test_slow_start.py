"""A run that has to wait says what for, on stderr, also where that is no terminal."""

from __future__ import annotations

import socket

from reconciler.server import running_server
from reconciler.server.quirks import Quirks
from tests.cli.conftest import Shell
from tests.support import API_KEY


def test_a_dead_address_is_named_while_it_is_waited_for(shop: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as dead:  # it accepts, and never answers
        address = f"http://127.0.0.1:{dead.getsockname()[1]}"
        for words in (["plan", "shop"], ["drift", "shop"], ["models"], ["list"]):
            shop.environ |= {"MINDCRAFT_ENDPOINT": address, "RECONCILER_PATIENCE": "0"}
            with shop.started(*words) as started:
                started.wait_for(f"waiting for an answer from {address} …\n")
                assert started.process.poll() is None


def test_a_long_listing_says_how_far_it_is(shop: Shell) -> None:
    with running_server(None, require_key=API_KEY, quirks=Quirks(max_page_size=1)) as server:
        for number in range(3):
            server.store.insert_session(name=f"Other {number}")
        shop.environ["MINDCRAFT_ENDPOINT"] = server.url
        done = shop.run("list", "shop", RECONCILER_PATIENCE="0")
    assert done.returncode == 0
    assert "listing: 1 of 3 so far …" in done.stderr.splitlines()


def test_without_a_wait_nothing_is_said(shop: Shell) -> None:
    assert shop.run("plan", "shop").stderr == ""
