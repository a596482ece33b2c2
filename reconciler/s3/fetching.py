"""What a bucket holds of a state folder, brought back to a disk.

``NAME`` is that of a resource, ``NAMESPACE/NAME``:

- ``archive/NAME/ID.json``: an archived session, never overwritten.
- ``state/NAME/00000007.json``: the small files of the folder, as the seventh process left them that had it. The highest
  number counts. Each process has a number of its own, so that one that has lost its lease can't overwrite what the next
  one saves.
- ``state/NAME/00000007-TAG-0001.jsonl``: what that process wrote to the journal. TAG is random, and keeps two processes
  apart where a service does not know conditional writes. Only the process that began a part overwrites it, by a longer
  one with the same beginning.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Final

from reconciler.apply import archive as archives
from reconciler.apply import journal as journals
from reconciler.controller import memory
from reconciler.disk import open_regular, write_durably
from reconciler.errors import ReconcilerError
from reconciler.s3.bucket import Bucket
from reconciler.state import SALT, open_state

ARCHIVE: Final = "archive"
STATE: Final = "state"
#: The small files of a state folder that outlive it.
FILES: Final = (memory.FILE, SALT)

_TERM: Final = re.compile(r"(\d{8})\.json")
_PART: Final = re.compile(r"\d{8}-[0-9a-f]{8}-\d{4,}\.jsonl")
_ARCHIVED: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,200}\.json")
#: How many objects are read at the same time.
_AT_ONCE: Final = 8


def newest_term(names: Iterable[str]) -> int:
    """The number of the last process that had the folder; 0 if none had."""
    return max((int(found[1]) for one in names if (found := _TERM.fullmatch(one))), default=0)


def small_files(bucket: Bucket, name: str, term: int) -> dict[str, str]:
    """The small files of a folder, as a process left them.

    Raises:
        ReconcilerError: they can't be read.
    """
    key = f"{STATE}/{name}/{term:08}.json"
    try:
        found = json.loads(bucket.get(key))["files"]
        return {one: found[one] for one in FILES if isinstance(found.get(one), str)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ReconcilerError(
            f"{bucket.name(key)} is not what this program wrote",
            "restore an earlier version of the object, or delete it: then the one before it counts",
        ) from None


def mark_saved(path: Path) -> None:
    """Note that the bucket has a small file as it is. Whoever writes it later, without a bucket, gives it another time.

    Raises:
        OSError: that is not possible.
    """
    os.utime(path, (0, 0))


def restore_small_files(folder: Path, files: Mapping[str, str], saved: datetime) -> None:
    """Write small files that were ``saved`` then. One on disk that was written later, without a bucket, stays.

    Raises:
        OSError: they can't be written.
    """
    for name, text in files.items():
        path = folder / name
        if name != SALT and path.exists() and path.lstat().st_mtime > saved.timestamp():
            continue
        if _read(path) != text.encode():
            write_durably(path, text)


def saved_journal(bucket: Bucket, name: str, names: Iterable[str]) -> bytes:
    """All of the journal that is saved, oldest first.

    Raises:
        ReconcilerError: some of it can't be read.
    """
    parts = [f"{STATE}/{name}/{one}" for one in sorted(names) if _PART.fullmatch(one)]
    with ThreadPoolExecutor(_AT_ONCE, "fetch") as pool:
        return b"".join(
            data if data.endswith(b"\n") else data + b"\n" for data in pool.map(bucket.get, parts)
        )


def merge_journal(folder: Path, saved: bytes) -> bytes:
    """Make the journal of a folder hold all that is saved, too. Returns the lines that were only in the folder.

    The lines of a run stay together, since a catalog has one run at a time: what was saved late is in its place.

    Raises:
        OSError: the journal can't be read or written.
    """
    path = folder / journals.FILE
    known = _read(path) or b""
    runs: dict[str, dict[bytes, None]] = {}
    for run, line in _lines(saved):
        runs.setdefault(run, {})[line] = None
    there = {line for lines in runs.values() for line in lines}
    only_here: list[bytes] = []
    on_disk = set()
    for run, line in _lines(known):
        on_disk.add(line)
        if line not in there:
            only_here.append(line)
            runs.setdefault(run, {})[line] = None
    if not there <= on_disk:
        merged = b"".join(line for lines in runs.values() for line in lines)
        write_durably(path, merged.decode("utf-8", "surrogatepass"))
    return b"".join(only_here)


def _lines(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The entries of a journal, each with its run. Torn lines are left out."""
    for line in data.splitlines(keepends=True):
        try:
            run = json.loads(line.decode("utf-8", "surrogatepass"))["run"]
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if isinstance(run, str) and line.endswith(b"\n"):
            yield run, line


def _read(path: Path) -> bytes | None:
    try:
        with open_regular(path) as file:
            return file.read()
    except FileNotFoundError:
        return None


def fetch_all(bucket: Bucket, name: str, folder: Path) -> tuple[int, int]:
    """Bring the archive and the journal of a resource into a state folder, to restore sessions from it. Files that are
    there are left as they are. Returns how many archived sessions were fetched, and how many there are.

    Raises:
        ReconcilerError: something can't be read or written.
    """
    open_state(folder)
    names = bucket.list(f"{STATE}/{name}")
    archived = [one for one in bucket.list(f"{ARCHIVE}/{name}") if _ARCHIVED.fullmatch(one)]
    if not names and not archived:
        raise ReconcilerError(
            f"there is nothing of {name} in {bucket.place}", "name a resource as NAMESPACE/NAME"
        )
    into = folder / archives.FOLDER
    missing = [one for one in archived if not (into / one).exists()]

    def fetch(one: str) -> None:
        write_durably(into / one, bucket.get(f"{ARCHIVE}/{name}/{one}").decode("utf-8", "surrogatepass"))

    try:
        merge_journal(folder, saved_journal(bucket, name, names))
        if (term := newest_term(names)) and not (folder / SALT).exists():
            salt = small_files(bucket, name, term).get(SALT)
            restore_small_files(folder, {SALT: salt} if salt else {}, datetime.now().astimezone())
        into.mkdir(mode=0o700, exist_ok=True)
        with ThreadPoolExecutor(_AT_ONCE, "fetch") as pool:
            list(pool.map(fetch, missing))
    except OSError as error:
        raise ReconcilerError(
            f"the folder {folder} can't be written: {error.strerror}",
            "make room, or name another --state-dir",
        ) from None
    except UnicodeDecodeError:
        raise ReconcilerError(f"{bucket.place} holds an archived session that is not text") from None
    return len(missing), len(archived)
