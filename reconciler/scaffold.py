"""``reconciler init``: a first catalog. Nothing is overwritten, and what was written stays only if it loads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler import resources
from reconciler.catalog.documents import CATALOG_FILE
from reconciler.catalog.load import environments, load_catalog
from reconciler.catalog.replace import replaced
from reconciler.catalog.write_id import with_id
from reconciler.errors import ReconcilerError, Refused, UsageError
from reconciler.ownership.catalog_id import new_catalog_id
from reconciler.ownership.key import KEY_RULE, is_key, suggest_key
from reconciler.state import FOLDER
from reconciler.strict_yaml.edit import set_value
from reconciler.strict_yaml.emit import entry_lines

#: The examples that a catalog can start from, and the systems that there are CI files for.
EXAMPLES: Final = ("bookshop", "academy")
CI: Final = ("github", "gitlab")

#: Of the files for GitHub, those that a first set-up needs.
_GITHUB: Final = ("pull-request.yml", "deploy.yml", "drift.yml")

_CATALOG = """\
# {name}: all of our personas. `reconciler plan` shows what an apply would change.
version: 1
{catalog}
# Distinguishes this catalog from others of the same name. Keep it.
id: {id}

# A session inherits what it does not set itself.
defaults:
  {model}
  parameters:
    temperature: 0.7
    max_tokens: 2000
    history_length: 8

# With a session, its messages are deleted. An apply that would delete more sessions than this is refused.
policy:
  max_deletes: 5
"""
_IGNORED = f"""\
# What runs leave on this machine.
{FOLDER}/
# Plans, which hold prompts, and what `reconciler snapshot` and `plan --out-file` write.
plan.json
*.plan.json
/plan.md
/plan.html
live.json
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
    """The catalog name that is most like a text; ``personas`` if nothing of the text is left."""
    return suggest_key(text) or "personas"


@dataclass(frozen=True, slots=True)
class Scaffold:
    """What ``init`` created, and what is left to do by hand."""

    name: str
    files: tuple[str, ...]
    remarks: tuple[str, ...]


def start(folder: Path, name: str, model: str, *, ci: str = "", example: str = "") -> Scaffold:
    """Create a catalog.

    Args:
        folder: where; created if it does not exist.
        ci: one of :data:`CI`, or empty.
        example: one of :data:`EXAMPLES`, which is copied under this name; or empty for one session.

    Raises:
        UsageError: the name is not valid.
        Refused: one of the files exists already.
        ReconcilerError: they can't be written, or the folder's other files keep the catalog from loading.
    """
    if not is_key(name):
        raise UsageError(f"{name!r} is not a valid catalog name", KEY_RULE)
    files = _example(example, name) if example else _first(name, model)
    files |= _ci_files(ci) if ci else {}
    remarks = []
    if (folder / ".gitignore").exists():
        remarks.append(f"Add {FOLDER}/ and plan files to .gitignore: they are for this machine alone.")
    else:
        files[".gitignore"] = _IGNORED.encode()
    there = [file for file in files if (folder / file).exists() or (folder / file).is_symlink()]
    if there:
        raise Refused(f"{folder} already has {', '.join(there[:5])}", "start in another folder")
    if ci and (top := _top(folder)) is not None and top != folder.resolve():
        remarks.append(
            f"Move the CI files to the top of the repository, {top}, and set the catalog's folder in them."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReconcilerError(
            f"the folder {folder} can't be created: {error.strerror}", "choose another folder"
        ) from None
    with replaced(folder, files):
        _load(folder)
    return Scaffold(name, tuple(files), tuple(remarks))


def _load(folder: Path) -> None:
    names: list[str | None] = [*environments(folder)] or [None]
    for name in names:
        load_catalog(folder, name)


def _first(name: str, model: str) -> dict[str, bytes]:
    [catalog] = entry_lines("catalog", name, 0)
    [written] = entry_lines("model", model, 0)
    text = _CATALOG.format(name=name, catalog=catalog, id=new_catalog_id(), model=written)
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
    head = with_id(set_value(head, ("catalog",), name, file=CATALOG_FILE), new_catalog_id())
    files[CATALOG_FILE] = head.encode()
    return files


def _ci_files(ci: str) -> dict[str, bytes]:
    folder = resources.folder("examples") / "ci" / ci
    if not folder.is_dir():
        raise ReconcilerError(f"this installation has no CI files for {ci}", "reinstall the program")
    if ci == "gitlab":
        return {".gitlab-ci.yml": (folder / ".gitlab-ci.yml").read_bytes()}
    return {f".github/workflows/reconciler-{name}": (folder / name).read_bytes() for name in _GITHUB}


def _top(folder: Path) -> Path | None:
    """The top of the git repository that a folder is in."""
    here = folder.resolve()
    return next((one for one in (here, *here.parents) if (one / ".git").exists()), None)
