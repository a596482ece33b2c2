"""Where an accepted value is written: the block of a session, an environment's patch, the defaults, a prompt's file."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

from reconciler.catalog.accept_parts import Fragments, Piece, Spot, fitting, is_composed, separator
from reconciler.catalog.documents import CATALOG_FILE, read_text
from reconciler.catalog.layers import overlay
from reconciler.catalog.loaded import Loaded
from reconciler.catalog.tables import Cells
from reconciler.errors import Problem, ReconcilerError
from reconciler.strict_yaml.change import Change
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.read import parse
from reconciler.text.normalise import normalise_prompt
from reconciler.text.paste import command
from reconciler.values import JSON, MISSING, same

#: In a catalog with environments: the environment's patches, or the manifests, which all environments share.
Into: TypeAlias = Literal["environment", "file"]

_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A live value to accept. ``path`` names the field, as in ``parameters.temperature``; ``value`` is
    :data:`~reconciler.values.MISSING` for a field that the live session does not have."""

    key: str
    path: str
    value: JSON

    def __str__(self) -> str:
        return f"{self.key}.{self.path}"

    @property
    def steps(self) -> tuple[str, ...]:
        """The way to the field within the session's block."""
        group, dot, name = self.path.partition(".")
        return (group, name) if dot else (group,)

    @property
    def written(self) -> JSON:
        """The value as the catalog has it: prompts are normalised."""
        return normalise_prompt(self.value) if self.path == "prompt" else self.value

    def impossible(self, why: str, hint: str) -> ReconcilerError:
        """The error that this value can't be accepted."""
        return ReconcilerError(Problem(f"`{self}` can't be accepted: {why}", hint))


@dataclass(frozen=True, slots=True)
class Target:
    """Where values are written: by a change to a document or, with ``edit`` None, as the new text of a prompt's file.

    ``place`` says it for people where it is not the session's own block.
    """

    accepted: tuple[Accepted, ...]
    file: str
    edit: Change | None
    text: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class _Layer:
    file: str
    path: NodePath
    fields: Mapping[str, Any]
    cells: Cells | None = None

    def has(self, steps: Sequence[str]) -> bool:
        """Whether the layer says something about a field."""
        found = self.fields.get(steps[0], MISSING)
        return found is not MISSING and (len(steps) == 1 or (isinstance(found, dict) and steps[1] in found))


