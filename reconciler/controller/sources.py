"""Sources: where the revisions of a watched catalog come from. Here a folder; :mod:`.git_source` has git."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from reconciler.controller.revision_store import MAX_BYTES, MAX_ENTRIES, RevisionStore
from reconciler.disk import MAX_FILE, open_below, read_open, wrap
from reconciler.errors import ReconcilerError

#: Folders with thousands of files, none of them of a catalog.
_SKIPPED: Final = frozenset({"node_modules", "__pycache__"})


class NoCatalogError(ReconcilerError):
    """The source can be read, and has no catalog, or only a part of one. What it had before no longer counts: nothing
    is written until it has a catalog again."""


class Source(Protocol):
    """Where revisions of a catalog come from. All methods may block, and raise ReconcilerError if the source fails."""

    def describe(self) -> str:
        """The source as people write it, without anything secret."""

    def newest(self) -> str:
        """The name of the newest revision: a commit, or a digest of files. Cheap if nothing changed.

        Raises:
            NoCatalogError: the source has no catalog, or not a whole one.
        """

    def folder(self, revision: str) -> Path:
        """A folder with exactly the files of a revision that was the newest one, or that was retained."""

    def retain(self, revisions: Collection[str]) -> None:
        """Forget every revision but these."""


class FolderSource:
    """A folder that somebody edits. Hidden files are not part of a revision; no catalog may read them. Nor is the state
    folder, which changes with every run.

    A revision is named by a digest of paths and contents. Files are read again only if their size or time changed.
    ``state`` is the state folder, where revisions are kept. Sources that are used at the same time, such as those of
    two environments, need different ``owner`` names there: each forgets what it does not need.
    """

    def __init__(self, folder: Path, state: Path, owner: str = "") -> None:
        self._folder = Path(os.path.realpath(folder))
        self._given = folder
        self._state = os.path.realpath(state)
        name = hashlib.sha256(os.fsencode(self._folder) + b"\0" + owner.encode()).hexdigest()[:16]
        self._store = RevisionStore(state, f"folder-{name}")
        self._seen: tuple[_Signature, str] | None = None

    def describe(self) -> str:
        return str(self._given)

    def newest(self) -> str:
        before = self._signature()
        if self._seen is not None and self._seen[0] == before:
            return self._seen[1]
        digest = self._digest(before)
        self._check_unchanged(before)
        self._seen = (before, digest)
        return digest

    def folder(self, revision: str) -> Path:
        if (kept := intact(self._store, revision)) is not None:
            return kept
        before = self._signature()
        files = [(path, self._read(path)) for path, facts in before.items() if not facts.target]
        links = [(path, facts.target) for path, facts in before.items() if facts.target]
        if digest_files(files, links) != revision:
            raise ReconcilerError(f"{self._given} no longer has the revision {revision[:12]}", _AGAIN)
        return self._store.keep(revision, files, links)

    def retain(self, revisions: Collection[str]) -> None:
        self._store.retain(revisions)

    def _digest(self, signature: _Signature) -> str:
        files = ((path, self._read(path)) for path, facts in signature.items() if not facts.target)
        return digest_files(
            files, [(path, facts.target) for path, facts in signature.items() if facts.target]
        )

    def _check_unchanged(self, before: _Signature) -> None:
        if self._signature() != before:
            raise ReconcilerError(f"{self._given} is being changed", _AGAIN)

    def _read(self, path: str) -> bytes:
        try:
            with wrap(open_below(str(self._folder), path)) as file:
                return read_open(file, MAX_FILE)
        except FileNotFoundError:
            raise ReconcilerError(f"{self._given} is being changed", _AGAIN) from None
        except OSError as error:
            raise ReconcilerError(
                f"{self._given / path} can't be read: {error.strerror}",
                "a watched folder is read as a whole: correct the file, or move it out of the folder",
            ) from None

    def _signature(self) -> _Signature:
        found: _Signature = {}
        size = 0
        for path, facts in _walk(str(self._folder), self._given, self._state):
            found[path] = facts
            size += facts.size
            if len(found) > MAX_ENTRIES or size > MAX_BYTES:
                raise ReconcilerError(
                    f"{self._given} has more than {MAX_ENTRIES:,} files or {MAX_BYTES // 2**20} MiB",
                    "put the catalog into a folder of its own, and watch that",
                )
        return dict(sorted(found.items()))


_AGAIN: Final = "nothing is wrong: it is read again with the next look"


class _Facts(NamedTuple):
    """What tells that a file changed. ``changed`` is a time in nanoseconds; ``target`` is set for a symbolic link."""

    size: int
    changed: int
    inode: int
    target: str


#: The files of a folder by relative path.
_Signature = dict[str, _Facts]


def _walk(root: str, given: Path, state: str) -> Iterator[tuple[str, _Facts]]:
    """All files below a folder that a catalog could read: none that is hidden, special or too large. Symbolic links are
    not followed."""
    folders = [""]
    while folders:
        below = folders.pop()
        for entry in _entries(root, below, given):
            path = f"{below}/{entry.name}" if below else entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _SKIPPED and entry.path != state:
                    folders.append(path)
                continue
            try:
                facts = entry.stat(follow_symlinks=False)
                target = os.readlink(entry.path) if stat.S_ISLNK(facts.st_mode) else ""
            except OSError:
                raise ReconcilerError(f"{given} is being changed", _AGAIN) from None
            if target or (stat.S_ISREG(facts.st_mode) and facts.st_size <= MAX_FILE):
                yield path, _Facts(facts.st_size, facts.st_mtime_ns, facts.st_ino, target)


def _entries(root: str, below: str, given: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(os.path.join(root, below)) as entries:
            return list(entries)
    except FileNotFoundError:
        if below:
            raise ReconcilerError(f"{given} is being changed", _AGAIN) from None
        raise ReconcilerError(f"{given} does not exist", "name the folder that holds catalog.yaml") from None
    except OSError as error:
        raise ReconcilerError(
            f"{given / below} can't be read: {error.strerror}", "give the program read permission"
        ) from None


def intact(store: RevisionStore, revision: str) -> Path | None:
    """A kept revision that is what its name says; None if it is not kept. One that is not is removed."""
    kept = store.find(revision)
    if kept is not None and _digest_of(kept) == revision:
        return kept
    store.drop(revision)
    return None


def _digest_of(kept: Path) -> str:
    """The name that a kept revision should have. The state folder may lie in a checkout, so a pull request could bring
    other files along under the name of a revision that was reviewed; and a power failure may leave empty ones.

    Every file counts, so none can be added that a source would not take.
    """
    files: list[tuple[str, bytes]] = []
    links: list[tuple[str, str]] = []
    try:
        for below, folders, names in os.walk(kept):
            for name in [*folders, *names]:
                place = Path(below, name)
                path = place.relative_to(kept).as_posix()
                if place.is_symlink():
                    links.append((path, os.readlink(place)))
                elif name in names:
                    with wrap(open_below(str(kept), path)) as file:
                        files.append((path, read_open(file, MAX_FILE)))
    except OSError:
        return ""
    return digest_files(sorted(files), sorted(links))


def digest_files(files: Iterable[tuple[str, bytes]], links: Iterable[tuple[str, str]]) -> str:
    """The name of a revision: a SHA-256 digest. Lengths before contents keep different revisions apart."""
    whole = hashlib.sha256()
    targets = ((path, os.fsencode(target)) for path, target in links)
    for kind, entries in ((b"file", files), (b"link", targets)):
        for path, data in entries:
            name = os.fsencode(path)
            whole.update(b"%s %d %d %s%s" % (kind, len(name), len(data), name, data))
    return whole.hexdigest()
