"""Files on disk: written completely or not at all, and read only if they are regular files."""

from __future__ import annotations

import os
import re
import secrets
import select
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EFBIG, EINVAL, EISDIR, EPERM, ETIMEDOUT
from pathlib import Path
from typing import BinaryIO, Final

#: The largest plan, snapshot or archived session that is read, in bytes.
MAX_DOCUMENT: Final = 256 * 2**20
#: The largest file of any other kind that is read, in bytes.
MAX_FILE: Final = 10 * 2**20

_PLAINLY: Final = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_LINK: Final = _PLAINLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
# With O_PATH, a folder that may be passed but not listed can be passed.
_FOLDER: Final = _NO_LINK | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_PATH", 0)
#: Whether a file can be opened relative to an open folder. Windows can't do that.
CAN_DESCEND: Final = os.open in os.supports_dir_fd


def read_named(path: Path, limit: int) -> bytes:
    """Read a file that a flag or an argument names: a regular file of at most ``limit`` bytes.

    The file may lie in a checkout, and come from a stranger's pull request. So a symbolic link in a checkout may lead
    elsewhere in that checkout, but not out of it.

    Raises:
        OSError: the file can't or may not be read. ``strerror`` says why.
    """
    place = os.path.abspath(path)
    if "\0" in place:
        raise OSError(EINVAL, "its name contains a NUL character", str(path))
    real = os.path.realpath(place)
    root = _checkout(place)
    if root is None:
        descriptor = os.open(real, _NO_LINK)
    else:
        inside = os.path.realpath(root)
        if not is_below(real, inside):
            raise OSError(EPERM, f"it leads out of {root} through a symbolic link", str(path))
        descriptor = open_below(inside, os.path.relpath(real, inside))
    with wrap(descriptor) as file:
        return read_open(file, limit)


def read_open(file: BinaryIO, limit: int) -> bytes:
    """Read an open file: a regular file of at most ``limit`` bytes.

    Raises:
        OSError: it is another kind of file, or larger.
    """
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode):
        raise OSError(EINVAL, "it is not a regular file")
    data = file.read(limit + 1) if found.st_size <= limit else b""
    if max(found.st_size, len(data)) > limit:
        raise OSError(EFBIG, f"it is larger than {limit // 2**20} MiB")
    return data


def read_secret(path: Path) -> bytes:
    """Read a key from a file, wherever it leads: secrets are often mounted as links. It may be a pipe, such as that of
    ``<(pass show key)``, if somebody writes to it.

    Raises:
        OSError: it can't be read, is neither a file nor a pipe, is larger than any key, or nobody writes to it.
    """
    if "\0" in str(path):
        raise OSError(EINVAL, "its name contains a NUL character", str(path))
    descriptor = os.open(path, _PLAINLY | getattr(os, "O_NONBLOCK", 0))
    with wrap(descriptor) as file:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISFIFO(kind):
            return _read_pipe(descriptor)
        if not stat.S_ISREG(kind):
            raise OSError(EINVAL, "it is neither a regular file nor a pipe")
        return _small(file.read(_LARGEST_SECRET + 1))


_LARGEST_SECRET: Final = 64 * 2**10
#: How long a pipe is waited for, in seconds: until somebody opens it for writing, and then until it is closed.
_OPENED, _CLOSED = 0.5, 60.0


def _read_pipe(descriptor: int) -> bytes:
    data, start = b"", time.monotonic()
    while time.monotonic() - start < _CLOSED:
        try:
            piece = os.read(descriptor, _LARGEST_SECRET + 1)
        except BlockingIOError:  # somebody has opened it and not written yet
            select.select([descriptor], [], [], 1.0)
            continue
        data = _small(data + piece)
        if not piece and (data or time.monotonic() - start > _OPENED):
            return data
        if not piece:
            time.sleep(0.01)
    raise OSError(ETIMEDOUT, f"nobody has closed it within {_CLOSED:g} s")


def _small(data: bytes) -> bytes:
    if len(data) > _LARGEST_SECRET:
        raise OSError(EFBIG, f"it is larger than {_LARGEST_SECRET // 2**10} KiB")
    return data


def wrap(descriptor: int) -> BinaryIO:
    """The open file of a descriptor, for reading. If that fails, as it does for a folder, the descriptor is closed."""
    try:
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _checkout(place: str) -> str | None:
    """The git checkout that a path is in; where there is none, the catalog that it is in."""
    parents = Path(place).parents
    for mark in (".git", "catalog.yaml"):
        for parent in parents:
            if os.path.lexists(parent / mark):
                return str(parent)
    return None


def is_below(path: str, root: str) -> bool:
    """Whether a path is a folder, or something in it. Both must be real paths."""
    return (path + os.sep).startswith(root.rstrip(os.sep) + os.sep)


def open_below(root: str, path: str) -> int:
    """Open a file below a folder by descriptor, folder by folder. No symbolic link below ``root`` is followed.

    So whoever swaps a file or folder for a link meanwhile leads nowhere.

    Raises:
        OSError: it can't be opened, or is reached through a link.
    """
    folder, name = os.path.split(path)
    if not CAN_DESCEND:
        return os.open(os.path.join(root, path), _NO_LINK)
    descriptor = open_folder_below(root, folder)
    try:
        return open_in(descriptor, name)
    finally:
        os.close(descriptor)


def open_folder_below(root: str, path: str) -> int:
    """Open a folder as :func:`open_below` opens a file. The descriptor is for :func:`open_in`."""
    descriptor = os.open(root, _FOLDER)
    for step in path.split(os.sep):
        if step not in ("", os.curdir):
            try:
                below = os.open(step, _FOLDER, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            descriptor = below
    return descriptor


def open_in(folder: int, name: str) -> int:
    """Open a file in an open folder for reading. It must not be a symbolic link.

    Raises:
        OSError: it can't be opened; with ``ELOOP`` if it is a link.
    """
    return os.open(name, _NO_LINK, dir_fd=folder)


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open an untrusted file for reading. Symbolic links are not followed; devices and pipes are not read.

    Raises:
        OSError: the file can't be opened, or is not a regular file.
    """
    with wrap(os.open(path, _NO_LINK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(EINVAL, "it is not a regular file", str(path))
        yield file


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
    partial, descriptor = create_beside(path, mode)
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


def create_beside(path: Path, mode: int, ending: str = "partial") -> tuple[Path, int]:
    """Create a file beside another, to take its place later. Returns its path, and a descriptor to write to.

    Its name is random, and nothing of that name may exist: in a folder that others write to, nobody can prepare a file
    or a link for it.

    Raises:
        OSError: it can't be created.
    """
    name = f".{path.name[:60]}.{secrets.token_hex(8)}.{ending}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    for flag in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, flag, 0)
    return path.with_name(name), os.open(path.with_name(name), flags, mode)


def check_writable(path: Path) -> None:
    """Check that :func:`write_out` can write this path, before there is anything to write.

    Raises:
        OSError: it can't be written.
    """
    if path.is_dir():
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR), str(path))
    if path.is_fifo() or path.is_char_device():
        return  # checking would open it, and the reader of a pipe would see it end
    partial, descriptor = create_beside(path, 0o600)
    os.close(descriptor)
    partial.unlink()


def sync_folder(folder: Path) -> None:
    """Flush a folder to disk, so that new and renamed files in it survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
