"""How a file is spoilt: at its bytes, or at the values in it."""

from __future__ import annotations

import copy
import csv
import io
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import yaml

#: Pieces that mean something to one of the readers.
PIECES: tuple[bytes, ...] = (
    b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc2\x85", b"\xe2\x80\xa8",
    b"\x1b[31m", b"\x07", b"\r", b"\r\n", b"\n\n", b"\t", b" #", b": ", b"- ", b"? ", b"&a ", b"*a",
    b"!!python/object ", b"!t ", b"%YAML 1.1\n", b"---\n", b"...\n", b"|\n", b">-\n", b"|9\n", b"<<: ",
    b"{", b"}", b"[", b"]", b"{}", b"[]", b'"', b"'", b"\\", b"\\u0000", b"\\ud800", b"\\xff", b",", b";",
    b"|", b"null", b"~", b"true", b"NaN", b".nan", b".inf", b"Infinity", b"-0", b"1e400", b"1e-400",
    b"0x1F", b"0o17", b"1_000", b"1:30", b"2024-05-13", b"99999999999999999999", b"9" * 400, b"-1", b"0.1",
    b"\xd9\xa3", b"{{ ", b" }}", b"{% for x in y %}", b"{% endfor %}", b"{#", b"{x}", b"{", b"../",
    b"/etc/passwd", b"**", b"*", b".git/config", b"<<<<<<< HEAD\n",
    b"version https://git-lfs.github.com/spec/v1\n", b"[" * 300, b"{a: " * 300, b"- " * 300, b"&a [*a, *a]",
    b"\xf0\x9f\x98\x80", b"\xe2\x80\xae", b"reconciler", b"catalog", b"sessions", b"key", b"```",
    b"</script>", b"<!--", b"::error::", b"%0A", b"=cmd", b"\xc3\x28",
)  # fmt: skip

#: Values that a document does not expect.
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 5, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63), 10**400, 0.0, -0.0, 1.5,
    1e308, 5e-324, float("nan"), float("inf"), float("-inf"), "", " ", "\n", "\0", "\x1b[31m", "\ud800",
    "\udcff", "\ufeff", "\u2028", "\u202e", "\x85", "a\nb", "x" * 5000, "9" * 5000, "1e400", "null", "~",
    "{x}", "{}", "{{ 7*7 }}", "{% raw %}", "..", "../x", "/dev/zero", ".", "*", "**", "a/b", "@", "x@y/z",
    "id:aaaaaaaa", "50%", "-1%", "1" * 400 + "%", "2024-05-13", "2024-13-45T99:99:99Z",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-23:59", "http://[",
    "http://x:99999", "https://a@b", "reconciler", "alice", "٣", "１２", [], {}, [[]], [None], [{}],
    {"": None}, {"\0": 1}, {"a.b": 1}, {"reconciler": {}}, {"file": 5}, {"text": []}, ["a", ["b"]],
    [1, "1", True], {"x": float("nan")},
)  # fmt: skip

KEYS: tuple[str, ...] = (
    "", " ", "\0", "\n", "\x1b[2J", "\ud800", "\ufeff", "a.b", "../../x", "*", "0", "null", "true", "<<",
    "reconciler", "name", "prompt", "key", "file", "text", "parts", "from", "matrix", "extends",
    "parameters", "data", "remark", "adopt", "x" * 300, "__class__", "constructor", "items", "é", "e\u0301",
)  # fmt: skip


def mutated(random: Random, name: str, data: bytes, others: list[bytes]) -> bytes:
    """Another file in place of this one. ``others`` are files that it may be given pieces of."""
    structured = _STRUCTURED.get(name.rpartition(".")[2])
    if structured is not None and random.random() < 0.6:
        changed = structured(random, data)
        if changed is not None:
            return changed if random.random() < 0.9 else _bytes(random, changed, others)
    return _bytes(random, data, others)


def _bytes(random: Random, data: bytes, others: list[bytes]) -> bytes:
    buffer = bytearray(data)
    for _ in range(1 + int(random.expovariate(0.7))):
        at = random.randint(0, len(buffer))
        end = min(len(buffer), at + int(random.expovariate(0.08)))
        match random.randrange(9):
            case 0 if buffer:
                buffer[at % len(buffer)] ^= 1 << random.randrange(8)
            case 1:
                del buffer[at:end]
            case 2:
                buffer[at:at] = buffer[at:end] * random.choice((1, 1, 2, 20))
            case 3 | 4:
                buffer[at:at] = random.choice(PIECES)
            case 5:
                buffer[at:end] = random.choice(PIECES)
            case 6:
                other = random.choice(others)
                start = random.randint(0, len(other))
                buffer[at:end] = other[start : start + int(random.expovariate(0.02))]
            case 7:
                lines = bytes(buffer).splitlines(keepends=True)
                if lines:
                    line = lines.pop(random.randrange(len(lines)))
                    lines.insert(random.randint(0, len(lines)), line * random.randint(0, 2))
                    buffer = bytearray(b"".join(lines))
            case _:
                del buffer[at:]
                if random.random() < 0.8:
                    buffer += data[at:]
    return bytes(buffer)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """All containers in a value, each with each of its keys or indexes."""
    left = [value]
    while left:
        container = left.pop()
        pairs = container.items() if isinstance(container, dict) else enumerate(container)
        for key, inner in pairs:
            yield container, key
            if isinstance(inner, dict | list):
                left.append(inner)


