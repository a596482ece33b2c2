"""Credentials for git that are given, not found: for which address they are, and how git gets them.

git then knows these credentials and no others: no configuration, agent, helper or .netrc of the process. They are sent
to the host of the repository alone, since git follows no redirect. They stand in no argument, in no error and in no
file but a private one, which ssh needs, and which lives as long as the call.

git 2.31 or newer is needed, for ``GIT_CONFIG_COUNT``. An older one sends no credentials.
"""

from __future__ import annotations

import base64
import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from reconciler.errors import ReconcilerError
from reconciler.text.hosts import is_loopback

#: The ports that addresses without one mean.
_PORTS: Final = {"https": 443, "http": 80, "ssh": 22}

#: Addresses that every program reads in the same way: one that git, curl or a server took for another address could
#: lead credentials astray.
_PLAIN: Final = re.compile(
    r"(?P<scheme>https|http|ssh)://"
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9._+-]*)@)?"
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*)/?"
)

#: What git may be told by the environment beside the credentials: where programs, proxies and authorities are.
_PASSED: Final = re.compile(
    "PATH|LANG|TMPDIR|GIT_SSL_CAINFO|GIT_SSL_CAPATH|GIT_PROXY_SSL_CAINFO|(https?|all|no)_proxy|(HTTPS?|ALL|NO)_PROXY"
)

_SETTINGS: Final = (
    "protocol.allow=never",
    "credential.helper=",
    "http.followRedirects=false",
    "http.sslVerify=true",
)

