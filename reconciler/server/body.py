"""Bodies: whatever the contract says a call's encoding is, JSON, form and multipart are all read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import parse_qsl

from reconciler.contract import Encoding
from reconciler.values import JSON

#: The largest body that is taken, in bytes.
LARGEST = 64 * 1024 * 1024

#: The most fields of a form. A call of this API has ten.
MOST_FIELDS = 1000

ENCODINGS: Mapping[str, Encoding] = {
    "application/json": "json",
    "application/x-www-form-urlencoded": "form",
    "multipart/form-data": "multipart",
}


class BadBody(Exception):  # noqa: N818 - a finding about what came in
    """The body can't be read. The text says why."""


def encoding_of(content_type: str) -> Encoding | None:
    """How a body of this content type travels; ``none`` where no type is given, ``None`` for one not known."""
    kind = content_type.partition(";")[0].strip().lower()
    return ENCODINGS.get(kind) if kind else "none"


def decode_body(content_type: str, body: bytes) -> dict[str, JSON]:
    """The fields of a body by wire name; of a repeated field, the last. A form's values are texts.

    Raises:
        BadBody: it is not what it says it is, or not UTF-8.
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
        # JSON can spell half a surrogate pair, which no text on the way back could carry.
        json.dumps(document, ensure_ascii=False).encode()
    return document


def _multipart(content_type: str, body: bytes) -> list[tuple[str, str]]:
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise BadBody("no boundary in the content type")
    found: list[tuple[str, str]] = []
    header, value, disposition, content = bytearray(), bytearray(), b"", bytearray()
    ended = False

    def begin() -> None:
        nonlocal disposition
        disposition = b""
        content.clear()
        if len(found) >= MOST_FIELDS:
            raise ValueError("too many fields")

    def header_field(data: bytes, start: int, end: int) -> None:
        header.extend(data[start:end])

    def header_value(data: bytes, start: int, end: int) -> None:
        value.extend(data[start:end])

    def header_end() -> None:
        nonlocal disposition
        if header.lower() == b"content-disposition":
            disposition = bytes(value)
        header.clear()
        value.clear()

    def part_data(data: bytes, start: int, end: int) -> None:
        content.extend(data[start:end])

    def part_end() -> None:
        name = parse_options_header(disposition)[1].get(b"name")
        if name is None:
            raise ValueError("a part has no name")
        found.append((name.decode(), content.decode()))

    def end() -> None:
        nonlocal ended
        ended = True

    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": begin,
            "on_header_field": header_field,
            "on_header_value": header_value,
            "on_header_end": header_end,
            "on_part_data": part_data,
            "on_part_end": part_end,
            "on_end": end,
        },
    )
    try:
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise BadBody(str(error)) from None
    if not ended:
        raise BadBody("the last boundary is missing")
    return found
