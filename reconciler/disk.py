"""Files on disk: written completely or not at all, and read only if they are regular files."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EINVAL, EISDIR
from pathlib import Path
from typing import BinaryIO


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open an untrusted file for reading. Symbolic links are not followed; devices and pipes are not read.

    Raises:
        OSError: the file can't be opened, or is not a regular file.
    """
    with open(path, "rb", opener=_open_plainly) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(EINVAL, "it is not a regular file", str(path))
        yield file


def _open_plainly(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def write_out(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write to a path that the user gave: durably to a file, and into a pipe or device instead of replacing it.

    Raises:
        OSError: the path can't be written, or is a block device.
    """
    descriptor = _open_special(path)
    if descriptor is None:
        write_durably(path, text, mode=mode)
        return
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogatepass", newline="\n") as file:
        file.write(text)


#: Names of file descriptors of this process. Opening a file by such a name would overwrite it from its beginning.
_DESCRIPTOR = re.compile(r"/dev/(?:fd/(\d{1,9})|(stdout)|(stderr))|/proc/self/fd/(\d{1,9})", re.ASCII)


def _open_special(path: Path) -> int | None:
    """A pipe, device or file descriptor, open for writing. None if the path is a file, a folder, or does not exist."""
    matched = _DESCRIPTOR.fullmatch(str(path))
    if matched:
        number, out, _, process = matched.groups()
        return os.dup(int(number or process or (1 if out else 2)))
    try:
        kind = path.stat().st_mode
    except OSError:
        return None  # creating the file reports what is wrong
    if stat.S_ISREG(kind) or stat.S_ISDIR(kind):
        return None
    if stat.S_ISBLK(kind):
        raise OSError(EINVAL, "it is a block device", str(path))
    return os.open(path, os.O_WRONLY | os.O_NOCTTY)


def write_durably(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a file atomically, and flush it to disk before returning.

    Raises:
        OSError: the file can't be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogatepass", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def check_writable(path: Path) -> None:
    """Check that :func:`write_out` can write this path, before there is anything to write.

    Raises:
        OSError: it can't be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    if path.is_dir():
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR), str(path))
    if path.is_fifo() or path.is_char_device():
        return  # checking would open it, and the reader of a pipe would see it end
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    partial.unlink()


def sync_folder(folder: Path) -> None:
    """Flush a folder to disk, so that new and renamed files in it survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
