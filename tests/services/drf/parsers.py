"""Which bodies are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import QueryDict
from rest_framework.parsers import BaseParser, FormParser, JSONParser, MultiPartParser


class Unread(BaseParser):
    """Takes whatever it is given for nothing at all."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> QueryDict:
        return QueryDict()


PARSERS: Mapping[str, type[BaseParser]] = {
    "json": JSONParser,
    "form": FormParser,
    "multipart": MultiPartParser,
    "query": Unread,
}


def parsers(encodings: tuple[str, ...], others: str) -> tuple[type[BaseParser], ...]:
    """The framework's parsers of these encodings, and what becomes of any other one."""
    return tuple(PARSERS[one] for one in encodings) + ((Unread,) if others == "unread" else ())
