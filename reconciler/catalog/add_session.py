"""Adding a session to a catalog (``reconciler new``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from reconciler.catalog.documents import read_text
from reconciler.catalog.files import Root, UnreadableError, check_path
from reconciler.catalog.load import environments, load
from reconciler.catalog.replace import replaced
from reconciler.errors import Problem, ReconcilerError, Refused, UsageError
from reconciler.ownership.key import KEY_RULE, is_key
from reconciler.strict_yaml.edit import set_value
from reconciler.strict_yaml.emit import entry_lines
from reconciler.values import JSON


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session to add. What is empty gets a default; ``prompt_file`` is created if it does not exist."""

    key: str
    file: str = ""
    name: str = ""
    model: str = ""
    prompt_file: str = ""


def add_session(root: Path, new: NewSession, variables: Mapping[str, JSON]) -> tuple[str, ...]:
    """Add a session to a catalog. Returns the files that were created or changed.

    It goes into the manifest that ``new`` names, or else into the only manifest, or else into a new one.

    Raises:
        UsageError: the key is not valid, or a path leads out of the catalog.
        Refused: there is such a session already.
        ReconcilerError: the catalog does not load, without the session or with it.
    """
    key = new.key
    if not is_key(key):
        raise UsageError(f"{key!r} is not a valid session key", KEY_RULE)
    for path in filter(None, (new.file, new.prompt_file)):
        try:
            check_path(path)
        except UnreadableError as error:
            raise UsageError(f"{path} {error.message}", error.hint) from None
    names: list[str | None] = [*environments(root)] or [None]
    before = [load(root, one, variables) for one in names]
    if any(key in one.catalog.sessions for one in before):
        raise Refused(f"there is already a session {key!r}", "choose another key")
    folder, manifests = before[0].root, before[0].manifests
    file = new.file or (manifests[0] if len(manifests) == 1 else f"sessions/{key}.yaml")
    files = _files(folder, file, new)
    with replaced(root, files):
        if not all(key in load(root, one, variables).catalog.sessions for one in names):
            raise ReconcilerError(
                Problem(
                    "the catalog does not include this file",
                    "name one that `include` in catalog.yaml matches, like sessions/more.yaml",
                    file,
                )
            )
    return tuple(files)


def _files(folder: Root, file: str, new: NewSession) -> dict[str, bytes]:
    """The files to write: the prompt's, if it is to have one and it does not exist, and the manifest."""
    name = new.name or re.sub(r"[-._]+", " ", new.key).title()
    text = f"You are {name}.\n\nAnswer in the language in which you are asked. If you do not know something, say so.\n"
    fields: dict[str, JSON] = {"name": name}
    if new.model:
        fields["model"] = new.model
    fields["prompt"] = {"file": new.prompt_file} if new.prompt_file else text
    files: dict[str, bytes] = {}
    if new.prompt_file and not folder.has(new.prompt_file):
        files[new.prompt_file] = text.encode()
    files[file] = _with_session(folder, file, new.key, fields)
    return files


def _with_session(folder: Root, file: str, key: str, fields: dict[str, Any]) -> bytes:
    """A manifest with one more session, or a new manifest if it does not exist."""
    if not (Path(folder.folder) / PurePosixPath(file)).exists():
        return ("sessions:\n" + "\n".join(entry_lines(key, fields, 2)) + "\n").encode()
    data, text = read_text(folder, file)
    mark = "\ufeff" if data.startswith("\ufeff".encode()) else ""
    return set_value(mark + text, ("sessions", key), fields, file=file).encode()
