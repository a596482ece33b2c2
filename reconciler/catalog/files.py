"""Reading below one folder, and nowhere else.

A catalog is untrusted: a pull request may hold any path and any symlink. A path is taken apart by its text first
(nothing absolute, no ``..``, no hidden folder or file, where keys and tokens live: ``.git``, ``.env``), then its real
place is looked up with every symlink followed, and only what really lies below the root, in nothing hidden, is opened.

Between the look and the opening somebody could put a symlink in a file's place; so the file is opened with
``O_NOFOLLOW`` and has to be the very file that was looked at. Walking down with a descriptor for each folder would
close the same gap for folders, too, at the price of working on POSIX alone; a catalog is a finished checkout, and who
can swap its folders while it is read can also change what they hold.

Nothing but a regular file is opened, so that no FIFO or device makes the program wait.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from fnmatch import translate
from pathlib import Path

#: The largest file that is read, in bytes.
MAX_FILE = 10 * 2**20
#: What a whole catalog may have: files, and bytes in them and in the texts that aliases add.
MAX_FILES = 2_000_000
MAX_TOTAL = 2 * 2**30


class UnreadableError(Exception):
    """A file that can't or may not be read."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Root:
    """A catalog's folder. All paths are relative to it, with ``/`` between folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = os.path.realpath(folder)
        self._below = self.folder.rstrip(os.sep) + os.sep
        self._folders: dict[str, str] = {}
        self._files = 0
        self._bytes = 0

    def read(self, path: str) -> bytes:
        """The bytes of a file.

        Raises:
            UnreadableError: there is no such file, it may not be read, or it is too large.
        """
        check_path(path)
        real = self._real(path)
        try:
            seen = os.lstat(real)
            if stat.S_ISDIR(seen.st_mode):
                raise UnreadableError("this is a folder", "name a file in it")
            if not stat.S_ISREG(seen.st_mode):
                raise UnreadableError("this is no regular file", "put a plain file in its place")
            data = _read(real, seen)
        except FileNotFoundError:
            raise UnreadableError(*_missing(path)) from None
        except NotADirectoryError:
            raise UnreadableError(*_missing(path)) from None
        except PermissionError:
            raise UnreadableError("this file may not be read", "give yourself the right to read it") from None
        except OSError as error:
            raise UnreadableError(f"this file can't be read: {error.strerror}") from None
        self.count(1, len(data))
        return data

    def count(self, files: int, size: int) -> None:
        """Add to the totals.

        Raises:
            UnreadableError: the catalog as a whole is too large.
        """
        self._files += files
        self._bytes += size
        if self._files > MAX_FILES:
            raise UnreadableError(f"the catalog has more than {MAX_FILES:,} files", "split the catalog")
        if self._bytes > MAX_TOTAL:
            raise UnreadableError(
                f"the catalog has more than {MAX_TOTAL // 2**30} GiB of text", "split the catalog"
            )

    def _real(self, path: str) -> str:
        """Where the file really is.

        Raises:
            UnreadableError: outside the root, or in a hidden place.
        """
        parent, _, name = path.rpartition("/")
        folder = self._folders.get(parent)
        if folder is None:
            folder = os.path.realpath(os.path.join(self.folder, parent))
            self._folders[parent] = folder
        real = os.path.join(folder, name)
        if os.path.islink(real):
            real = os.path.realpath(real)
        if not (real + os.sep).startswith(self._below):
            raise UnreadableError(
                "a symlink leads out of the catalog's folder",
                "put the file itself into the catalog; what lies outside is not read",
            )
        if _hidden(os.path.relpath(real, self.folder).split(os.sep)):
            raise UnreadableError("a symlink leads to a hidden file or folder", _NOT_HIDDEN)
        return real

    def expand(self, pattern: str) -> list[str]:
        """The files that a pattern matches, sorted; never a hidden one, nor one in a hidden folder.

        ``*`` and ``?`` stay within a name, ``**`` is any number of folders and does not go through symlinks.
        """
        parts = [part for part in pattern.split("/") if part not in ("", ".")]
        found: set[str] = set()
        seen: set[tuple[str, int]] = set()
        todo = [("", 0)]
        while todo:
            state = todo.pop()
            if state in seen:
                continue
            seen.add(state)
            folder, at = state
            if parts[at] == "**":
                if at + 1 < len(parts):
                    todo.append((folder, at + 1))
                todo += [
                    (path, at) for path, entry in self._entries(folder) if entry.is_dir(follow_symlinks=False)
                ]
                if at + 1 < len(parts):
                    continue
            match = re.compile(translate("*" if parts[at] == "**" else parts[at])).match
            last = at + 1 == len(parts)
            for path, entry in self._entries(folder):
                if not match(entry.name):
                    continue
                if not last:
                    if entry.is_dir():
                        todo.append((path, at + 1))
                elif not entry.is_dir():
                    found.add(path)
        return sorted(found)

    def _entries(self, folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        try:
            with os.scandir(os.path.join(self.folder, folder)) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):
                        yield (f"{folder}/{entry.name}" if folder else entry.name), entry
        except (FileNotFoundError, NotADirectoryError):
            return


_NOT_HIDDEN = "hidden files hold keys and tokens, so they are never read; give it another name"


def check_path(path: str) -> None:
    """Whether a path or pattern, by its text alone, stays below the root.

    Raises:
        UnreadableError: it does not, or it names something hidden.
    """
    parts = path.split("/")
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        raise UnreadableError(f"`{path}` is an absolute path", "write it from the folder of catalog.yaml")
    if ".." in parts:
        raise UnreadableError(f"`{path}` goes up with `..`", "write it from the folder of catalog.yaml")
    if _hidden(parts):
        raise UnreadableError(f"`{path}` names a hidden file or folder", _NOT_HIDDEN)


def _hidden(parts: list[str]) -> bool:
    return any(part.startswith(".") and part not in (".", "..") for part in parts)


def _missing(path: str) -> tuple[str, str]:
    hint = "check the spelling; paths are written from the folder of catalog.yaml"
    if "\\" in path:
        hint = "write `/` between folders, on every system"
    return f"there is no file `{path}`", hint


def _read(real: str, seen: os.stat_result) -> bytes:
    flags = (
        os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    with open(os.open(real, flags | getattr(os, "O_CLOEXEC", 0)), "rb", buffering=0) as file:
        if not os.path.samestat(os.fstat(file.fileno()), seen):
            raise UnreadableError("this file was swapped while it was read", "try again")
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise UnreadableError(f"this file is over {MAX_FILE // 2**20} MiB", "split it")
    return data
