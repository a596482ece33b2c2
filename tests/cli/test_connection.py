"""The service's address and the API key."""

from __future__ import annotations

import pytest

from reconciler.server import Fault, RunningServer
from tests.cli.conftest import Shell
from tests.support import API_KEY


def test_a_key_that_is_wrong_names_its_variable_and_is_not_shown(shop: Shell) -> None:
    done = shop.run("plan", "shop", MINDCRAFT_API_KEY="sk-another-secret")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "listing sessions: HTTP 403 (the key is not allowed to do this): API Key 无效\n"
        f"      hint: the key came from MINDCRAFT_API_KEY; does it belong to {shop.environ['MINDCRAFT_ENDPOINT']}?\n"
    )
    assert "sk-another-secret" not in done.stderr


def test_a_key_from_a_file(shop: Shell) -> None:
    file = shop.folder / "key"
    file.write_text(f"{API_KEY}\n")
    done = shop.run("plan", "shop", "--api-key-file", "key", MINDCRAFT_API_KEY="wrong")
    assert done.returncode == 0
    file.write_text("wrong")
    done = shop.run("plan", "shop", "--api-key-file", "key")
    assert done.returncode == 1
    assert "the key came from key; does it belong to" in done.stderr


@pytest.mark.parametrize("key", [f"{API_KEY}\nX: y", "ключ"])
def test_a_key_that_no_header_can_carry(shop: Shell, server: RunningServer, key: str) -> None:
    done = shop.run("plan", "shop", MINDCRAFT_API_KEY=key)
    assert done.returncode == 1
    assert done.stderr == (
        "the API key from MINDCRAFT_API_KEY contains characters that no key has\n      hint: copy it again\n"
    )
    assert server.log == []


def test_without_a_key_nothing_is_asked_of_the_service(shell: Shell) -> None:
    shell.write({})
    done = shell.run("plan", "shop")
    assert done.returncode == 1
    assert done.stderr == (
        "there is no API key: MINDCRAFT_API_KEY is not set\n"
        "      hint: set MINDCRAFT_API_KEY, name a file with --api-key-file, or try it out with --endpoint=local\n"
    )


def test_the_flag_overrules_its_variable_and_that_the_services(shop: Shell, server: RunningServer) -> None:
    good, dead = server.url, "http://127.0.0.1:9"
    assert shop.run("plan", "shop", "--endpoint", good, MINDCRAFT_ENDPOINT=dead).returncode == 0
    assert (
        shop.run(
            "plan", "shop", RECONCILER_ENDPOINT=good, MINDCRAFT_ENDPOINT=dead, RECONCILER_RETRIES="0"
        ).returncode
        == 0
    )
    done = shop.run("plan", "shop", "--endpoint", dead, "--retries", "0", RECONCILER_ENDPOINT=good)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "listing sessions: no connection to http://127.0.0.1:9\n"
        "      hint: check the address and the network, then run the command again\n"
    )


def test_an_address_that_would_send_the_key_in_clear(shop: Shell) -> None:
    done = shop.run("plan", "shop", "--endpoint", "http://example.com")
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == (
        "'http://example.com' would send the API key in clear over a network\n"
        "      hint: use https; plain http is allowed for this machine only\n"
    )


def test_the_embedded_server_needs_no_key_and_keeps_what_was_applied(shell: Shell) -> None:
    shell.write({"alice": {"name": "Alice", "prompt": "Be kind."}})
    assert shell.run("apply", "shop", "--endpoint", "local", "--auto-approve").returncode == 0
    assert shell.run("plan", "shop", "--endpoint", "local", "--detailed-exitcode").returncode == 0
    folder = shell.root / ".reconciler"
    assert (folder / "local.db").is_file()
    assert (folder / ".gitignore").read_text() == "*\n"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_service_that_is_a_web_page(shop: Shell, server: RunningServer) -> None:
    server.faults.add(Fault("html", status=502))
    done = shop.run("plan", "shop", "--retries", "0")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "listing sessions: HTTP 502 with a page that is not JSON\n"
