"""Lists of language models: what an account offers, what a file holds, or what was known at release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from reconciler.api.errors import ApiError
from reconciler.disk import MAX_FILE, read_named
from reconciler.errors import ReconcilerError
from reconciler.text.nearest import nearest
from reconciler.text.truncate import truncate
from reconciler.values import parse_json

#: The version of the file format.
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Model:
    """One model. ``context`` is its context size in tokens, ``temperature`` its lowest and highest temperature; None
    means unknown."""

    name: str
    context: int | None = None
    temperature: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Models:
    """A list of models. ``origin`` describes its source in messages, as in "not among …"; ``shipped`` says whether it
    is the list that ships with this program, and ``date`` its day or moment."""

    models: Mapping[str, Model]
    origin: str
    date: str
    shipped: bool = False

    def __contains__(self, name: str) -> bool:
        return name in self.models

    def nearest(self, name: str) -> str | None:
        """The model with the most similar name, if any is similar."""
        found = nearest(name.lower(), {one.lower(): one for one in self.models})
        return next((one for one in self.models if one.lower() == found), None)


@cache
def shipped() -> Models:
    """The models that were known at release."""
    import yaml

    text = files("reconciler").joinpath("language_models/known.yaml").read_text(encoding="utf-8")
    document: Any = yaml.load(text, Loader=yaml.CSafeLoader)
    found = {
        name: Model(name, facts["context"], (facts["temperature"][0], facts["temperature"][1]))
        for name, facts in document["models"].items()
    }
    date = document["date"]
    return Models(found, f"the models known at release ({date})", date, shipped=True)


def offered(body: Any, origin: str, date: str) -> Models:
    """The list in a service's answer, which is OpenAI's: ``{"data": [{"id": …}, …]}``.

    Contexts and temperatures, which the service does not give, are those known at release.

    Raises:
        ApiError: the response is not such a list.
    """
    rows = body.get("data") if isinstance(body, dict) else None
    names = _names(rows)
    if names is None:
        raise ApiError("list_models", 'the answer is not a list of models: `{"data": [{"id": …}, …]}`')
    return Models(_with_facts(names), origin, date)


def read_models(path: Path) -> Models:
    """A list from a file: one that ``reconciler models --out`` wrote, or a service's raw response.

    Raises:
        ReconcilerError: the file can't be read, or is neither.
    """
    try:
        data = read_named(path, MAX_FILE)
    except OSError as error:
        raise ReconcilerError(
            f"the models file {path} can't be read: {(error.strerror or 'unknown error').lower()}",
            "name a file that `reconciler models --out=FILE` wrote",
        ) from None
    try:
        document: Any = parse_json(data)
    except ValueError:
        document = None
    if isinstance(document, dict):
        names = _names(document.get("models") if "models_version" in document else document.get("data"))
        known = document.get("models_version", VERSION) == VERSION
        if names is not None and known:
            date = document.get("taken")
            when = f", taken {truncate(date)}" if isinstance(date, str) else ""
            return Models(_with_facts(names), f"the models in {path.name}{when}", str(date or ""))
    raise ReconcilerError(
        f"{path} is not a list of models that this version can read",
        "`reconciler models --out=FILE` writes one",
    )


def models_document(models: Models, endpoint: str) -> dict[str, Any]:
    """A list as JSON: what ``--out`` writes, and what ``--format json`` prints."""
    rows: list[dict[str, Any]] = []
    for model in models.models.values():
        row: dict[str, Any] = {"id": model.name}
        if model.context is not None:
            row["context"] = model.context
        if model.temperature is not None:
            row["temperature"] = list(model.temperature)
        rows.append(row)
    return {
        "models_version": VERSION,
        "taken": models.date,
        "endpoint": endpoint,
        "shipped": models.shipped,
        "models": rows,
    }


def _names(rows: Any) -> list[str] | None:
    """The names in a list of rows, sorted; None if it is not such a list."""
    if not isinstance(rows, list):
        return None
    names = [row.get("id") if isinstance(row, dict) else None for row in rows]
    if not all(isinstance(name, str) and name for name in names):
        return None
    return sorted({name for name in names if isinstance(name, str)})


def _with_facts(names: list[str]) -> dict[str, Model]:
    known = shipped().models
    return {name: known.get(name) or Model(name) for name in names}
