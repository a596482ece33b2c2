"""``reconciler init`` and ``reconciler new``: a catalog to begin with, and one more session for it.

Nothing that is there is ever overwritten, and what was written stays only if the catalog loads with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from reconciler import resources
from reconciler.catalog.files import Root, UnreadableError, check_path
from reconciler.catalog.load import CATALOG_FILE, environments, load_catalog
from reconciler.catalog.manifests import manifest_names
from reconciler.catalog.replace import replaced
from reconciler.errors import Problem, ReconcilerError, Refused, UsageError
from reconciler.state import FOLDER
from reconciler.strict_yaml.edit import set_value
from reconciler.strict_yaml.emit import entry_lines
from reconciler.strict_yaml.encoding import decode
from reconciler.strict_yaml.read import parse
from reconciler.values import JSON

#: The examples that a catalog can start from, and the systems that there are CI files for.
EXAMPLES: Final = ("bookshop", "academy")
CI: Final = ("github", "gitlab")

KEY: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
#: Of the files for GitHub, those that a first set-up needs.
_GITHUB: Final = ("pull-request.yml", "deploy.yml", "drift.yml")

_CATALOG = """\
# {name}: every persona of ours. `reconciler plan` shows what an apply would change.
version: 1
{catalog}

# What a session does not say for itself, it takes from here.
defaults:
  {model}
  parameters:
    temperature: 0.7
    max_tokens: 2000
    history_length: 8

# Deleting a session deletes its messages with it, for good.
policy:
  max_deletes: 5
"""
_SESSIONS = """\
# A session's key stays when its name changes; `reconciler new KEY` adds one.
sessions:
  guide:
    name: Guide
    prompt: |
      You are the guide of this place, and the first whom people meet.

      Ask what brings them here, and answer in two or three sentences, in the language in which you were
      asked. If you do not know something, say so.
"""


def slug(text: str) -> str:
    """A text as the name of a catalog; ``personas`` where nothing of it can stay."""
    found = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:63].strip("-._")
    return found or "personas"


@dataclass(frozen=True, slots=True)
class Started:
    """What ``init`` made: the files, and what is left for somebody to do."""

    name: str
    files: tuple[str, ...]
    remarks: tuple[str, ...]


def start(folder: Path, name: str, model: str, *, ci: str = "", example: str = "") -> Started:
    """Make a catalog.

    Args:
        folder: where; it is made if need be.
        ci: one of :data:`CI`, or empty.
        example: one of :data:`EXAMPLES`, which is copied under this name; or empty for one session.

    Raises:
        UsageError: the name can't be one.
        Refused: one of the files is there already.
        ReconcilerError: they can't be written, or what was in the folder before does not go with them.
    """
    if not KEY.fullmatch(name):
        raise UsageError(
            f"{name!r} can't be the name of a catalog",
            "use up to 63 of a-z, 0-9, `.`, `_` and `-`, starting with a letter or digit",
        )
    files = _example(example, name) if example else _first(name, model)
    files |= _ci_files(ci) if ci else {}
    remarks = []
    if (folder / ".gitignore").exists():
        remarks.append(f"Add {FOLDER}/ to .gitignore: it is for this machine alone.")
    else:
        files[".gitignore"] = f"# What runs leave on this machine.\n{FOLDER}/\n".encode()
    there = [file for file in files if (folder / file).exists() or (folder / file).is_symlink()]
    if there:
        raise Refused(f"{folder} has {', '.join(there[:5])} already", "start in a folder of its own")
    if ci and (top := _top(folder)) is not None and top != folder.resolve():
        remarks.append(
            f"Move the CI files to the top of the repository, {top}, and set the catalog's folder in them."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReconcilerError(
            f"the folder {folder} can't be made: {error.strerror}", "name another"
        ) from None
    with replaced(folder, files):
        _load(folder)
    return Started(name, tuple(files), tuple(remarks))


def _load(folder: Path) -> None:
    names: list[str | None] = [*environments(folder)] or [None]
    for name in names:
        load_catalog(folder, name)


def _first(name: str, model: str) -> dict[str, bytes]:
    [catalog] = entry_lines("catalog", name, 0)
    [written] = entry_lines("model", model, 0)
    text = _CATALOG.format(name=name, catalog=catalog, model=written)
    return {CATALOG_FILE: text.encode(), "sessions/first.yaml": _SESSIONS.encode()}


def _example(example: str, name: str) -> dict[str, bytes]:
    """The files of an example, as a catalog of this name."""
    folder = resources.folder("examples") / example
    files: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        if (
            path.is_file()
            and path.name != "README.md"
            and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        ):
            text = path.read_text(encoding="utf-8")
            # The editor's schemas lie elsewhere here.
            text = re.sub(r"\A# yaml-language-server: [^\n]*\n\n?", "", text)
            files[path.relative_to(folder).as_posix()] = text.encode()
    head = files[CATALOG_FILE].decode()
    files[CATALOG_FILE] = set_value(head, ("catalog",), name, file=CATALOG_FILE).encode()
    return files


def _ci_files(ci: str) -> dict[str, bytes]:
    folder = resources.folder("examples") / "ci" / ci
    if not folder.is_dir():
        raise ReconcilerError(f"this installation has no CI files for {ci}", "install the program again")
    if ci == "gitlab":
        return {".gitlab-ci.yml": (folder / ".gitlab-ci.yml").read_bytes()}
    return {f".github/workflows/reconciler-{name}": (folder / name).read_bytes() for name in _GITHUB}


def _top(folder: Path) -> Path | None:
    """The top of the git repository that a folder is in."""
    here = folder.resolve()
    return next((one for one in (here, *here.parents) if (one / ".git").exists()), None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A session to add. What is empty is left to be chosen; ``prompt_file`` is made where it is not there."""

    key: str
    file: str = ""
    name: str = ""
    model: str = ""
    prompt_file: str = ""