class Places:
    """The blocks, documents and prompt files of a catalog that loads."""

    def __init__(self, loaded: Loaded, into: Into) -> None:
        self.loaded = loaded
        name = loaded.environment.name
        self.environment = name if loaded.has_environments else None
        self.into_patch = self.environment is not None and into == "environment"
        self.documents = {file: self._document(file) for file in (CATALOG_FILE, *loaded.manifests)}
        self.mentions = Counter(file for document in self.documents.values() for file in _files(document))
        self.defaults = [_Layer(one.source.file, one.path, one.fields) for one in loaded.defaults]

    def _document(self, file: str) -> dict[str, Any]:
        text = self.text(file).removeprefix(_MARK)
        document = parse(text.encode(), text).document
        return document if isinstance(document, dict) else {}

    def text(self, file: str) -> str:
        """The text of a file, with its line ends and its byte order mark.

        Raises:
            CatalogError: the file was removed in the meantime.
        """
        data, _ = read_text(self.loaded.root, file)
        return data.decode()

    def targets(
        self, wanted: Sequence[Accepted], impossible: Callable[[ReconcilerError], None]
    ) -> list[Target]:
        """Where each of these values is written. Errors about values that have no place go to ``impossible``."""
        found = self._everywhere(wanted)
        done = {change for target in found for change in map(str, target.accepted)}
        prompts = {change.key: change for change in wanted if change.path == "prompt"}
        for change in wanted:
            if str(change) in done:
                continue
            try:
                found.append(self._target(change, prompts))
            except ReconcilerError as error:
                impossible(error)
        return _merged(found)

    # --- layers ----------------------------------------------------------------------------------------

    def _layers(self, key: str) -> list[_Layer]:
        """The layers of a session, the lowest first, without the defaults."""
        composed = self.loaded.composed.get(key)
        if composed is None:
            file = self.loaded.files[key]
            return [_Layer(file, ("sessions", key), self.documents[file]["sessions"][key])]
        own = composed[len(self.defaults) :]
        return [_Layer(one.source.file, one.path, one.fields, one.cells) for one in own]

    def _patch(self, key: str) -> NodePath:
        return ("environments", self.environment or "", "sessions", key)

    def _block(self, change: Accepted) -> tuple[_Layer, Mapping[str, Any]]:
        """The block that gets a session's value, and what it inherits.

        Raises:
            ReconcilerError: there is none, because the session is one of several.
        """
        layers = [*self.defaults, *self._layers(change.key)]
        patch = self._patch(change.key)
        patched = layers[-1].path == patch
        if self.into_patch and not patched:
            layers.append(_Layer(CATALOG_FILE, patch, {}))
        elif not self.into_patch and patched and not layers[-1].has(change.steps):
            # A patch without the field leaves it to the layers below.
            layers = layers[: 1 + max(at for at, one in enumerate(layers) if one.path[:1] == ("sessions",))]
        block = layers[-1]
        if "matrix" in block.fields or "from" in block.fields:
            made = block.path[-1]
            raise change.impossible(
                f"this session is one of several made from `{made}`", _by_hand(block, change)
            )
        inherited: dict[str, Any] = {}
        for layer in layers[:-1]:
            inherited = overlay(inherited, layer.fields)
        return block, inherited

    # --- the defaults ----------------------------------------------------------------------------------

    def _everywhere(self, wanted: Sequence[Accepted]) -> list[Target]:
        """The values that changed alike in every session that takes them from the defaults: they belong there."""
        by_field: dict[str, list[Accepted]] = defaultdict(list)
        for change in wanted:
            group = change.steps[0]
            if (
                group not in ("name", "prompt")
                and change.value is not MISSING
                and not isinstance(change.value, dict)
            ):
                by_field[change.path].append(change)
        targets = []
        for changes in by_field.values():
            steps = changes[0].steps
            layer = next((one for one in reversed(self.defaults) if one.has(steps)), None)
            if layer is None or len(changes) < 2:
                continue
            heirs = {key for key in self.loaded.catalog.sessions if not self._says(key, steps)}
            taken = [change for change in changes if change.key in heirs]
            alike = all(same(change.value, taken[0].value) for change in taken)
            if len(heirs) < 2 or not alike or len(taken) < len(heirs):
                continue
            place = layer.path
            if self.into_patch and place == ("defaults",):
                place = ("environments", self.environment or "", "defaults")
            edit = Change("set", (*place, *steps), taken[0].value)
            what = (
                f"the defaults{' of ' + str(place[1]) if len(place) > 1 else ''}, for {len(heirs)} sessions"
            )
            targets.append(Target(tuple(taken), CATALOG_FILE, edit, place=what))
        return targets

    def _says(self, key: str, steps: Sequence[str]) -> bool:
        return any(layer.has(steps) for layer in self._layers(key))

    # --- one value -------------------------------------------------------------------------------------

    def _target(self, change: Accepted, prompts: Mapping[str, Accepted]) -> Target:
        """Where one value is written. ``prompts`` are all prompts that are accepted, by key.

        Raises:
            ReconcilerError: nowhere.
        """
        if change.path == "prompt" and is_composed(self._prompt(change.key)[0]):
            return self._part_target(change, prompts)
        block, inherited = self._block(change)
        place = "" if block.path[:1] == ("sessions",) else f"the environment `{self.environment}`"
        if change.path == "prompt":
            prompt = block.fields.get("prompt")
            if (
                isinstance(prompt, dict)
                and "file" in prompt
                and self._file_is_free(prompt["file"], change, prompts)
            ):
                return Target((change,), prompt["file"], None, str(change.written))
        return Target((change,), block.file, self._edit(block, inherited, change), place=place)

    def _edit(self, block: _Layer, inherited: Mapping[str, Any], change: Accepted) -> Change:
        """The change to the document that holds a block.

        Raises:
            ReconcilerError: the name lacks the environment's prefix or suffix.
        """
        path = (*block.path, *change.steps)
        group, *name = change.steps
        if group == "name":
            return Change("set", path, self._without_affixes(change))
        if not name:
            return Change("set", path, change.written, prompt=group == "prompt")
        below = (inherited.get(group) or {}).get(name[0], MISSING)
        own = (block.fields.get(group) or {}).get(name[0], MISSING)
        if change.value is not MISSING:
            return Change("set", path, _over(below, own, change.value))
        # Null removes an inherited value.
        return Change("remove", path) if below is MISSING else Change("set", path, None)

    def _without_affixes(self, change: Accepted) -> str:
        name, prefix, suffix = (
            str(change.value),
            self.loaded.environment.prefix,
            self.loaded.environment.suffix,
        )
        if not (name.startswith(prefix) and name.endswith(suffix) and len(name) > len(prefix) + len(suffix)):
            raise change.impossible(
                f"in this environment, names start with `{prefix}` and end with `{suffix}`",
                "change the live name back, or edit the environment's `name_prefix` and `name_suffix`",
            )
        return name[len(prefix) : len(name) - len(suffix)]

    # --- prompts ---------------------------------------------------------------------------------------

    def _prompt(self, key: str) -> tuple[Any, Spot]:
        """What a session's prompt is made from, and where that is written."""
        layer = next(one for one in reversed([*self.defaults, *self._layers(key)]) if "prompt" in one.fields)
        return layer.fields["prompt"], (layer.file, (*layer.path, "prompt"))

    def _pieces(self, key: str) -> list[Piece]:
        prompt, spot = self._prompt(key)
        if not is_composed(prompt):
            path = prompt.get("file") if isinstance(prompt, dict) else None
            return [Piece((path, ()) if path else spot, None)]
        return self._fragments.pieces(prompt, spot)

    @cached_property
    def _fragments(self) -> Fragments:
        declared = {
            name: (use.source.file, self.documents[use.source.file]["fragments"][name])
            for name, use in self.loaded.fragments.items()
        }
        return Fragments(declared, lambda file: self.text(file).removeprefix(_MARK))

    @cached_property
    def _users(self) -> Mapping[Spot, list[str]]:
        """The sessions by the texts that their prompts are made from."""
        users: dict[Spot, list[str]] = defaultdict(list)
        for key in self.loaded.catalog.sessions:
            for spot in dict.fromkeys(piece.spot for piece in self._pieces(key)):
                users[spot].append(key)
        return users

    def _file_is_free(self, file: str, change: Accepted, prompts: Mapping[str, Accepted]) -> bool:
        """Whether a prompt's file may be written: nothing else uses it, or all that do have the same new prompt."""
        if self.mentions[file] == 1 and len(self._users[file, ()]) == 1:
            return True
        users = self._users[file, ()]
        alike = all(
            key in prompts
            and prompts[key].written == change.written
            and not is_composed(self._prompt(key)[0])
            for key in users
        )
        return alike and not self.into_patch and self.mentions[file] <= len(users)

    def _part_target(self, change: Accepted, prompts: Mapping[str, Accepted]) -> Target:
        """The part of a composed prompt that a change lies in.

        Raises:
            ReconcilerError: it lies in several parts, in a template, or in a part that other sessions use.
        """
        explain = command("explain", change.key, environment=self.environment)
        by_hand = f"edit the part by hand; {explain} shows where each is"
        piece, text = self._changed_part(change, by_hand)
        file, path = piece.spot
        name = f"fragment `{piece.fragment}`" if piece.fragment else f"part {file}" if not path else "a part"
        users = self._users[piece.spot]
        others = [
            key for key in users if key != change.key and not self._takes_too(key, piece.spot, text, prompts)
        ]
        if others or (not path and self.mentions[file] > 1):
            who = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
            raise change.impossible(
                f"it lies in {name}, which others use, too{': ' + who if who else ''}",
                f"edit it in {file} by hand for all of them, or give `{change.key}` a part of its own",
            )
        if self.into_patch and path[:2] != ("environments", self.environment):
            accept = ("drift", f"--accept={change}", "--into=file")
            raise change.impossible(
                f"it lies in {name}, which other environments use, too",
                f"write it for all environments: {command(*accept, environment=self.environment)}",
            )
        if not path:
            return Target((change,), file, None, text, name)
        return Target((change,), file, Change("set", path, text, prompt=True), place=name)

    def _changed_part(self, change: Accepted, by_hand: str) -> tuple[Piece, str]:
        """The one part that a change lies in, and its new text."""
        prompt, _ = self._prompt(change.key)
        pieces = self._pieces(change.key)
        before = self.loaded.catalog.sessions[change.key].prompt
        found = fitting(pieces, separator(prompt), before, str(change.written))
        if not found:
            raise change.impossible(
                "the prompt has several parts, and more than one of them changed", by_hand
            )
        if len(found) > 1:
            raise change.impossible(
                "the prompt has several parts, and the change may belong to any of "
                + ", ".join(str(at + 1) for at, _ in found),
                by_hand,
            )
        at, text = found[0]
        if pieces[at].text is None:
            raise change.impossible("it lies in a template, which has no text of its own", by_hand)
        return pieces[at], text

    def _takes_too(self, key: str, spot: Spot, text: str, prompts: Mapping[str, Accepted]) -> bool:
        """Whether another session has the same change in the same part, and it is accepted there, too."""
        other = prompts.get(key)
        if other is None or not is_composed(self._prompt(key)[0]):
            return False
        try:
            piece, found = self._changed_part(other, "")
        except ReconcilerError:
            return False
        return piece.spot == spot and found == text


