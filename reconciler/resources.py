"""Folders of files that ship with the program but stand at the top of the repository: ``schemas`` and ``examples``."""

from __future__ import annotations

from pathlib import Path


def folder(name: str) -> Path:
    """The folder: inside the package where it is installed, at the top of the repository in a checkout.

    Raises:
        FileNotFoundError: neither is there, so the installation is damaged.
    """
    package = Path(__file__).parent
    for place in (package / name, package.parent / name):
        if place.is_dir():
            return place
    raise FileNotFoundError(f"reconciler is not installed completely: the folder {name} is missing")
