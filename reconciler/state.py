"""The folder ``.reconciler``: what runs leave on this machine. No plan needs it; there is no state file."""

from __future__ import annotations

from pathlib import Path

from reconciler.errors import ReconcilerError

FOLDER = ".reconciler"


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
