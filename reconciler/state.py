"""The folder ``.reconciler``: what runs leave on this machine. No plan needs it; there is no state file."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Final, Protocol

from reconciler.disk import create_beside
from reconciler.errors import ReconcilerError

FOLDER = ".reconciler"

#: The file with the salt for marks of API keys (:mod:`reconciler.ownership.account`): 64 hexadecimal digits.
SALT = "salt"


class Store(Protocol):
    """Where a state folder outlives the machine. For any thread."""

    def fetch(self) -> None:
        """Bring what earlier processes saved into the folder. Called before anything in it is read.

        Raises:
            ReconcilerError: that is not possible now. The folder must not be relied on; try again later.
        """

    def save(self, path: Path) -> None:
        """Save a file of the folder. It is on disk.

        Raises:
            ReconcilerError: it is not saved. Whatever relies on it must not be done.
        """


class OnDisk:
    """The store of a folder that is nowhere but on this disk."""

    def fetch(self) -> None:
        """Nothing is elsewhere."""

    def save(self, path: Path) -> None:
        """The disk has it."""


ON_DISK: Final = OnDisk()


def open_state(folder: Path) -> Path:
    """The folder, created if it does not exist: readable by its owner only, and ignored by git.

    Raises:
        ReconcilerError: it can't be created or written to, or it contains a symbolic link.
    """
    try:
        for path in (folder, *(folder.iterdir() if folder.is_dir() else ())):
            # A catalog may come from a stranger's pull request, which must not decide where we read and write.
            if path.is_symlink():
                raise ReconcilerError(
                    f"{path} is a symbolic link", "remove it, or name a folder with --state-dir"
                )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise ReconcilerError(
            f"the folder {folder} can't be written: {error.strerror}",
            "it holds the archive and the journal, without which nothing is written to the service",
        ) from None
    return folder


def read_salt(folder: Path) -> bytes | None:
    """The salt for marks of API keys, random for each state folder; None if it is missing or unreadable."""
    try:
        descriptor = os.open(folder / SALT, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            text = file.read(100).decode("ascii", "replace").strip()
    except OSError:
        return None
    return bytes.fromhex(text) if re.fullmatch("[0-9a-f]{64}", text) else None


def make_salt(folder: Path) -> None:
    """Make a salt in the folder unless there is one. Where that fails, no keys are marked.

    Two runs may make one at the same time. The last wins, and the mark of the other can't be compared with later ones.
    """
    if read_salt(folder) is not None:
        return
    try:
        partial, descriptor = create_beside(open_state(folder) / SALT, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
        partial.replace(folder / SALT)
    except (OSError, ReconcilerError):
        return
