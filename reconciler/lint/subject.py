"""What the lint rules check, and what they find."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from reconciler.catalog.loaded import Loaded
from reconciler.domain import Session
from reconciler.language_models import Models
from reconciler.lint.ignore import Comments
from reconciler.lint.read import Document, Kind, Mark, Spot, Text, Written
from reconciler.strict_yaml.path import NodePath


class Hit(NamedTuple):
    """A violation of a rule: where it is, what is wrong, and how to fix it."""

    spot: Spot
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What the rules check: the catalog as it resolves in one environment, and as it is written."""

    loaded: Loaded
    written: Written
    comments: Comments
    models: Models

    @property
    def sessions(self) -> Iterable[Session]:
        """The resolved sessions."""
        return self.loaded.catalog.sessions.values()

    def texts(self, *kinds: Kind) -> Iterator[Text]:
        """The texts of these kinds."""
        return (text for text in self.written.texts if text.kind in kinds)

    def spot(self, key: str, *fields: str) -> Spot:
        """Where a field of a session is written: in the session, or in a layer below it. Without either, its key."""
        own = self.written.document(self.loaded.files[key])
        layers: list[tuple[Document | None, NodePath, bool]]
        if key in self.loaded.composed:
            layers = [
                (self.written.document(layer.source.file), layer.path, fields[0] in layer.fields)
                for layer in self.loaded.composed[key]
            ]
        else:
            layers = [
                (self.written.document(one.source.file), one.path, True) for one in self.loaded.defaults
            ]
            layers.append((own, ("sessions", key), True))
        above = next((d.key_spot(path) for d, path, _ in layers if d and path[0] == "sessions"), None)
        for document, path, said in reversed(layers):
            found = document.spot((*path, *fields)) if document and said else None
            if found is not None:
                return Spot(found.at, (*found.covers, *(above.covers if above else ())))
        return above or Spot(Mark(own or self.written.documents[0], 0))
