"""Reading below one folder, and nowhere else.

A catalog is untrusted: a pull request may contain any path and any symlink. A path is checked as text first: it must
not be absolute, contain ``..`` or be hidden, because keys and tokens are in hidden files (``.git/config``, ``.env``).
Then all symlinks are resolved. Only a file that is really below the root and not hidden is opened.

Between the check and the opening, another process could replace a file or a folder with a symlink. So files and folders
are opened by descriptor, folder by folder, without following links (:mod:`reconciler.disk`), where the system can do
that. Only regular files are read, so that no FIFO or device makes the program wait.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ELOOP
from fnmatch import translate
from typing import Final, Self

from reconciler.catalog.budget import ENTRIES_A_FOLDER, MAX_ENTRIES
from reconciler.disk import CAN_DESCEND, MAX_FILE, is_below, open_below, open_folder_below, open_in, wrap

#: How many files a catalog may have, prompts in files of their own included.
MAX_FILES: Final = 2_000_000
#: How many folders are kept open.
_MAX_OPEN: Final = 32


#: How the file begins that Git LFS puts in the place of one that it has not fetched.
LFS_POINTER: Final = "version https://git-lfs.github.com/spec/"
FETCH: Final = "run `git lfs pull`; in CI, check out with LFS"


class UnreadableError(Exception):
    """A file that can't or may not be read. ``message`` continues after the name of the file: "is a folder"."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class TooManyEntriesError(UnreadableError):
    """The budget for looking at folders is spent."""


_TWO_STARS: Final = "write `*` for any part of a name, or `**` between slashes for any number of folders"
_FROM_THE_ROOT: Final = "write the path relative to the folder of catalog.yaml, without `..`"
_NOT_HIDDEN: Final = (
    "hidden files often hold keys and tokens, so none is read; use a name without a leading dot"
)
_OUTSIDE: Final = (
    "leads out of the catalog's folder through a symlink",
    "put the file itself into the catalog; nothing outside it is read",
)


