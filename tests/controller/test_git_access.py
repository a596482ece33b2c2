"""Credentials that a git source is given: where they go, and where they never go."""

from __future__ import annotations

import http.server
import os
import posixpath
import re
import shlex
import shutil
import string
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controller import git_source
from reconciler.controller.git_access import Credentials, access_to, fits
from reconciler.controller.git_source import GitPlace, GitSource
from reconciler.errors import ReconcilerError
from tests.git_server import Served, commit, fake_ssh, serving, serving_repositories

TOKEN = "token-of-the-shop-7d1f"
BASIC = "Basic c2hvcDp0b2tlbi1vZi10aGUtc2hvcC03ZDFm"  # shop:TOKEN
KEY = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0IGtleSBvZiB0aGUgc2hvcA==\n-----END OPENSSH PRIVATE KEY-----"
)
KNOWN = "git.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ"


def token(url: str, **more: Any) -> Credentials:
    return Credentials("the Secret shop/git", url, "shop", TOKEN, **more)


def identity(url: str, **more: Any) -> Credentials:
    return Credentials("the Secret shop/git", url, identity=KEY, known_hosts=KNOWN, **more)


class TestFits:
    """Which addresses the address of credentials covers."""

    @pytest.mark.parametrize(
        ("prefix", "url"),
        [
            ("https://git.example.com", "https://git.example.com/team/a.git"),
            ("https://git.example.com/", "https://git.example.com:443/team/a.git"),
            ("https://git.example.com/team", "https://git.example.com/team/a.git"),
            ("https://git.example.com/team/", "https://git.example.com/team/a.git/"),
            ("https://git.example.com/team/a.git", "https://git.example.com/team/a.git"),
            ("https://GIT.example.com/team", "https://git.EXAMPLE.com/team/a"),
            ("https://git.example.com/%74eam", "https://git.example.com/team/a"),
            ("ssh://git.example.com", "ssh://git@git.example.com:22/team/a.git"),
            ("ssh://git@git.example.com", "ssh://git@git.example.com/~alice/a.git"),
        ],
    )
    def test_below_it(self, prefix: str, url: str) -> None:
        assert fits(prefix, url)

    @pytest.mark.parametrize(
        ("prefix", "url"),
        [
            ("https://git.example.com", "http://git.example.com/a"),
            ("https://git.example.com", "https://git.example.com:8443/a"),
            ("https://git.example.com", "https://git.example.com.evil.org/a"),
            ("https://git.example.com", "https://git.example.org/a"),
            ("https://git.example.com/team", "https://git.example.com/teams/a"),
            ("https://git.example.com/team", "https://git.example.com/Team/a"),
            ("https://git.example.com/team", "https://git.example.com/"),
            ("https://git.example.com/team/a", "https://git.example.com/team/a.git"),
            ("ssh://git@git.example.com", "ssh://root@git.example.com/a"),
            ("ssh://git@git.example.com", "ssh://git.example.com/a"),
        ],
    )
    def test_not_below_it(self, prefix: str, url: str) -> None:
        assert not fits(prefix, url)

    @pytest.mark.parametrize(
        "url",
        [
            "https://git.example.com/team/../other/a",
            "https://git.example.com/team/%2e%2e/other/a",
            "https://git.example.com/team/.%2E/other/a",
            "https://git.example.com/team/%252e%252e/other/a",
            "https://git.example.com/team/%2fother",
            "https://git.example.com/team/..%5cother",
            "https://git.example.com/team\\..\\other",
            "https://git.example.com//team/a",
            "https://git.example.com/team/a?service=x",
            "https://git.example.com/team/a#b",
            "https://git.example.com/team/%00",
            "https://git.example.com/team/%zz%",
            "https://git.example.com\\@evil.org/team/a",
            "https://git.example.com%2f@evil.org/team/a",
            "https://git.example.com:pass@evil.org/a",
            "https://git.example.com:0/team/a",
            "https://git.example.com:99999/team/a",
            "https://git.example.com/team/\n",
            "ssh://-oProxyCommand=x/team/a",
            "ssh://-oProxyCommand=x@git.example.com/team/a",
            "HTTPS://git.example.com/team/a",
            "git@git.example.com:team/a",
            "file:///team/a",
            "ext::sh -c x",
            "",
        ],
    )
    def test_an_address_that_could_be_read_otherwise_is_refused(self, url: str) -> None:
        with pytest.raises(ReconcilerError, match="has to be written plainly"):
            fits("https://git.example.com/team", url)

    @given(
        st.sampled_from(
            ["https://x.org/team", "https://x.org:443/team", "https://x.org", "https://x.org/team/a"]
        ),
        st.sampled_from(["https://x.org/team", "https://x.org", "https://X.org:443/%74eam"]),
        st.lists(
            st.sampled_from(
                ["a", "s", "/", "/..", "/%2e%2E", "/../team", "%2F..", "\\", "//", "@y.org", ":80", "?", "#"]
            ),
            max_size=4,
        ),
    )
    def test_what_fits_leads_below_the_prefix(self, prefix: str, start: str, parts: list[str]) -> None:
        """As a program reads it that resolves dots, also encoded ones."""
        url = start + "".join(parts)
        try:
            if not fits(prefix, url):
                return
        except ReconcilerError:
            return
        wanted, found = urlsplit(prefix), urlsplit(url)
        ports = {"https": 443, "http": 80, "ssh": 22}
        assert (found.scheme, found.hostname) == (wanted.scheme, wanted.hostname)
        assert (found.port or ports[found.scheme]) == (wanted.port or ports[wanted.scheme])
        path = posixpath.normpath(unquote(unquote(found.path)) or "/") + "/"
        assert path.startswith(wanted.path.rstrip("/") + "/")
        assert "@" not in found.netloc


