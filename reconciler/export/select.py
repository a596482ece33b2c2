"""Selects the live sessions of an export, gives them keys, and reports what a catalog can't express."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from reconciler.domain import Lifecycle, LiveSession, Session, Snapshot
from reconciler.errors import Problem, ReconcilerError, UsageError
from reconciler.export.keys import key_from_name, make_keys
from reconciler.ownership.key import KEY_RULE, is_key
from reconciler.ownership.reserved import reserved_kind
from reconciler.schemas import fits
from reconciler.strict_yaml.emit import obstacle
from reconciler.text.truncate import truncate
from reconciler.values import JSON

Only: TypeAlias = Literal["managed", "unmanaged", "all"]


@dataclass(frozen=True, slots=True)
class Exported:
    """A live session in the form of a catalog. With ``adopt``, it is unmanaged so far."""

    session: Session
    session_id: int
    adopt: bool


@dataclass(frozen=True, slots=True)
class Selection:
    """What is exported, in the order of session ids.

    ``left_out`` lists what was requested but can't be exported, ``notes`` what the user should know.
    ``catalog_id`` is the id that managed sessions carry; None if none does.
    """

    catalog: str
    environment: str | None
    sessions: tuple[Exported, ...]
    left_out: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()
    catalog_id: str | None = None


def select_sessions(
    snapshot: Snapshot,
    *,
    only: Only = "all",
    catalog: str | None = None,
    environment: str | None = None,
    folder: str = "",
) -> Selection:
    """Select the sessions of an export, and give them keys.

    Managed sessions have a tag with this catalog and environment, and keep their keys. Sessions of other catalogs are
    never exported, since they could not be adopted. Locks and probes are not exported either.

    Args:
        catalog: the name of the exported catalog. The default is that of the only live catalog; if there is none, or
            for unmanaged sessions only, that of the folder.
        folder: the name of the folder to export to.

    Raises:
        UsageError: the name of a catalog or an environment is invalid, or the catalog's name has to be given.
        ReconcilerError: a managed session can't be expressed in a catalog; a plan without it would delete it.
    """
    name = catalog or _name(snapshot, only, environment, folder)
    for what, given in (("catalog", name), ("environment", environment)):
        if given is not None and not is_key(given):
            raise UsageError(f"`{given}` is not a valid {what} name", KEY_RULE)
    found = _Found(name, environment)
    for live in snapshot:
        found.put(live)
    notes = [found.others_left_out()] if found.others and only != "unmanaged" else []
    left_out = list(found.unclear)
    sessions: list[Exported] = []
    unwritable: list[Problem] = []
    if only == "unmanaged" and found.managed:
        notes.append(_would_delete(name, len(found.managed)))
    for key, live in found.managed.items() if only != "unmanaged" else ():
        reason = _unwritable(live, key)
        if reason:
            unwritable.append(
                Problem(
                    f"{_label(live)} is managed, but can't be expressed in a catalog: {reason}",
                    "a plan of an export without it would delete it: fix it first, or export with --only=unmanaged",
                )
            )
        sessions.append(_exported(live, key, left_out, adopt=False))
    if unwritable:
        raise ReconcilerError(unwritable)
    if only != "managed":
        keys = make_keys(((live.session_id, live.name) for live in found.unmanaged), found.managed)
        for live in found.unmanaged:
            reason = _unwritable(live, keys[live.session_id])
            if reason:
                left_out.append(Problem(f"{_label(live)} is left out: {reason}"))
            else:
                sessions.append(_exported(live, keys[live.session_id], left_out, adopt=True))
    sessions.sort(key=lambda one: one.session_id)
    return Selection(
        name, environment, tuple(sessions), tuple(left_out), tuple(notes), _catalog_id(name, found)
    )


def live_environments(snapshot: Snapshot, only: Only, catalog: str | None) -> list[str]:
    """The environments to choose from, sorted: those that are live, of this catalog or of any. None if sessions are
    live without one, or are not asked for."""
    tags = [live.remark.tag for live in snapshot if live.remark.tag]
    found = {tag.identity.environment for tag in tags if catalog in (None, tag.identity.catalog)}
    return (
        []
        if only == "unmanaged" or None in found
        else sorted(name for name in found if name and is_key(name))
    )


def _name(snapshot: Snapshot, only: Only, environment: str | None, folder: str) -> str:
    """The default name of the exported catalog."""
    tags = [live.remark.tag for live in snapshot if live.remark.tag]
    # Anybody who can write a remark can write a tag. No catalog has a name that is not a key.
    live_names = sorted(
        {
            one.identity.catalog
            for one in tags
            if one.identity.environment == environment and is_key(one.identity.catalog)
        }
    )
    if only != "unmanaged" and live_names:
        if len(live_names) > 1:
            raise UsageError(
                f"the sessions of {len(live_names)} catalogs are live: {', '.join(live_names)}",
                "choose one with --catalog-name, or use --only=unmanaged for unmanaged sessions",
            )
        return live_names[0]
    name = key_from_name(folder)
    if any(tag.identity.catalog == name for tag in tags):
        raise UsageError(
            f"a catalog `{name}` is live already, and a plan of an export with that name would delete its sessions",
            "give the export another name with --catalog-name",
        )
    return name


def _catalog_id(name: str, found: _Found) -> str | None:
    """The id in the tags of the managed sessions.

    Raises:
        ReconcilerError: there are two.
    """
    tags = [live.remark.tag for live in found.managed.values()]
    ids = sorted({tag.catalog_id for tag in tags if tag is not None and tag.catalog_id is not None})
    if len(ids) > 1:
        raise ReconcilerError(
            f"the live sessions of {name} are those of {len(ids)} catalogs, with the ids {', '.join(ids)}",
            "export with --only=unmanaged, or give one of the catalogs another name",
        )
    return ids[0] if ids else None


class _Found:
    """The live sessions, by their relation to the exported catalog."""

    def __init__(self, catalog: str, environment: str | None) -> None:
        self.scope = (catalog, environment)
        self.managed: dict[str, LiveSession] = {}
        self.unmanaged: list[LiveSession] = []
        self.others: Counter[str] = Counter()
        self.unclear: list[Problem] = []

    def put(self, live: LiveSession) -> None:
        """Classify a session. Sessions have to come in the order of their ids."""
        tag = live.remark.tag
        if reserved_kind(live) is not None:
            return
        if live.remark.unreadable:
            self.unclear.append(
                Problem(
                    f"{_label(live)} is left out: its tag can't be read ({live.remark.unreadable})",
                    "a plan leaves it alone as well",
                )
            )
        elif tag is None:
            self.unmanaged.append(live)
        elif (tag.identity.catalog, tag.identity.environment) != self.scope:
            self.others[str(tag.identity).rpartition("/")[0]] += 1
        elif live.is_copy:
            self.unclear.append(
                Problem(
                    f"{_label(live)} is left out: it is a copy of #{tag.session_id}, with that one's tag",
                    f"a plan leaves it alone as well; `reconciler adopt KEY={live.session_id}` takes it over",
                )
            )
        elif tag.identity.key in self.managed:
            first = self.managed[tag.identity.key].session_id
            self.unclear.append(
                Problem(
                    f"{_label(live)} is left out: it has the identity of #{first}",
                    "a plan would delete one of the two; to keep both, remove the tag of one in a console",
                )
            )
        else:
            self.managed[tag.identity.key] = live

    def others_left_out(self) -> Problem:
        """The note on sessions of other catalogs."""
        count = self.others.total()
        who = ", ".join(sorted(self.others))
        sessions = "session of another catalog is" if count == 1 else "sessions of other catalogs are"
        return Problem(f"{count} {sessions} left out: {who}")


def _would_delete(name: str, count: int) -> Problem:
    one = count == 1
    what = f"the live session of `{name}` is" if one else f"the {count} live sessions of `{name}` are"
    return Problem(
        f"{what} not in this export, and a plan of it by itself would delete {'it' if one else 'them'}",
        "add the exported manifests to the folder of that catalog, or give the export another name",
    )


def _label(live: LiveSession) -> str:
    return f"#{live.session_id} `{truncate(live.name)}`" if live.name else f"#{live.session_id}"


def _unwritable(live: LiveSession, key: str) -> str:
    """Why a session can't be in any catalog, such as "it has no name"; empty if it can."""
    texts = {"name": live.name, "model": live.model, "prompt": live.prompt}
    for field, text in texts.items():
        if field != "prompt" and not text.strip():
            return f"it has no {field}"
        found = obstacle(text)
        if found:
            return f"its {field} holds {found}"
    if not is_key(key):
        return f"its key `{truncate(key)}` is not valid"
    if live.session_id < 1 or not fits({"sessions": {key: texts}}, "manifest"):
        return "a manifest does not accept its name, its model or its id"
    return ""


