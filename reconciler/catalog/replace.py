"""Writing several files: all of them or none."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from reconciler.disk import create_beside
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
            beside = self._write(data, place, "new")
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
            self._write(swap.before, swap.place, "old").replace(swap.place)
        for path in self.staged:
            path.unlink(missing_ok=True)
        for folder in reversed(self.made):
            with suppress(OSError):  # another program has put a file into it
                folder.rmdir()

    def _write(self, data: bytes, place: Path, ending: str) -> Path:
        """Write a file beside its place and flush it to disk, with the permissions of the file it replaces, if any."""
        mode = stat.S_IMODE(place.stat().st_mode) & 0o777 if place.exists() else None
        beside, descriptor = create_beside(place, 0o666 if mode is None else mode, ending)
        self.staged.append(beside)
        with open(descriptor, "wb") as file:
            file.write(data)
            if mode is not None:
                os.chmod(descriptor if os.chmod in os.supports_fd else beside, mode)  # whatever the umask
                # Otherwise a crash could leave the name with an empty file, and the previous one would be lost.
                file.flush()
                os.fsync(descriptor)
        return beside

    def _make(self, folder: Path) -> None:
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        for one in reversed(missing):
            one.mkdir()
            self.made.append(one)


def _failed(path: str, error: OSError) -> ReconcilerError:
    reason = (error.strerror or "unknown error").lower()
    return ReconcilerError(
        Problem(f"this can't be written: {reason}", "check the free disk space and the permissions", path)
    )