class TestComplete:
    """Credentials that can't be used make no connection, and say why."""

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (Credentials("S", ""), "S does not say for which repositories it is: it has no `url`"),
            (Credentials("S", "git.example.com"), "the `url` of S can't be used"),
            (Credentials("S", "https://git.example.com"), "S has no `username`"),
            (Credentials("S", "https://git.example.com", "shop"), "S has no `password`"),
            (identity("https://git.example.com"), "the Secret shop/git has no `username`"),
            (token("ssh://git@git.example.com"), "the Secret shop/git has no `identity`"),
            (Credentials("S", "ssh://git.example.com", identity=KEY), "S has no `known_hosts`"),
            (token("http://git.example.com"), "the Secret shop/git would be sent in clear over a network"),
            (
                Credentials("S", "https://git.example.com", "shop", "a\r\nX-Header: b"),
                "`username` or `password` of S has a character that can't be sent",
            ),
            (
                Credentials("S", "https://git.example.com", "a:b", "c"),
                "`username` or `password` of S has a character that can't be sent",
            ),
            (
                token("https://git.example.com/team"),
                "the Secret shop/git is for other repositories than this one: its `url` is no prefix of the address",
            ),
        ],
    )
    def test_refused(self, given: Credentials, message: str) -> None:
        scheme = "ssh" if given.url.startswith("ssh") else "https"
        with pytest.raises(ReconcilerError) as raised, access_to(f"{scheme}://git.example.com/a", given):
            pass
        assert raised.value.problems[0].message == message
        assert raised.value.problems[0].hint
        assert TOKEN not in str(raised.value)

    def test_they_are_never_shown(self) -> None:
        given = token("https://git.example.com", identity=KEY)
        with access_to("https://git.example.com/a", given) as access:
            assert TOKEN not in f"{given!r} {access!r} {access.settings}"
            assert BASIC in access.environ["GIT_CONFIG_VALUE_0"]

    def test_nothing_of_the_process_is_used_with_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in (
            "GIT_ASKPASS",
            "SSH_AUTH_SOCK",
            "GIT_SSH_COMMAND",
            "GIT_SSL_NO_VERIFY",
            "GIT_CONFIG_COUNT",
        ):
            monkeypatch.setenv(name, "x")
        monkeypatch.setenv("https_proxy", "http://proxy.example.com")
        with access_to("https://git.example.com/a", token("https://git.example.com", ca="pem")) as access:
            environ = dict(access.environ)
            home = Path(environ["HOME"])
            assert Path(environ["GIT_SSL_CAINFO"]).read_text() == "pem\n"
        assert not home.exists()
        assert environ["https_proxy"] == "http://proxy.example.com"
        assert environ["GIT_CONFIG_COUNT"] == "1"
        assert not {"GIT_ASKPASS", "SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "GIT_SSL_NO_VERIFY"} & set(environ)


class Thief(http.server.BaseHTTPRequestHandler):
    """Notes what it is sent."""

    seen: ClassVar[list[str]]

    def do_GET(self) -> None:
        self.seen.append(str(self.headers))
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Basic")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Redirecting(http.server.BaseHTTPRequestHandler):
    """Leads elsewhere."""

    to: str

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.to + self.path)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Echoing(Thief):
    """Repeats in its error what it was sent."""

    def do_GET(self) -> None:
        self.send_response(500)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(f"{'x' * 470} {self.headers['Authorization']}".encode())