def _by_hand(block: _Layer, change: Accepted) -> str:
    """What to edit for a value of a session that a table or a matrix makes."""
    made = f"`{block.path[-1]}` in {block.file}"
    if block.cells is None:
        return f"edit {made} by hand"
    file = block.cells.table.file
    cell = block.cells.place(change.path)
    if cell is not None:
        column = block.cells.columns[change.path]
        return f"edit its cell in {file} by hand: line {cell.line}, column `{column}`"
    if change.path == "name" and block.has(("name",)):
        line = block.cells.table.line(block.cells.start)
        return f"edit the cells that its name is made of in {file} by hand: line {line}"
    return (
        f"no column of {file} fills it in: edit {made} by hand, for all of its sessions; or add a column, and name it "
        "below `fields`"
    )


def _merged(targets: Iterable[Target]) -> list[Target]:
    """The targets, those at one place as one."""
    found: dict[tuple[str, NodePath], Target] = {}
    for target in targets:
        spot = target.file, target.edit.path if target.edit else ()
        first = found.setdefault(spot, target)
        if first is not target:
            found[spot] = Target(
                (*first.accepted, *target.accepted), first.file, first.edit, first.text, first.place
            )
    return list(found.values())


def _files(value: JSON) -> Iterator[str]:
    """The files that a document names, once for each mention."""
    if isinstance(value, dict):
        if isinstance(value.get("file"), str):
            yield value["file"]
        for child in value.values():
            yield from _files(child)
    elif isinstance(value, list):
        for child in value:
            yield from _files(child)


def _over(inherited: JSON, own: JSON, value: JSON) -> JSON:
    """What to write over an inherited value to get a value. Keys that are written already stay."""
    if not isinstance(value, dict) or not isinstance(inherited, dict):
        return value
    said = own if isinstance(own, dict) else {}
    laid = {
        key: _over(inherited.get(key, MISSING), said.get(key, MISSING), found)
        for key, found in value.items()
        if key in said or not same(found, inherited.get(key, MISSING))
    }
    return laid | {key: None for key in inherited if key not in value}