class Root:
    """A catalog's folder. All paths are relative to it, with ``/`` between folders.

    Reading many files is quicker in a ``with`` block, which keeps some folders open until its end. Outside of one,
    nothing stays open. Blocks may be nested, and a root may be used again after its block.

    Raises:
        UnreadableError: there is no such folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = os.path.realpath(folder)
        if not os.path.isdir(self.folder):
            if os.path.exists(self.folder):
                raise UnreadableError("is a file", "name the folder that holds catalog.yaml")
            raise UnreadableError("does not exist", "name the folder that holds catalog.yaml")
        self._folders: dict[str, str] = {}
        self._open_folders: dict[str, int] = {}  # descriptors by real path
        self._blocks = 0
        self._files = 0
        self._looked = 0

    def __enter__(self) -> Self:
        self._blocks += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._blocks -= 1
        if not self._blocks:
            self._close()

    def read(self, path: str) -> bytes:
        """The bytes of a file, at most :data:`MAX_FILE`.

        Raises:
            UnreadableError: there is no such file, it may not be read, or it is too large.
        """
        check_path(path)
        self._files += 1
        if self._files > MAX_FILES:
            raise UnreadableError(f"is one file too many; the maximum is {MAX_FILES:,}", "split the catalog")
        parent, _, name = path.rpartition("/")
        try:
            with self:
                return self._read(self._folder(parent), name)
        except (FileNotFoundError, NotADirectoryError):
            raise UnreadableError("does not exist", _spelling(path)) from None
        except IsADirectoryError:
            raise UnreadableError("is a folder", "name a file in it") from None
        except PermissionError:
            raise UnreadableError(
                "can't be read: permission denied", "give yourself read permission"
            ) from None
        except OSError as error:
            reason = (error.strerror or "unknown error").lower()
            raise UnreadableError(
                f"can't be read: {reason}", "check whether other programs can open it"
            ) from None

    def has(self, name: str) -> bool:
        """Whether the folder itself has an entry of this name."""
        return os.path.lexists(os.path.join(self.folder, name))

    def _read(self, folder: str, name: str) -> bytes:
        with wrap(self._open(folder, name)) as file:
            seen = os.fstat(file.fileno())
            if not stat.S_ISREG(seen.st_mode):
                raise UnreadableError("is not a regular file", "replace it with a regular file")
            if seen.st_size > MAX_FILE:
                raise UnreadableError(f"is over {MAX_FILE // 2**20} MiB", "split it")
            data = file.read(seen.st_size + 1)
            if len(data) != seen.st_size:
                raise UnreadableError("changed while it was read", "try again")
        return data

    def _open(self, folder: str, name: str) -> int:
        place = os.path.join(folder, name)
        if CAN_DESCEND and name not in ("", os.curdir):
            try:
                return open_in(self._descriptor(folder), name)
            except OSError as error:
                if error.errno != ELOOP:
                    raise
        real = self._real(place)
        if os.path.islink(place) and not os.path.exists(real):
            raise UnreadableError("is a broken symlink", "fix the link, or put the file in its place")
        return open_below(self.folder, os.path.relpath(real, self.folder))

    def _descriptor(self, folder: str) -> int:
        """The descriptor of a folder, given by its real path. Some are kept open, since folders hold many files."""
        descriptor = self._open_folders.get(folder)
        if descriptor is None:
            if len(self._open_folders) >= _MAX_OPEN:
                self._close()
            descriptor = open_folder_below(self.folder, os.path.relpath(folder, self.folder))
            self._open_folders[folder] = descriptor
        return descriptor

    def _close(self) -> None:
        while self._open_folders:
            os.close(self._open_folders.popitem()[1])

    def _folder(self, path: str) -> str:
        real = self._folders.get(path)
        if real is None:
            real = self._folders[path] = self._real(os.path.join(self.folder, path))
        return real

    def _real(self, place: str) -> str:
        """The real path of a file, checked to be inside and not hidden."""
        real = os.path.realpath(place)
        if not is_below(real, self.folder):
            raise UnreadableError(*_OUTSIDE)
        if _hidden(os.path.relpath(real, self.folder).split(os.sep)):
            raise UnreadableError("leads to a hidden file or folder through a symlink", _NOT_HIDDEN)
        return real

    def expand(self, pattern: str) -> list[str]:
        """The files that a pattern matches, sorted; never a hidden one, nor one in a hidden folder.

        ``*``, ``?`` and ``[…]`` stay within a name; ``**`` is any number of folders, none of them a symlink.

        Raises:
            UnreadableError: the pattern leaves the root, reaches a folder that may not be read, or has `**` within a
                name.
        """
        check_path(pattern)
        with self:
            return sorted(self._expanded(pattern))

    def _expanded(self, pattern: str) -> set[str]:
        parts = [part for part in pattern.split("/") if part not in ("", ".")]
        if any("**" in part and part != "**" for part in parts):
            raise UnreadableError("has `**` within a name", _TWO_STARS)
        matches = [re.compile(translate(part)).match for part in parts]
        found: set[str] = set()
        todo = {("", 0)} if parts else set()
        done: set[tuple[str, int]] = set()
        while todo:
            folder, at = todo.pop()
            done.add((folder, at))
            steps: set[tuple[str, int]] = set()
            last = at + 1 == len(parts)
            if parts[at] == "**" and not last:
                steps.add((folder, at + 1))
            for path, entry in self._entries(folder):
                if parts[at] == "**" and entry.is_dir(follow_symlinks=False):
                    steps.add((path, at))
                elif matches[at](entry.name) and last != _is_folder(entry):
                    if last:
                        found.add(path)
                    elif parts[at] != "**":
                        steps.add((path, at + 1))
            todo |= steps - done
        return found

    def look(self, entries: int) -> None:
        """Count entries of folders that are looked at.

        Raises:
            TooManyEntriesError: there were too many.
        """
        self._looked += entries
        if self._looked > MAX_ENTRIES:
            raise TooManyEntriesError(
                f"makes more than {MAX_ENTRIES:,} entries of folders to look at",
                "use fewer or narrower patterns, or put the catalog into a folder of its own",
            )

    def _entries(self, folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        try:
            self.look(ENTRIES_A_FOLDER)
            with self._scan(self._folder(folder)) as entries:
                for entry in entries:
                    self.look(1)
                    if not entry.name.startswith("."):
                        yield (f"{folder}/{entry.name}" if folder else entry.name), entry
        except (FileNotFoundError, NotADirectoryError):
            raise UnreadableError(
                f"reaches the folder `{folder}`, which was replaced meanwhile", "try again"
            ) from None
        except PermissionError:
            raise UnreadableError(
                f"reaches the folder `{folder}`, which can't be read: permission denied", _RIGHT
            ) from None

    @contextmanager
    def _scan(self, folder: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        if not CAN_DESCEND:
            with os.scandir(folder) as entries:
                yield entries
            return
        flags = os.O_RDONLY | os.O_DIRECTORY
        descriptor = os.open(os.curdir, flags, dir_fd=self._descriptor(folder))
        try:
            with os.scandir(descriptor) as entries:
                yield entries
        finally:
            os.close(descriptor)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a symlink loop; reading it reports that
        return False


_RIGHT: Final = "give yourself read permission"


#: Control characters, and surrogates that stand for no byte of a name that is not UTF-8.
_NEVER: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udc7f\udd00-\udfff]")
_NO_CONTROL: Final = "rename the file so that its name has no control characters"


def check_path(path: str) -> None:
    """Check that a path or pattern, by its text alone, stays inside and is not hidden.

    Raises:
        UnreadableError: it does not.
    """
    refused = _NEVER.search(path)
    if refused:
        raise UnreadableError(f"contains U+{ord(refused[0]):04X}, which is not allowed in paths", _NO_CONTROL)
    if path.startswith(("/", "\\", "~")) or re.match(r"[A-Za-z]:[\\/]", path):
        raise UnreadableError("is an absolute path", _FROM_THE_ROOT)
    parts = path.split("/")
    if ".." in parts:
        raise UnreadableError("goes up with `..`", _FROM_THE_ROOT)
    if _hidden(parts):
        raise UnreadableError("is hidden, or in a hidden folder", _NOT_HIDDEN)


def _hidden(parts: list[str]) -> bool:
    return any(part.startswith(".") and part != "." for part in parts)


def _spelling(path: str) -> str:
    if "\\" in path:
        return "use `/` as the separator, on every system"
    return "check the spelling; paths are relative to the folder of catalog.yaml"
