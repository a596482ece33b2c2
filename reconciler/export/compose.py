"""The files of an exported catalog. The same selection always gives the same files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from reconciler.catalog.documents import CATALOG_FILE
from reconciler.export.select import Exported, Selection
from reconciler.strict_yaml.emit import Prompt, entry_lines, key_text, mapping_lines
from reconciler.values import JSON, same

Layout: TypeAlias = Literal["one", "per-session"]

#: The manifest of all sessions, and the folders of manifests and prompts.
ONE_FILE: Final = "sessions/sessions.yaml"
SESSIONS: Final = "sessions"
PROMPTS: Final = "prompts"

_STEP: Final = 2
_ADOPTED: Final = (
    "# `adopt` is the id of the live session that a key takes over. Remove it once the adoption is applied."
)
# Control characters would survive in a text file, but nobody expects them there.
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f]|^\ufeff")


@dataclass(frozen=True, slots=True)
class _Defaults:
    """What most sessions share; ``parameters`` holds only those that every session has."""

    model: str | None = None
    parameters: Mapping[str, JSON] = field(default_factory=dict)


def compose_catalog(
    selection: Selection, *, layout: Layout = "per-session", prompt_files: bool = False
) -> dict[str, str]:
    """The files of a catalog, by path with ``/`` between folders; ``catalog.yaml`` comes last.

    Args:
        layout: all sessions in one manifest, or one manifest per session, named by its key.
        prompt_files: whether prompts go to files of their own. Prompts with control characters stay in the manifest,
            where these are visible.
    """
    sessions = selection.sessions
    defaults = _defaults(sessions)
    blocks = {
        one.session.key: _block(
            one, defaults, prompt_files, adopt=one.adopt and selection.environment is None
        )
        for one in sessions
    }
    files: dict[str, str] = {}
    if layout == "one" and blocks:
        body = "\n\n".join("\n".join(block) for block in blocks.values())
        files[ONE_FILE] = f"sessions:\n{body}\n"
    elif layout == "per-session":
        files = {f"{SESSIONS}/{key}.yaml": _text(["sessions:", *block]) for key, block in blocks.items()}
    if prompt_files:
        files |= {
            _prompt_file(one): one.session.prompt + "\n" for one in sessions if _fits_file(one.session.prompt)
        }
    files[CATALOG_FILE] = _head(selection, defaults)
    return files


def _head(selection: Selection, defaults: _Defaults) -> str:
    lines = [_ADOPTED] if any(one.adopt for one in selection.sessions) else []
    lines += ["version: 1", *entry_lines("catalog", selection.catalog, 0)]
    if selection.catalog_id is not None:
        lines += entry_lines("id", selection.catalog_id, 0)
    shared: dict[str, JSON] = {}
    if defaults.model is not None:
        shared["model"] = defaults.model
    if defaults.parameters:
        shared["parameters"] = dict(defaults.parameters)
    if shared:
        lines += ["", "defaults:", *mapping_lines(shared, _STEP)]
    if selection.environment is not None:
        adopt: dict[str, JSON] = {
            one.session.key: {"adopt": one.session_id} for one in selection.sessions if one.adopt
        }
        patches: dict[str, JSON] = {"sessions": adopt} if adopt else {}
        lines += ["", "environments:", *entry_lines(selection.environment, patches, _STEP)]
    return _text(lines)


def _block(one: Exported, defaults: _Defaults, prompt_files: bool, *, adopt: bool) -> list[str]:
    session = one.session
    fields: dict[str, JSON] = {"adopt": one.session_id} if adopt else {}
    fields["name"] = session.name
    if session.model != defaults.model:
        fields["model"] = session.model
    in_file = prompt_files and _fits_file(session.prompt)
    fields["prompt"] = {"file": _prompt_file(one)} if in_file else Prompt(session.prompt)
    own = {
        name: value
        for name, value in session.parameters.items()
        if name not in defaults.parameters or not same(value, defaults.parameters[name])
    }
    for group, values in (("parameters", own), ("data", session.data), ("remark", session.remark)):
        if values:
            fields[group] = dict(values)
    if session.lifecycle.prevent_destroy:
        fields["lifecycle"] = {"prevent_destroy": True}
    return [" " * _STEP + key_text(session.key), *mapping_lines(fields, 2 * _STEP)]


def _defaults(sessions: Sequence[Exported]) -> _Defaults:
    """The values that more than half of the sessions share."""
    models = Counter(one.session.model for one in sessions)
    parameters = {}
    for name in sessions[0].session.parameters if sessions else ():
        if all(name in one.session.parameters for one in sessions):
            shared = _most([one.session.parameters[name] for one in sessions])
            if shared is not None:
                parameters[name] = shared
    return _Defaults(_most(list(models.elements())), parameters)


def _most(values: Sequence[JSON]) -> JSON:
    """The value that more than half of them have."""
    value, count = Counter(values).most_common(1)[0] if values else (None, 0)
    return value if count > 1 and 2 * count > len(values) else None


def _prompt_file(one: Exported) -> str:
    return f"{PROMPTS}/{one.session.key}.md"


def _fits_file(prompt: str) -> bool:
    return bool(prompt) and not _CONTROL.search(prompt)


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