_SSH: Final = (
    "BatchMode=yes",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "PreferredAuthentications=publickey",
    "StrictHostKeyChecking=yes",
    "GlobalKnownHostsFile=/dev/null",
    "UpdateHostKeys=no",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ConnectTimeout=30",
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials for the repositories below ``url``, and for no others.

    Either ``username`` and ``password`` (for https), or ``identity`` and ``known_hosts`` (for ssh): a private key, and
    the host's public ones. ``ca`` has the certificates of the authorities to trust in place of the system's (PEM).
    ``origin`` says where they come from.
    """

    origin: str
    url: str
    username: str = ""
    password: str = ""
    identity: str = ""
    known_hosts: str = ""
    ca: str = ""

    def __repr__(self) -> str:
        return f"Credentials({self.origin!r})"


class _Address(NamedTuple):
    scheme: str
    user: str
    host: str
    port: int
    path: tuple[str, ...]


def fits(prefix: str, url: str) -> bool:
    """Whether the credentials for ``prefix`` may be used for ``url``: scheme, host and port are the same, and the path
    is below that of the prefix, by whole segments. A user counts if the prefix has one.

    Raises:
        ReconcilerError: one of the two is not written plainly.
    """
    wanted, found = _address(prefix), _address(url)
    return (
        (wanted.scheme, wanted.host, wanted.port) == (found.scheme, found.host, found.port)
        and wanted.user in ("", found.user)
        and found.path[: len(wanted.path)] == wanted.path
    )


def _address(url: str) -> _Address:
    found = _PLAIN.fullmatch(url)
    path = () if found is None else tuple(unquote(one) for one in found["path"].split("/")[1:])
    port = 0 if found is None else int(found["port"] or _PORTS[found["scheme"]])
    if found is None or not all(_plain(one) for one in path) or not 0 < port < 65536:
        raise ReconcilerError(
            "with credentials of its own, the address of a repository has to be written plainly",
            "as https://HOST/PATH or ssh://USER@HOST/PATH, without a query, empty or dotted segments",
        )
    return _Address(found["scheme"], found["user"] or "", found["host"].lower(), port, path)


def _plain(segment: str) -> bool:
    return segment not in ("", ".", "..") and segment.isprintable() and not set(segment) & set("/\\%?#")


@dataclass(frozen=True, slots=True)
class Access:
    """What a call of git is told: its environment, settings, and what must never be repeated."""

    environ: Mapping[str, str]
    settings: tuple[str, ...]
    origin: str
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Access({self.origin!r})"

    def redacted(self, text: str) -> str:
        """What git or the server said, which might repeat anything, without secrets."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text

    def failed(self, shown: str, said: str) -> ReconcilerError:
        """The error of a call that failed. ``said`` is what git or the server said, :meth:`redacted`."""
        if (
            "could not read Username" in said
            or "could not read Password" in said
            or "Authentication failed" in said
        ):
            return ReconcilerError(
                f"{shown}: the credentials of {self.origin} are refused", f"correct {self.origin}"
            )
        if re.search("returned error: 30[0-9]", said):
            return ReconcilerError(
                f"{shown}: it redirects to another address, and no redirect is followed with credentials",
                "name the address that it redirects to, if you trust it",
            )
        return ReconcilerError(f"{shown}: {said}", f"check {self.origin}, and that the repository is there")


@contextmanager
def access_to(url: str, credentials: Credentials) -> Iterator[Access]:
    """What a call of git for this repository is told.

    Raises:
        ReconcilerError: the credentials are not for this address, or can't be used.
    """
    check(credentials)
    if not fits(credentials.url, url):
        raise ReconcilerError(
            f"{credentials.origin} is for other repositories than this one: its `url` is no prefix of the address",
            "name the Secret for this repository, or have its owner correct `url`",
        )
    with tempfile.TemporaryDirectory(prefix="reconciler-git-") as folder:  # only its owner may enter it
        scheme = _address(url).scheme
        environ = {name: value for name, value in os.environ.items() if _PASSED.fullmatch(name)}
        environ |= {
            "HOME": folder,
            "XDG_CONFIG_HOME": folder,
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_SYSTEM": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        if credentials.ca:
            environ.pop("GIT_SSL_CAPATH", None)
            environ["GIT_SSL_CAINFO"] = _private(folder, "ca.crt", credentials.ca)
        environ |= _ssh(folder, credentials) if scheme == "ssh" else _http(url, credentials)
        settings = (*_SETTINGS, f"protocol.{scheme}.allow=always")
        yield Access(environ, settings, credentials.origin, _secrets(credentials))


def check(credentials: Credentials) -> None:
    """Check that credentials are complete, and for one kind of address.

    Raises:
        ReconcilerError: they are not.
    """
    one, origin = credentials, credentials.origin
    if not one.url:
        raise ReconcilerError(
            f"{origin} does not say for which repositories it is: it has no `url`",
            "set `url` to the beginning of their address, such as https://git.example.com/team",
        )
    try:
        address = _address(one.url)
    except ReconcilerError as error:
        raise ReconcilerError(f"the `url` of {origin} can't be used", error.problems[0].hint) from None
    needed = ("identity", "known_hosts") if address.scheme == "ssh" else ("username", "password")
    for name in needed:
        if not getattr(one, name):
            raise ReconcilerError(
                f"{origin} has no `{name}`",
                f"for {address.scheme}:// it needs `{needed[0]}` and `{needed[1]}`",
            )
    if address.scheme == "http" and not is_loopback(address.host.strip("[]")):
        raise ReconcilerError(f"{origin} would be sent in clear over a network", "use https:// in its `url`")
    if any(not text.isprintable() for text in (one.username, one.password)) or ":" in one.username:
        raise ReconcilerError(
            f"`username` or `password` of {origin} has a character that can't be sent",
            "they have one line each, and the user name no colon",
        )


def _http(url: str, credentials: Credentials) -> dict[str, str]:
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{url}.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {_basic(credentials)}",
    }


def _ssh(folder: str, credentials: Credentials) -> dict[str, str]:
    identity = _private(folder, "identity", credentials.identity)
    known = _private(folder, "known_hosts", credentials.known_hosts)
    options = (*_SSH, f"IdentityFile={identity}", f"UserKnownHostsFile={known}")
    words = ["ssh", "-F", "/dev/null", *(word for one in options for word in ("-o", one))]
    return {"GIT_SSH_COMMAND": shlex.join(words), "GIT_SSH_VARIANT": "ssh"}


def _private(folder: str, name: str, text: str) -> str:
    """A file that nobody else can read, with a line end at its end, without which ssh takes no key."""
    path = Path(folder, name)
    path.touch(mode=0o600)
    path.write_text(text.replace("\r\n", "\n").rstrip("\n") + "\n", encoding="utf-8")
    return str(path)


def _basic(credentials: Credentials) -> str:
    return base64.b64encode(f"{credentials.username}:{credentials.password}".encode()).decode()


def _secrets(credentials: Credentials) -> tuple[str, ...]:
    """What stands for a secret in a text, the longest first."""
    found = {credentials.password, quote(credentials.password, safe="")} if credentials.password else set()
    if credentials.password:
        found.add(_basic(credentials))
    return tuple(sorted((*found, *_lines(credentials.identity)), key=len, reverse=True))


def _lines(key: str) -> list[str]:
    return [line for line in key.splitlines() if line.strip() and not line.startswith("-----")]