def change(random: Random, document: Any) -> Any:
    """Change one to three values in a document. Returns the document, which may be another."""
    for _ in range(1 + int(random.expovariate(1.2))):
        if not isinstance(document, dict | list):
            return document
        places = list(_places(document))
        if not places or random.random() < 0.01:
            return copy.deepcopy(random.choice(VALUES))
        container, key = random.choice(places)
        match random.randrange(8):
            case 0:
                del container[key]
            case 1 | 2 | 3:
                container[key] = copy.deepcopy(random.choice(VALUES))
            case 4:
                other, there = random.choice(places)
                if isinstance(other, dict | list) and (not isinstance(other, list) or there < len(other)):
                    container[key] = copy.deepcopy(
                        other.get(there) if isinstance(other, dict) else other[there]
                    )
            case 5 if isinstance(container, dict):
                container[random.choice(KEYS)] = (
                    container.pop(key) if random.random() < 0.5 else container[key]
                )
            case 6:
                container[key] = _wrapped(random, container[key])
            case _:
                container[key] = _another(random, container[key])
    return document


def _wrapped(random: Random, value: Any) -> Any:
    for _ in range(random.choice((1, 1, 2, 60, 300))):
        value = [value] if random.random() < 0.5 else {random.choice(("a", "text", "x")): value}
    return value


def _another(random: Random, value: Any) -> Any:
    """A value of the same type, or of the type that it could be taken for."""
    match value:
        case bool():
            return random.choice((not value, int(value), str(value).lower()))
        case int() | float():
            return random.choice((-value, value + 1, value * 10**30, str(value), [value], 0.5))
        case str():
            at = random.randint(0, len(value))
            piece = random.choice(PIECES).decode("utf-8", "surrogateescape")
            return random.choice(
                (value[:at] + piece + value[at:], value[:at], value * 50, value.upper(), [value], value + " ")
            )
        case list():
            return random.choice(
                (value * 2, value[::-1], value[:1], dict(enumerate(map(str, value))), [value])
            )
        case dict():
            return random.choice(([value], list(value), list(value.values()), {**value, "x": 1}, str(value)))
    return random.choice(VALUES)


def _json(random: Random, data: bytes) -> bytes | None:
    try:
        document = json.loads(data)
    except ValueError:
        return None
    return json.dumps(change(random, document), indent=random.choice((None, 1))).encode()


def _json_lines(random: Random, data: bytes) -> bytes | None:
    lines = data.splitlines()
    if not lines:
        return None
    at = random.randrange(len(lines))
    changed = _json(random, lines[at])
    if changed is not None:
        lines[at] = changed.replace(b"\n", b"")
    return b"\n".join(lines) + b"\n"


def _yaml(random: Random, data: bytes) -> bytes | None:
    document = change(random, yaml.load(data, yaml.CSafeLoader))
    try:
        if random.random() < 0.5:
            return json.dumps(document, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
        return yaml.dump(
            document, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False, default_flow_style=None
        ).encode("utf-8", "surrogatepass")
    except (RecursionError, UnicodeError, yaml.YAMLError):
        return None


def _csv(random: Random, data: bytes) -> bytes | None:
    try:
        table = list(csv.reader(io.StringIO(data.decode())))
        for _ in range(1 + int(random.expovariate(1))):
            at = random.randrange(len(table))
            row = table[at]
            match random.randrange(5):
                case 0:
                    row.append(str(random.choice(VALUES)))
                case 1:
                    table.insert(at, list(row))
                case 2 if row:
                    row.pop(random.randrange(len(row)))
                case 3 if row:
                    row[random.randrange(len(row))] = str(random.choice((*VALUES, *KEYS)))
                case _:
                    random.shuffle(row)
        out = io.StringIO()
        csv.writer(out, delimiter=random.choice(",,,;\t|"), lineterminator=random.choice("\n\n\r")).writerows(
            table
        )
        return out.getvalue().encode("utf-8", "surrogatepass")
    except (csv.Error, UnicodeError, IndexError):
        return None


_STRUCTURED: dict[str, Callable[[Random, bytes], bytes | None]] = {
    "json": _json,
    "jsonl": _json_lines,
    "yaml": _yaml,
    "csv": _csv,
}
