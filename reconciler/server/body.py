"""Decodes bodies: JSON, form and multipart, whatever encoding the contract gives a call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import parse_qsl

from reconciler.contract import Encoding
from reconciler.values import JSON

#: The largest accepted body, in bytes.
LARGEST = 64 * 1024 * 1024

#: The most fields of a form. A call of this API has ten.
MOST_FIELDS = 1000

ENCODINGS: Mapping[str, Encoding] = {
    "application/json": "json",
    "application/x-www-form-urlencoded": "form",
    "multipart/form-data": "multipart",
}


class BadBody(Exception):  # noqa: N818 - it describes the request
    """The body can't be decoded. The message says why."""


def encoding_of(content_type: str) -> Encoding | None:
    """The encoding of a content type; ``none`` if no type is given, ``None`` for an unknown one."""
    kind = content_type.partition(";")[0].strip().lower()
    return ENCODINGS.get(kind) if kind else "none"


def decode_body(content_type: str, body: bytes) -> dict[str, JSON]:
    """The fields of a body by wire name; the last one of a repeated field. The values of a form are strings.

    Raises:
        BadBody: it does not match its content type, or is not UTF-8.
    """
    if not body:
        return {}
    encoding = encoding_of(content_type)
    try:
        if encoding == "form":
            return dict(
                parse_qsl(
                    body.decode(),
                    keep_blank_values=True,
                    errors="strict",
                    max_num_fields=MOST_FIELDS,
                )
            )
        if encoding == "multipart":
            return dict(_multipart(content_type, body))
        return _json(body)
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise BadBody(f"not UTF-8: {error.reason}") from None
    except RecursionError:
        raise BadBody("nested too deep") from None
    except ValueError as error:
        raise BadBody(str(error)) from None


def _json(body: bytes) -> dict[str, JSON]:
    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    document = json.loads(body.decode(), parse_constant=refuse)
    if not isinstance(document, dict):
        raise BadBody("not a JSON object")
    if b"\\u" in body:
        # JSON can hold a lone surrogate, which can't be encoded in a response.
        json.dumps(document, ensure_ascii=False).encode()
    return document


def _multipart(content_type: str, body: bytes) -> list[tuple[str, str]]:
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise BadBody("no boundary in the content type")
    parts = _Parts()
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": parts.begin,
            "on_header_field": parts.add_to_header,
            "on_header_value": parts.add_to_value,
            "on_header_end": parts.end_header,
            "on_part_data": parts.add_to_content,
            "on_part_end": parts.end_part,
            "on_end": parts.end,
        },
    )
    try:
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise BadBody(str(error)) from None
    if not parts.ended:
        raise BadBody("the last boundary is missing")
    return parts.found


class _Parts:
    """Collects the fields of a multipart body from the parser's callbacks."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []
        self.ended = False
        self._header, self._value, self._content = bytearray(), bytearray(), bytearray()
        self._disposition = b""

    def begin(self) -> None:
        self._disposition = b""
        self._content.clear()
        if len(self.found) >= MOST_FIELDS:
            raise ValueError("too many fields")

    def add_to_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def add_to_content(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def end_part(self) -> None:
        from python_multipart.multipart import parse_options_header

        name = parse_options_header(self._disposition)[1].get(b"name")
        if name is None:
            raise ValueError("a part has no name")
        self.found.append((name.decode(), self._content.decode()))

    def end(self) -> None:
        self.ended = True