class TestHttp:
    """A user name and a token over http."""

    @pytest.fixture
    def served(self, tmp_path: Path) -> Iterator[Served]:
        with serving_repositories(tmp_path / "repositories") as found:
            found.credentials.append(f"shop:{TOKEN}")
            yield found

    def _source(self, tmp_path: Path, url: str, given: Credentials) -> GitSource:
        return GitSource(GitPlace(url, "main"), tmp_path / "state", credentials=lambda: given)

    def test_a_commit_is_fetched_with_them(self, served: Served, tmp_path: Path) -> None:
        (served.root / "personas").mkdir()
        (served.root / "personas" / "catalog.yaml").write_text("version: 1\n")
        revision = commit(served.root / "personas")
        source = self._source(tmp_path, f"{served.url}/personas/.git", token(served.url))
        assert source.newest() == revision
        assert (source.folder(revision) / "catalog.yaml").read_text() == "version: 1\n"
        assert set(served.seen) == {BASIC}
        for file in (tmp_path / "state").rglob("*"):
            if file.is_file():
                assert TOKEN.encode() not in file.read_bytes()
                assert BASIC.split()[1].encode() not in file.read_bytes()

    def test_a_configuration_of_the_process_leads_nowhere_else(
        self, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / ".gitconfig").write_text(f'[url "http://127.0.0.1:9/"]\n    insteadOf = {served.url}/\n')
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / ".gitconfig"))
        (served.root / "personas").mkdir()
        (served.root / "personas" / "catalog.yaml").write_text("version: 1\n")
        revision = commit(served.root / "personas")
        assert self._source(tmp_path, f"{served.url}/personas/.git", token(served.url)).newest() == revision

    def test_a_refused_token_is_named_by_its_secret(self, served: Served, tmp_path: Path) -> None:
        served.credentials[:] = ["shop:another"]
        url = f"{served.url}/personas/.git"
        with pytest.raises(ReconcilerError) as raised:
            self._source(tmp_path, url, token(served.url)).newest()
        assert (
            raised.value.problems[0].message == f"{url}: the credentials of the Secret shop/git are refused"
        )

    def test_no_connection_is_made_for_another_address(self, served: Served, tmp_path: Path) -> None:
        source = self._source(tmp_path, f"{served.url}/personas/.git", token(f"{served.url}/team"))
        with pytest.raises(ReconcilerError, match="is for other repositories than this one"):
            source.newest()
        with pytest.raises(ReconcilerError, match="is for other repositories than this one"):
            source.folder("a" * 40)
        assert served.seen == []

    def test_a_redirect_is_not_followed(self, tmp_path: Path) -> None:
        seen: list[str] = []
        with (
            serving(type("T", (Thief,), {"seen": seen})) as thief,
            serving(type("R", (Redirecting,), {"to": thief})) as url,
            pytest.raises(ReconcilerError) as raised,
        ):
            self._source(tmp_path, f"{url}/personas.git", token(url)).newest()
        assert raised.value.problems[0].message == (
            f"{url}/personas.git: it redirects to another address, and no redirect is followed with credentials"
        )
        assert seen == []

    def test_what_a_server_repeats_is_not_shown(self, tmp_path: Path) -> None:
        with serving(type("E", (Echoing,), {"seen": []})) as url, pytest.raises(ReconcilerError) as raised:
            self._source(tmp_path, f"{url}/personas.git", token(url)).newest()
        with access_to(f"{url}/personas.git", token(url)) as access:
            assert access.redacted(f"a {TOKEN} b {BASIC}") == "a *** b Basic ***"
        assert TOKEN not in str(raised.value)
        assert BASIC[6:] not in str(raised.value)


