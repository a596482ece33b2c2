"""Writes an exported catalog: overwrites nothing without --force, and checks that it loads as what is live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from reconciler.catalog.documents import CATALOG_FILE, DEFAULT_INCLUDE
from reconciler.catalog.files import Root, UnreadableError
from reconciler.catalog.load import load_catalog
from reconciler.catalog.replace import replaced
from reconciler.errors import CatalogError, Problem, ReconcilerError, Refused
from reconciler.export.select import Selection
from reconciler.values import MISSING, same

#: How many files a message names.
_NAMED = 5


def check_folder(folder: Path, files: Sequence[str] = (CATALOG_FILE,), *, force: bool) -> None:
    """Check that an export to this folder overwrites nothing without ``force``, and mixes with no other manifests.

    Args:
        files: the files that the export will write, as far as they are known.

    Raises:
        Refused: files of these names exist and ``force`` is false, or the folder has manifests that the export does
            not replace, which would become part of the catalog.
    """
    there = [file for file in files if (folder / file).exists() or (folder / file).is_symlink()]
    if there and not force:
        raise Refused(
            f"{folder} already has {_few(there)}",
            "export to an empty folder, or overwrite with --force",
        )
    if CATALOG_FILE in files and len(files) > 1 and folder.is_dir():
        try:
            root = Root(folder)
            found = {file for pattern in DEFAULT_INCLUDE for file in root.expand(pattern)}
            others = sorted(found.difference(files))
        except UnreadableError as error:
            raise Refused(f"{folder} {error.message}", error.hint) from None
        if others:
            raise Refused(
                f"{folder} has manifests that would become part of the exported catalog: {_few(others)}",
                "remove them, or export to an empty folder",
            )


def _few(files: Sequence[str]) -> str:
    more = len(files) - _NAMED
    return ", ".join(files[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def write_catalog(
    folder: Path, selection: Selection, files: Mapping[str, str], *, force: bool = False
) -> None:
    """Write the files of an export, load them, and compare. If anything fails, the folder is restored.

    Raises:
        Refused: something would be overwritten without ``force``, or other manifests would be mixed in.
        ReconcilerError: a file can't be written, or the export would not load as what is live.
    """
    check_folder(folder, list(files), force=force)
    data: dict[str, bytes | None] = {path: text.encode() for path, text in files.items()}
    # A folder without catalog.yaml is not a catalog, so nobody can plan with an interrupted export.
    with replaced(folder, {CATALOG_FILE: None}), replaced(folder, data):
        _check(folder, selection)


def _check(folder: Path, selection: Selection) -> None:
    try:
        loaded = load_catalog(folder, selection.environment)
    except CatalogError as error:
        raise ReconcilerError(
            [
                Problem(f"the export would not load: {one.message}", one.hint, one.file)
                for one in error.problems
            ]
        ) from None
    adopt = {one.session.key: one.session_id for one in selection.sessions if one.adopt}
    if (loaded.name, len(loaded.sessions), dict(loaded.adopt)) != (
        selection.catalog,
        len(selection.sessions),
        adopt,
    ):
        raise ReconcilerError("the export would not load as the live sessions: some are missing")
    for one in selection.sessions:
        session = loaded.sessions[one.session.key]
        wanted, found = one.session.fields(), session.fields()
        wrong = [
            path for path in wanted | found if not same(wanted.get(path, MISSING), found.get(path, MISSING))
        ]
        if wrong or session.lifecycle != one.session.lifecycle:
            raise ReconcilerError(
                f"the export of #{one.session_id} would not load as it is live: {_few(wrong) or 'lifecycle'}",
                "please report this; to continue, export without this session",
            )