def _exported(live: LiveSession, key: str, left_out: list[Problem], *, adopt: bool) -> Exported:
    """A session with all fields that a manifest can hold. The others are added to ``left_out``."""
    tag = live.remark.tag
    base = tag.base if tag else None

    def kept(group: str, values: Mapping[str, JSON]) -> dict[str, JSON]:
        fields = {}
        for name, value in values.items():
            reason = _unfit(group, name, value)
            if not reason:
                fields[name] = value
                continue
            ours = base is not None and base.knows(f"{group}.{name}")
            hint = "a plan shows it as no longer managed; its value does not change" if ours else ""
            left_out.append(
                Problem(f"{_label(live)}: `{group}.{truncate(name)}` is left out: {reason}", hint)
            )
        return fields

    session = Session(
        key,
        live.name,
        live.model,
        live.prompt,
        kept("parameters", live.parameters),
        kept("data", live.data),
        kept("remark", live.remark.keys),
        Lifecycle(prevent_destroy=bool(tag and tag.protected)),
    )
    return Exported(session, live.session_id, adopt)


def _unfit(group: str, name: str, value: JSON) -> str:
    """Why a field can't be in a manifest; empty if it can."""
    found = obstacle({name: value})
    if found:
        return f"it holds {found}"
    # The schema accepts any data and remark; checking each value would be slow.
    if group == "parameters" and not fits({"sessions": {"any": {group: {name: value}}}}, "manifest"):
        return f"a manifest does not accept {truncate(str(value))}"
    return ""
