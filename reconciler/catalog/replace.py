"""Writing several files: all of them or none."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from reconciler.errors import Problem, ReconcilerError


@contextmanager
def replaced(root: Path, files: Mapping[str, bytes | None]) -> Iterator[None]:
    """Write files. If the block raises, everything is restored.

    Each file is written under a temporary name and then renamed, so that no file is ever half written. They are renamed
    in the given order. Missing folders are created, and a replaced file keeps its permissions.

    Args:
        root: nothing is written outside of this folder.
        files: by path below it, with ``/`` between folders; ``None`` removes a file.

    Raises:
        ReconcilerError: a file can't be written, or lies outside of ``root`` through a symlink.
    """
    writer = _Writer(Path(os.path.realpath(root)))
    try:
        staged = [(path, writer.stage(path, data)) for path, data in files.items()]
        for path, swap in staged:
            writer.swap(path, swap)
        yield
    except BaseException:
        writer.undo()
        raise


class _Swap:
    """A file to replace. ``before`` is what it held, once it is replaced."""

    def __init__(self, place: Path, staged: Path | None) -> None:
        self.place = place
        self.staged = staged
        self.before: bytes | None = None


class _Writer:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.made: list[Path] = []
        self.staged: list[Path] = []
        self.done: list[_Swap] = []

    def stage(self, path: str, data: bytes | None) -> _Swap:
        """Write a file beside its place."""
        # A symlink stays: its target is replaced.
        place = Path(os.path.realpath(self.root / path))
        if not place.is_relative_to(self.root):
            raise ReconcilerError(
                Problem(
                    "this leads out of the folder through a symlink",
                    "replace the symlink with a real folder",
                    path,
                )
            )
        if data is None:
            return _Swap(place, None)
        try:
            self._make(place.parent)
            beside = place.with_name(f".{place.name[:100]}.{os.getpid()}.new")
            self.staged.append(beside)
            _write(beside, data, like=place)
        except OSError as error:
            raise _failed(path, error) from None
        return _Swap(place, beside)

    def swap(self, path: str, swap: _Swap) -> None:
        """Rename the written file to its place."""
        try:
            with suppress(FileNotFoundError):
                swap.before = swap.place.read_bytes()
            if swap.staged is not None:
                self.done.append(swap)
                swap.staged.replace(swap.place)
            elif swap.before is not None:
                self.done.append(swap)
                swap.place.unlink()
        except OSError as error:
            raise _failed(path, error) from None

    def undo(self) -> None:
        """Restore the previous file."""
        for swap in reversed(self.done):
            if swap.before is None:
                swap.place.unlink(missing_ok=True)
                continue
            beside = swap.place.with_name(f".{swap.place.name[:100]}.{os.getpid()}.old")
            _write(beside, swap.before, like=swap.place)
            beside.replace(swap.place)
        for path in self.staged:
            path.unlink(missing_ok=True)
        for folder in reversed(self.made):
            with suppress(OSError):  # another program has put a file into it
                folder.rmdir()

    def _make(self, folder: Path) -> None:
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        for one in reversed(missing):
            one.mkdir()
            self.made.append(one)


def _write(path: Path, data: bytes, *, like: Path) -> None:
    """Write a new file and flush it to disk, with the permissions of the file it replaces, if any."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags, 0o666), "wb") as file:
        file.write(data)
        if like.exists():
            os.chmod(path, like.stat().st_mode & 0o777)
            # Otherwise a crash could leave the name with an empty file, and the previous one would be lost.
            file.flush()
            os.fsync(file.fileno())


def _failed(path: str, error: OSError) -> ReconcilerError:
    reason = (error.strerror or "unknown error").lower()
    return ReconcilerError(
        Problem(f"this can't be written: {reason}", "check the free disk space and the permissions", path)
    )
