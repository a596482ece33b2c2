"""Files on disk: written so that they are whole or not there, and read as what they are."""

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
    """A file that may be a stranger's, open for reading: no link is followed, and no device or pipe is read.

    Raises:
        OSError: as the file system says.
    """
    with open(path, "rb", opener=_open_plainly) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(EINVAL, "it is no regular file", str(path))
        yield file


def _open_plainly(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def write_out(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a file that somebody named: as :func:`write_durably` does, but into a pipe or a device, not in its place.

    Raises:
        OSError: as the file system says; also where it is a disk.
    """
    descriptor = _open_special(path)
    if descriptor is None:
        write_durably(path, text, mode=mode)
        return
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogatepass", newline="\n") as file:
        file.write(text)


#: Names for what this process has open. Opened by its name, a file would be written from its beginning again.
_DESCRIPTOR = re.compile(r"/dev/(?:fd/(\d{1,9})|(stdout)|(stderr))|/proc/self/fd/(\d{1,9})", re.ASCII)


def _open_special(path: Path) -> int | None:
    """What is there and is no file, open for writing. None where it is one, or nothing yet."""
    matched = _DESCRIPTOR.fullmatch(str(path))
    if matched:
        number, out, _, process = matched.groups()
        return os.dup(int(number or process or (1 if out else 2)))
    try:
        kind = path.stat().st_mode
    except OSError:
        return None  # whoever makes it says what is wrong
    if stat.S_ISREG(kind) or stat.S_ISDIR(kind):
        return None
    if stat.S_ISBLK(kind):
        raise OSError(EINVAL, "it is a disk", str(path))
    return os.open(path, os.O_WRONLY | os.O_NOCTTY)


def write_durably(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a file so that after this call it is whole and on disk, and at no time half there.

    Raises:
        OSError: as the file system says.
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
    """See that :func:`write_out` can write this file, before there is anything to write.

    Raises:
        OSError: as the file system says.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    if path.is_dir():
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR), str(path))
    if path.is_fifo() or path.is_char_device():
        return  # to look is to open it, and whoever reads a pipe would see it end
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    partial.unlink()


def sync_folder(folder: Path) -> None:
    """Make new names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
