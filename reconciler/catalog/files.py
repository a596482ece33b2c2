"""Reading below one folder, and nowhere else.

A catalog is untrusted: a pull request may contain any path and any symlink. A path is checked as text first: it must
not be absolute, contain ``..`` or be hidden, because keys and tokens are in hidden files (``.git/config``, ``.env``).
Then all symlinks are resolved. Only a file that is really below the root and not hidden is opened.

Between the check and the opening, another process could replace the file with a symlink. So it is opened with
``O_NOFOLLOW``, and must be the very file that was checked. Walking down with a descriptor for each folder would
close the gap for folders, too, but on POSIX alone. And whoever can swap the folders of a checkout can also change
their files.

Only regular files are opened, so that no FIFO or device makes the program wait.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from fnmatch import translate
from typing import Final

from reconciler.catalog.budget import MAX_ENTRIES

#: The largest file that is read, in bytes.
MAX_FILE: Final = 10 * 2**20
#: How many files a catalog may have, prompts in files of their own included.
MAX_FILES: Final = 2_000_000

_FLAGS = os.O_RDONLY
for _name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
    _FLAGS |= getattr(os, _name, 0)


class UnreadableError(Exception):
    """A file that can't or may not be read. ``message`` continues after the name of the file: "is a folder"."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class TooManyEntriesError(UnreadableError):
    """The budget for looking at folders is spent."""


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

    Raises:
        UnreadableError: there is no such folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = os.path.realpath(folder)
        if not os.path.isdir(self.folder):
            if os.path.exists(self.folder):
                raise UnreadableError("is a file", "name the folder that holds catalog.yaml")
            raise UnreadableError("does not exist", "name the folder that holds catalog.yaml")
        self._inside = self.folder.rstrip(os.sep) + os.sep
        self._folders: dict[str, str] = {}
        self._files = 0
        self._looked = 0

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
            return self._read(os.path.join(self._folder(parent), name))
        except (FileNotFoundError, NotADirectoryError):
            raise UnreadableError("does not exist", _spelling(path)) from None
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

    def _read(self, place: str) -> bytes:
        seen = os.lstat(place)
        if stat.S_ISLNK(seen.st_mode):
            place = self._real(place)
            if not os.path.exists(place):
                raise UnreadableError("is a broken symlink", "fix the link, or put the file in its place")
            seen = os.lstat(place)
        if stat.S_ISDIR(seen.st_mode):
            raise UnreadableError("is a folder", "name a file in it")
        if not stat.S_ISREG(seen.st_mode):
            raise UnreadableError("is not a regular file", "replace it with a regular file")
        if seen.st_size > MAX_FILE:
            raise UnreadableError(f"is over {MAX_FILE // 2**20} MiB", "split it")
        with open(os.open(place, _FLAGS), "rb") as file:
            data = file.read(seen.st_size + 1)
            if not os.path.samestat(os.fstat(file.fileno()), seen) or len(data) != seen.st_size:
                raise UnreadableError("changed while it was read", "try again")
        return data

    def _folder(self, path: str) -> str:
        real = self._folders.get(path)
        if real is None:
            real = self._folders[path] = self._real(os.path.join(self.folder, path))
        return real

    def _real(self, place: str) -> str:
        """The real path of a file, checked to be inside and not hidden."""
        real = os.path.realpath(place)
        if not (real + os.sep).startswith(self._inside):
            raise UnreadableError(*_OUTSIDE)
        if _hidden(real[len(self._inside) :].split(os.sep)):
            raise UnreadableError("leads to a hidden file or folder through a symlink", _NOT_HIDDEN)
        return real

    def expand(self, pattern: str) -> list[str]:
        """The files that a pattern matches, sorted; never a hidden one, nor one in a hidden folder.

        ``*``, ``?`` and ``[…]`` stay within a name; ``**`` is any number of folders, none of them a symlink.

        Raises:
            UnreadableError: the pattern leaves the root, or reaches a folder that may not be read.
        """
        check_path(pattern)
        parts = [part for part in pattern.split("/") if part not in ("", ".")]
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
        return sorted(found)

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
            with os.scandir(self._folder(folder)) as entries:
                self.look(1)
                for entry in entries:
                    self.look(1)
                    if not entry.name.startswith("."):
                        yield (f"{folder}/{entry.name}" if folder else entry.name), entry
        except PermissionError:
            raise UnreadableError(
                f"reaches the folder `{folder}`, which can't be read: permission denied", _RIGHT
            ) from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a symlink loop; reading it reports that
        return False


_RIGHT: Final = "give yourself read permission"


def check_path(path: str) -> None:
    """Check that a path or pattern, by its text alone, stays inside and is not hidden.

    Raises:
        UnreadableError: it does not.
    """
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
