"""Where the key goes: to the address that was named, in no other form, and never in a message."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.address import check_address
from reconciler.api.endpoint import Endpoint, api_key, endpoint_name
from reconciler.errors import ExitCode, Problem, ReconcilerError, UsageError
from reconciler.text.hosts import is_loopback
from tests.support import API_KEY

OWN = "https://api.mindcraft.com.cn"


def test_the_flag_comes_first_then_the_environment_then_the_services_own() -> None:
    environ = {"MINDCRAFT_ENDPOINT": "https://two.example.com"}
    assert endpoint_name("https://one.example.com", environ) == "https://one.example.com"
    assert endpoint_name(None, environ) == "https://two.example.com"
    assert endpoint_name("", environ) == "https://two.example.com"
    assert endpoint_name(None, {}) == OWN
    assert endpoint_name(None, {"MINDCRAFT_ENDPOINT": ""}) == OWN
    assert endpoint_name("local", environ) == "local"
    assert endpoint_name(None, {"MINDCRAFT_ENDPOINT": "local"}) == "local"


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("https://api.example.com", "https://api.example.com"),
        ("https://api.example.com/", "https://api.example.com"),
        ("HTTPS://API.Example.com//", "https://api.example.com"),
        ("https://api.example.com:8443/base/", "https://api.example.com:8443/base"),
        ("https://example.com.", "https://example.com."),
        ("https://爱丽丝.example", "https://爱丽丝.example"),
        ("https://10.0.0.1", "https://10.0.0.1"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://LOCALHOST", "http://localhost"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.255.0.9", "http://127.255.0.9"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_an_address_in_its_plain_form(address: str, plain: str) -> None:
    assert check_address(address) == plain
    assert check_address(plain) == plain


NOT_AN_ADDRESS = "give one like https://api.example.com, or local"
IN_CLEAR = "use https; plain http is allowed for this machine only"
NO_USER = "leave it out; the key comes from MINDCRAFT_API_KEY"

BAD_ADDRESSES = [
    ("", "'' is not the address of a service", NOT_AN_ADDRESS),
    ("api.example.com", "'api.example.com' is not the address of a service", NOT_AN_ADDRESS),
    ("localhost:8000", "'localhost:8000' is not the address of a service", NOT_AN_ADDRESS),
    ("Local", "'Local' is not the address of a service", NOT_AN_ADDRESS),
    ("https://", "'https://' is not the address of a service", NOT_AN_ADDRESS),
    ("https:///v1", "'https:///v1' is not the address of a service", NOT_AN_ADDRESS),
    ("ftp://example.com", "'ftp://example.com' is not the address of a service", NOT_AN_ADDRESS),
    ("file:///etc/passwd", "'file:///etc/passwd' is not the address of a service", NOT_AN_ADDRESS),
    ("https://example.com/?a=b", "'https://example.com/?a=b' is not the address of a service", NOT_AN_ADDRESS),
    ("https://example.com/#a", "'https://example.com/#a' is not the address of a service", NOT_AN_ADDRESS),
    ("https://exa mple.com", "'https://exa mple.com' is not the address of a service", NOT_AN_ADDRESS),
    ("https://a..b", "'https://a..b' is not the address of a service", NOT_AN_ADDRESS),
    ("https://.example.com", "'https://.example.com' is not the address of a service", NOT_AN_ADDRESS),
    ("https://*.example.com", "'https://*.example.com' is not the address of a service", NOT_AN_ADDRESS),
    ("https://%41.example.com", "'https://%41.example.com' is not the address of a service", NOT_AN_ADDRESS),
    ("https://a\x00b", "'https://a\\x00b' is not the address of a service", NOT_AN_ADDRESS),
    ("https://[::1", "'https://[::1' is not the address of a service", NOT_AN_ADDRESS),
    ("https://host:0", "'https://host:0' is not the address of a service", NOT_AN_ADDRESS),
    ("https://host:65536", "'https://host:65536' is not the address of a service", NOT_AN_ADDRESS),
    ("https://host:port", "'https://host:port' is not the address of a service", NOT_AN_ADDRESS),
    ("http://example.com", "'http://example.com' would send the API key in clear over a network", IN_CLEAR),
    ("http://10.0.0.1", "'http://10.0.0.1' would send the API key in clear over a network", IN_CLEAR),
    ("http://0.0.0.0", "'http://0.0.0.0' would send the API key in clear over a network", IN_CLEAR),
    ("http://127.1", "'http://127.1' would send the API key in clear over a network", IN_CLEAR),
    ("http://2130706433", "'http://2130706433' would send the API key in clear over a network", IN_CLEAR),
    (
        "http://localhost.example.com",
        "'http://localhost.example.com' would send the API key in clear over a network",
        IN_CLEAR,
    ),
    (
        "http://127.0.0.1.example.com",
        "'http://127.0.0.1.example.com' would send the API key in clear over a network",
        IN_CLEAR,
    ),
    ("http://[::ffff:10.0.0.1]", "'http://[::ffff:10.0.0.1]' would send the API key in clear over a network",
     IN_CLEAR),
    (f"https://{API_KEY}@example.com", "the address holds a user name or password", NO_USER),
    (f"https://u:{API_KEY}@example.com/?a", "the address holds a user name or password", NO_USER),
    (f"https:u:{API_KEY}@example.com", "the address holds a user name or password", NO_USER),
    (f"ftp://u:{API_KEY}@[", "the address holds a user name or password", NO_USER),
    ("http://127.0.0.1@example.com", "the address holds a user name or password", NO_USER),
    ("http://example.com\\@localhost", "the address holds a user name or password", NO_USER),
]  # fmt: skip


@pytest.mark.parametrize(
    ("address", "message", "hint"), BAD_ADDRESSES, ids=[repr(address) for address, _, _ in BAD_ADDRESSES]
)
def test_an_address_that_can_not_be_used(address: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_address(address)
    assert caught.value.problems == (Problem(message, hint),)
    assert caught.value.exit_code == ExitCode.USAGE


@given(st.text(alphabet="htps:/[]@.%\\ \t\n\x00?#localhost127.0.0.1a爱", max_size=30))
def test_whatever_is_taken_for_an_address_is_https_or_this_machine(text: str) -> None:
    try:
        plain = check_address(text)
    except UsageError:
        return
    parts = urlsplit(plain)
    assert parts.scheme == "https" or is_loopback(parts.hostname or "")
    assert "@" not in parts.netloc


# The key


def test_the_key_comes_from_the_variable_or_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"  {API_KEY}\n", encoding="utf-8")
    environ = {"MINDCRAFT_API_KEY": f"{API_KEY}\n"}
    assert api_key(None, environ) == (API_KEY, "MINDCRAFT_API_KEY")
    assert api_key(file, {}) == (API_KEY, str(file))
    assert api_key(file, {"MINDCRAFT_API_KEY": "another"}) == (API_KEY, str(file))


HINT = "set MINDCRAFT_API_KEY, name a file with --api-key-file, or try it out with --endpoint=local"


@pytest.mark.parametrize("environ", [{}, {"MINDCRAFT_API_KEY": ""}, {"MINDCRAFT_API_KEY": " \n"}])
def test_no_key(environ: dict[str, str]) -> None:
    with pytest.raises(ReconcilerError) as caught:
        api_key(None, environ)
    assert caught.value.problems == (Problem("there is no API key: MINDCRAFT_API_KEY is not set", HINT),)
    assert api_key(None, environ, needed=False) == ("", "MINDCRAFT_API_KEY")


@pytest.mark.parametrize(
    "key", [f"{API_KEY}\nHost: evil", f"{API_KEY}\rX", "sk 1", "sk-\x00", "ключ", "sk-\u00a0x", "sk-\x7f"]
)
@pytest.mark.parametrize("needed", [True, False])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str, needed: bool) -> None:
    with pytest.raises(ReconcilerError) as caught:
        api_key(None, {"MINDCRAFT_API_KEY": key}, needed=needed)
    assert caught.value.problems == (
        Problem("the API key from MINDCRAFT_API_KEY contains characters that no key has", "copy it again"),
    )
    assert key not in str(caught.value)


def test_a_key_file_that_is_empty_or_can_not_be_read(tmp_path: Path) -> None:
    file = tmp_path / "key"
    with pytest.raises(ReconcilerError) as caught:
        api_key(file, {})
    assert caught.value.problems == (
        Problem(f"the key file {file} can't be read: No such file or directory"),
    )
    file.write_bytes(b"\n")
    with pytest.raises(ReconcilerError) as caught:
        api_key(file, {})
    assert caught.value.problems == (Problem(f"there is no API key: {file} is empty", HINT),)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ReconcilerError) as caught:
        api_key(file, {})
    assert caught.value.problems == (Problem(f"the key file {file} can't be read: it is not UTF-8"),)


def test_the_key_is_not_in_what_an_endpoint_looks_like() -> None:
    endpoint = Endpoint("https://api.example.com", "https://api.example.com", API_KEY)
    assert API_KEY not in repr(endpoint)
