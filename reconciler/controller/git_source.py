"""Revisions from a git repository, fetched with the ``git`` program.

Nothing of the repository runs: only objects are fetched, into a bare repository of our own, and files are read from
them as they are. There is no checkout, so hooks, filters, attributes and submodules have no effect. Credentials come
from the environment, as git itself finds them: an SSH agent, ``GIT_ASKPASS``, a credential helper. Or they are given
(:mod:`.git_access`), and then git finds no others.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit, urlunsplit

from reconciler.controller.bounded_child import TooMuchError, exchange, limited
from reconciler.controller.git_access import Access, Credentials, access_to
from reconciler.controller.revision_store import MAX_BYTES, MAX_ENTRIES, RevisionStore
from reconciler.disk import MAX_FILE
from reconciler.errors import ReconcilerError
from reconciler.state import open_state

FOLDER: Final = "git"

#: The longest time that a fetch may take, in seconds.
TIMEOUT: Final = 300.0

#: How many connections there may be at once: the sources of hundreds of catalogs begin at the same moment, and each
#: connection takes two processes.
_CONNECTIONS: Final = threading.BoundedSemaphore(16)

#: The most bytes that git may print: refs, or the names of all files. A few kilobytes can hold a tree of as many files
#: as one likes.
_MOST_PRINTED: Final = 64 * 2**20

#: The most memory that git may take for refs, which it collects before it prints them (bytes): enough for a million.
_MEMORY: Final = 192 * 2**20

#: The largest file that git may write (bytes): all that a fetch brings is in one.
_MOST_FETCHED: Final = 2**30

#: What git may be told by the environment: how to find credentials, proxies and certificates.
_PASSED: Final = re.compile(
    "PATH|HOME|USER|LOGNAME|TMPDIR|LANG|LC_ALL|XDG_CONFIG_HOME|SSH_.*|GIT_(ASKPASS|SSH|SSH_COMMAND|SSH_VARIANT|"
    "SSL_.*|CONFIG_COUNT|CONFIG_KEY_.*|CONFIG_VALUE_.*|CONFIG_GLOBAL|CONFIG_SYSTEM|CONFIG_NOSYSTEM|PROXY_.*)|"
    "(https?|all|no)_proxy|(HTTPS?|ALL|NO)_PROXY",
)

#: Set for each call, over what the user's configuration says.
_SETTINGS: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "transfer.fsckObjects=true",
    "protocol.ext.allow=never",
    "fetch.recurseSubmodules=false",
    "fetch.unpackLimit=1",
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=60",
    "gc.auto=500",
    "gc.autoDetach=false",
    "gc.pruneExpire=now",
    "safe.bareRepository=all",
)

_COMMIT: Final = re.compile("[0-9a-f]{40}([0-9a-f]{24})?")
_OUR_REF: Final = "refs/reconciler/newest"


@dataclass(frozen=True, slots=True)
class GitPlace:
    """A folder of a ref of a repository. ``path`` is relative, ``.`` for the whole repository.

    Raises:
        ReconcilerError: git would take a part for an option, or the path leaves the repository.
    """

    url: str
    ref: str = "HEAD"
    path: str = "."

    def __post_init__(self) -> None:
        for what, text in (("address", self.url), ("ref", self.ref)):
            if not text or text.startswith("-") or not text.isprintable() or " " in text:
                raise ReconcilerError(
                    f"{text!r} can't be the {what} of a git source", "write it as `git fetch` takes it"
                )
        if self.path.startswith(("/", "-", ":")) or ".." in self.path.split("/"):
            raise ReconcilerError(
                f"{self.path!r} can't be the path of a git source", "write it relative to the repository"
            )

    def __str__(self) -> str:
        below = "" if self.path in ("", ".") else f":{self.path}"
        return f"{_without_credentials(self.url)}#{self.ref}{below}"


class GitSource:
    """A git ref. A revision is named by its commit.

    ``state`` is the state folder, for the fetched objects and the kept revisions. Sources that are used at the same
    time need different ``owner`` names there. ``timeout`` is in seconds. ``credentials`` returns those to use, and is
    asked before each connection; without it, git looks for some in the environment. Each connection waits for its
    ``turn``.
    """

    def __init__(
        self,
        place: GitPlace,
        state: Path,
        owner: str = "",
        *,
        timeout: float = TIMEOUT,
        credentials: Callable[[], Credentials] | None = None,
        turn: AbstractContextManager[object] | None = None,
    ) -> None:
        self._place = place
        self._turn = nullcontext() if turn is None else turn
        self._credentials = credentials
        # Our calls have no folder of their own, so relative paths have to be made absolute.
        self._url = os.path.abspath(place.url) if os.path.isdir(place.url) else place.url
        self._shown = _without_credentials(place.url)
        state = self._state = Path(os.path.abspath(state))
        self._timeout = timeout
        name = hashlib.sha256(f"{place.url}\0{place.path}\0{owner}".encode()).hexdigest()[:16]
        self._objects = state / FOLDER / f"{name}.git"
        self._store = RevisionStore(state, f"git-{name}")

    def describe(self) -> str:
        return str(self._place)

    def newest(self) -> str:
        if _COMMIT.fullmatch(self._place.ref):
            return self._place.ref
        ref = self._place.ref
        refs: dict[str, str] = {}
        for line in self._remote("ls-remote", "--", self._url, ref, f"{ref}^{{}}").decode().splitlines():
            commit, tab, name = line.partition("\t")
            if tab:
                refs[name] = commit
        for wanted in self._spellings():
            if wanted in refs:
                return refs[wanted]
        raise ReconcilerError(
            f"{self._shown} has no ref {self._place.ref}",
            shlex.join(["git", "ls-remote", self._shown]),
        )

    def folder(self, revision: str) -> Path:
        kept = self._store.find(revision)
        if kept is not None:
            return kept
        if not _COMMIT.fullmatch(revision):
            raise ReconcilerError(f"{revision!r} is no commit", "this revision was not made by a git source")
        self._fetch(revision)
        files, links = self._tree(revision)
        return self._store.keep(revision, self._blobs(files), self._targets(links))

    def retain(self, revisions: Collection[str]) -> None:
        self._store.retain(revisions)

    def _spellings(self) -> tuple[str, ...]:
        """The full names that the ref may have. An annotated tag stands for its commit."""
        ref = self._place.ref
        tag = ref if ref.startswith("refs/") else f"refs/tags/{ref}"
        return (f"refs/heads/{ref}", f"{tag}^{{}}", tag, ref)

    def _fetch(self, revision: str) -> None:
        open_state(self._state)
        if not self._objects.is_dir():
            self._objects.parent.mkdir(mode=0o700, exist_ok=True)
            self._git("init", "--quiet", "--bare", str(self._objects))
        folder = ("--git-dir", str(self._objects))
        fetch = (*folder, "fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", "--force")
        wanted = self._place.ref if revision != self._place.ref else revision
        try:
            self._remote(*fetch, "--", self._url, f"{revision}:{_OUR_REF}")
        except ReconcilerError:  # not every server serves a commit by its name
            try:
                self._remote(*fetch, "--", self._url, f"{wanted}:{_OUR_REF}")
            except ReconcilerError:
                self._tidy()
                raise
        if not self._has(revision):
            raise ReconcilerError(
                f"{self._shown} no longer has the commit {revision[:12]}",
                "nothing is wrong: the ref was moved, and is read again with the next look",
            )

    def _tidy(self) -> None:
        """Remove what fetches that failed have left. It could fill the disk."""
        for left in (self._objects / "objects" / "pack").glob("tmp_*"):
            with suppress(OSError):
                left.unlink()

    def _has(self, revision: str) -> bool:
        try:
            return self._in_objects("cat-file", "-t", revision).strip() == b"commit"
        except ReconcilerError:
            return False

    def _tree(self, revision: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """The files and the symbolic links of a commit, each as path and object name. Hidden ones are left out, as are
        files that are too large for a catalog, and submodules."""
        below = "" if self._place.path in ("", ".") else self._place.path.strip("/") + "/"
        listed = self._in_objects(
            "ls-tree", "-r", "-z", "--long", "--full-tree", revision, "--", below or "."
        )
        files: list[tuple[str, str]] = []
        links: list[tuple[str, str]] = []
        total = 0
        for line in listed.split(b"\0"):
            if not line:
                continue
            facts, _, name = line.partition(b"\t")
            mode, kind, blob, size = facts.decode("ascii").split()
            path = os.fsdecode(name).removeprefix(below)
            if kind != "blob" or _unreadable(path) or int(size) > MAX_FILE:
                continue
            total += int(size)
            (links if mode == "120000" else files).append((path, blob))
        if total > MAX_BYTES or len(files) + len(links) > MAX_ENTRIES:
            raise ReconcilerError(
                f"{self._place} has more than {MAX_ENTRIES:,} files or {MAX_BYTES // 2**20} MiB",
                "put the catalog into a folder of its own, and watch that",
            )
        if not files:
            raise ReconcilerError(
                f"{self._place} has no files in the commit {revision[:12]}", "check the path of the source"
            )
        return files, links

    def _blobs(self, files: list[tuple[str, str]]) -> Iterator[tuple[str, bytes]]:
        """The bytes of files, which one git process answers for all."""
        names = "".join(f"{blob}\n" for _, blob in files).encode()
        with tempfile.TemporaryFile(dir=self._objects) as answer:  # up to MAX_BYTES, too much for the memory
            self._in_objects("cat-file", "--batch", send=names, into=answer)
            answer.seek(0)
            for path, _ in files:
                size = int(answer.readline().split()[2])
                yield path, answer.read(size)
                answer.read(1)

    def _targets(self, links: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        for path, target in self._blobs(links):
            if target and b"\0" not in target:
                yield path, os.fsdecode(target)

    def _remote(self, *words: str) -> bytes:
        """What git prints that connects to the repository."""
        with self._turn, _CONNECTIONS:
            if self._credentials is None:
                return self._git(*words)
            with access_to(self._url, self._credentials()) as access:
                return self._git(*words, access=access)

    def _in_objects(self, *words: str, send: bytes = b"", into: IO[bytes] | None = None) -> bytes:
        return self._git("--git-dir", str(self._objects), *words, send=send, into=into)

    def _git(
        self, *words: str, send: bytes = b"", access: Access | None = None, into: IO[bytes] | None = None
    ) -> bytes:
        """What git prints; nothing if that goes ``into`` a file.

        Raises:
            ReconcilerError: git fails, takes too long, or is not installed.
        """
        given = () if access is None else access.settings
        settings = [word for one in (*_SETTINGS, *given) for word in ("-c", one)]
        environ = {name: value for name, value in os.environ.items() if _PASSED.fullmatch(name)}
        if access is not None:
            environ = dict(access.environ)
        environ |= {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
        memory = _MEMORY if words[0] == "ls-remote" else None
        try:
            # In a group of its own, so that helpers such as ssh end with it.
            child = subprocess.Popen(  # noqa: S603 - a fixed program; addresses can't be taken for options
                limited(["git", *settings, *words], files=_MOST_FETCHED, memory=memory),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if into is None else into,
                stderr=subprocess.PIPE,
                env=environ,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise ReconcilerError(
                f"git can't be started: {error.strerror}", "install git, which a git source needs"
            ) from None
        try:
            out, err = exchange(child, send, self._timeout, _MOST_PRINTED)
        except subprocess.TimeoutExpired:
            raise ReconcilerError(
                f"{self._shown}: git did not end within {self._timeout:g} s", _LOOK
            ) from None
        except TooMuchError:
            raise ReconcilerError(
                f"{self._shown}: git tells of more files or refs than a catalog can have",
                "put the catalog into a repository of its own",
            ) from None
        if child.returncode:
            said = self._said(err, access) or f"git failed ({child.returncode})"
            if access is not None:
                raise access.failed(self._shown, said)
            raise ReconcilerError(f"{self._shown}: {said}", _LOOK)
        return out

    def _said(self, err: bytes, access: Access | None) -> str:
        """The line with which git explains why it failed, without credentials."""
        text = err.decode("utf-8", "replace").replace(self._url, self._shown)
        if access is not None:
            text = access.redacted(text)
        lines = [line for line in text.splitlines() if line.strip()]
        # The reason stands above this line, written by ssh or by the other side.
        reasons = lines[: next((at for at, line in enumerate(lines) if _GENERIC in line), None)]
        line = re.sub("^(fatal|error|remote): ", "", (reasons or lines or [""])[-1])
        return _USER_INFO.sub("://", line)[:500]


_LOOK: Final = "see whether `git ls-remote` reaches it from here, with the same environment"
_GENERIC: Final = "Could not read from remote repository"
_USER_INFO: Final = re.compile(r"://[^/\s@']*@")


def _without_credentials(url: str) -> str:
    """An address without user and password, which may be a token."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return _USER_INFO.sub("://", url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _unreadable(path: str) -> bool:
    """Whether a catalog could not read a path: it is hidden, or no path below the root."""
    return path.startswith("/") or any(part in ("", "..") or part.startswith(".") for part in path.split("/"))