def add(root: Path, wanted: Wanted, variables: Mapping[str, JSON]) -> tuple[str, ...]:
    """Add a session to a catalog; gives the files that were made or changed.

    It goes to the file that is named; else to the only manifest there is, or into one of its own.

    Raises:
        UsageError: the key can't be one, or a path leads out of the catalog.
        Refused: there is such a session.
        ReconcilerError: the catalog does not load, without it or with it.
    """
    key = wanted.key
    if not KEY.fullmatch(key):
        raise UsageError(
            f"{key!r} can't be the key of a session",
            "use up to 63 of a-z, 0-9, `.`, `_` and `-`, starting with a letter or digit",
        )
    for path in filter(None, (wanted.file, wanted.prompt_file)):
        try:
            check_path(path)
        except UnreadableError as error:
            raise UsageError(f"{path} {error.message}", error.hint) from None
    names: list[str | None] = [*environments(root)] or [None]
    before = [load_catalog(root, one, variables) for one in names]
    if any(key in catalog.sessions for catalog in before):
        raise Refused(f"there is a session {key!r} already", "choose another key")
    folder = Root(root)
    manifests = manifest_names(folder, _document(folder, CATALOG_FILE))
    file = wanted.file or (manifests[0] if len(manifests) == 1 else f"sessions/{key}.yaml")
    name = wanted.name or re.sub(r"[-._]+", " ", key).title()
    text = f"You are {name}.\n\nAnswer in the language in which you are asked. If you do not know something, say so.\n"
    fields: dict[str, Any] = {"name": name}
    if wanted.model:
        fields["model"] = wanted.model
    fields["prompt"] = {"file": wanted.prompt_file} if wanted.prompt_file else text
    files: dict[str, bytes] = {}
    if wanted.prompt_file and not folder.has(wanted.prompt_file):
        files[wanted.prompt_file] = text.encode()
    files[file] = _with_session(folder, file, key, fields)
    with replaced(root, files):
        after = [load_catalog(root, one, variables) for one in names]
        if not all(key in catalog.sessions for catalog in after):
            raise ReconcilerError(
                Problem(
                    "the catalog does not include this file",
                    "name one that `include` in catalog.yaml matches, like sessions/more.yaml",
                    file,
                )
            )
    return tuple(files)


def _document(folder: Root, name: str) -> JSON:
    data = folder.read(name)
    return parse(data, data.decode("utf-8-sig")).document


def _with_session(folder: Root, file: str, key: str, fields: Mapping[str, Any]) -> bytes:
    """A manifest with one more session; one that is not there yet is made."""
    if not (Path(folder.folder) / PurePosixPath(file)).exists():
        return ("sessions:\n" + "\n".join(entry_lines(key, dict(fields), 2)) + "\n").encode()
    try:
        data = folder.read(file)
    except UnreadableError as error:
        raise ReconcilerError(Problem(f"this file {error.message}", error.hint, file)) from None
    text = decode(file, data)
    if isinstance(text, Problem):
        raise ReconcilerError(text)
    mark = "\ufeff" if data.startswith("\ufeff".encode()) else ""
    return set_value(mark + text, ("sessions", key), dict(fields), file=file).encode()