class TestSsh:
    """A private key. The program ``ssh`` is one that notes what it was given, then runs the command here."""

    @pytest.fixture
    def log(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        log = fake_ssh(tmp_path / "bin")
        monkeypatch.setenv("PATH", f"{log.parent}:{os.environ['PATH']}")
        monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
        return log

    def test_the_key_is_in_a_private_file_while_git_runs(self, log: Path, tmp_path: Path) -> None:
        root = tmp_path / "personas"
        root.mkdir()
        (root / "catalog.yaml").write_text("version: 1\n")
        revision = commit(root)
        url = f"ssh://git@git.example.com{root}"
        given = identity("ssh://git@git.example.com")
        source = GitSource(GitPlace(url, "main"), tmp_path / "state", credentials=lambda: given)
        assert source.newest() == revision
        assert (source.folder(revision) / "catalog.yaml").read_text() == "version: 1\n"

        said = log.read_text()
        words = said.split("agent: none\n")[0].splitlines()
        for option in ("StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "GlobalKnownHostsFile=/dev/null"):
            assert option in words
        assert words[:2] == ["-F", "/dev/null"]
        assert not any(line in word for word in words for line in KEY.splitlines())
        assert f"600\n700\n{KEY}\n600\n700\n{KNOWN}\n" in said
        files = re.findall("IdentityFile=(.*)", said)
        assert len(files) == 2  # ls-remote, fetch
        assert not any(Path(file).parent.exists() for file in files)

    def test_no_other_host_is_connected_to(self, log: Path, tmp_path: Path) -> None:
        given = identity("ssh://git@git.example.com")
        place = GitPlace("ssh://git@evil.example.com/personas", "main")
        with pytest.raises(ReconcilerError, match="is for other repositories than this one"):
            GitSource(place, tmp_path / "state", credentials=lambda: given).newest()
        assert not log.exists()

    @pytest.mark.skipif(not shutil.which("ssh"), reason="there is no ssh")
    def test_the_real_program_takes_the_options(self) -> None:
        url = "ssh://git@git.example.com/personas.git"
        with access_to(url, identity("ssh://git@git.example.com")) as access:
            words = shlex.split(access.environ["GIT_SSH_COMMAND"])
            done = subprocess.run(
                [*words, "-G", "git@git.example.com"], capture_output=True, text=True, check=True
            )
        options = dict(line.split(" ", 1) for line in done.stdout.splitlines())
        assert options["stricthostkeychecking"] == "true"
        assert options["identitiesonly"] == options["batchmode"] == "yes"
        assert options["identityagent"] == "none"


class TestConnections:
    """Hundreds of sources begin at the same moment."""

    def test_only_so_many_connect_at_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        program = tmp_path / "bin" / "git"
        program.parent.mkdir()
        program.write_text(
            '#!/bin/sh\ncd "$(dirname "$0")"; touch "$$.running"; ls -- *.running | wc -l >> log\n'
            'sleep 0.05; rm "$$.running"; printf "c0ffee\\trefs/heads/main\\n"\n'
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        monkeypatch.setattr(git_source, "_CONNECTIONS", threading.BoundedSemaphore(2))

        def newest(number: int) -> None:
            source = GitSource(GitPlace(f"https://git.example.com/{number}", "main"), tmp_path / "state")
            assert source.newest() == "c0ffee"

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(newest, range(8)))
        counts = [int(line) for line in (program.parent / "log").read_text().split()]
        assert len(counts) == 8
        assert max(counts) <= 2


def test_the_pattern_of_hosts_takes_addresses(tmp_path: Path) -> None:
    assert fits("http://[::1]:8080", "http://[::1]:8080/a")
    assert fits(f"https://{string.ascii_lowercase}.x-y.org", f"https://{string.ascii_lowercase}.x-y.org/a")
