"""The fields of a PersonaCatalog: what of each is accepted and refused, in the cluster and on the command line.

``python -m tests.operator.table`` writes ``docs/operator-fields.md`` of it. ``test_crd.py`` holds each value against a
real API server and against the reader of ``watch.yaml``, and so do values that are generated from these.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

PAGE: Final = Path(__file__).parents[2] / "docs" / "operator-fields.md"

#: What a mutation may put into a value: what patterns forget most easily.
_SIGNS: Final = " \t\n\r\x00\x7f\xa0\u2003\u200b\u2028\ufeff\u0661éＡ-._/:@%#*'\"\\,09aZ~"


@dataclass(frozen=True)
class Row:
    """A field. ``entry`` makes the fields of watch.yaml from a value; None if it has no counterpart there.

    ``only_cli`` is accepted by the command line alone, and ``named`` by the schema alone: the operator then refuses it
    with the reason InvalidSpec. ``strict`` says that the schema may refuse more than the command line does.
    """

    field: str
    accepted: tuple[Any, ...]
    refused: tuple[Any, ...]
    entry: Callable[[Any], Mapping[str, Any]] | None = None
    only_cli: tuple[Any, ...] = ()
    named: tuple[Any, ...] = ()
    strict: bool = False
    cli: str = ""

    def spec(self, value: Any) -> dict[str, Any]:
        """A spec with this value."""
        found: dict[str, Any] = {"source": {"path": "shop"}, "accountRef": {"name": "account"}}
        steps = self.field.split(".")
        if steps[0] == "source":
            found["source"] = {}
        at: Any = found
        for step in steps[:-1]:
            name = step.removesuffix("[]")
            at = at.setdefault(
                name, [{"key": "catalog.yaml", "path": "catalog.yaml"}, {}] if "[]" in step else {}
            )
            at = at[1] if isinstance(at, list) else at
        at[steps[-1]] = value
        if "git" in found["source"]:
            found["source"]["git"].setdefault("url", _URL)
        if "configMapRef" in found["source"]:
            found["source"]["configMapRef"].setdefault("name", "personas")
        if "[]" in self.field:
            at.setdefault("key", "sessions.yaml")
            at.setdefault("path", "sessions/all.yaml")
        return found

    def watch(self, value: Any) -> dict[str, Any] | None:
        """A watch.yaml with this value, or None."""
        if self.entry is None:
            return None
        given = dict(self.entry(value))
        top = {name: given.pop(name) for name in ("full_interval",) if name in given}
        place = {} if "git" in given or "folder" in given else {"folder": "."}
        return {"version": 1, **top, "catalogs": {"shop": {**place, **given}}}

    def generated(self, count: int, seed: int = 20) -> Iterator[str]:
        """Mutations of the texts of this row, always the same ones."""
        dice = random.Random(f"{self.field} {seed}")
        texts = [one for one in (*self.accepted, *self.refused, *self.named) if isinstance(one, str)]
        for _ in range(count if texts else 0):
            text = dice.choice(texts)
            for _ in range(dice.randint(1, 3)):
                at = dice.randrange(len(text) + 1)
                text = text[:at] + dice.choice(("", dice.choice(_SIGNS))) + text[at + dice.randint(0, 1) :]
            yield text


_URL: Final = "https://git.example.com/a.git"
_NAMES: Final = ("production", "a", "a-b.c-1", "a" * 253)
_NO_NAMES: Final = ("", "Production", "-a", "a-", "a..b", ".a", "a b", "a_b", "a" * 254)
_DURATIONS: Final = ("5m", "1h30m", "90s", "1s", "0h0m1s", "999999h")
_NO_DURATIONS: Final = (
    "0s",
    "0m",
    "",
    "5",
    "s",
    "1.5h",
    "-5m",
    "5m30",
    "1d",
    "1m1h",
    "5M",
    " 5m",
    "1000000h",
    5,
)
_LIMITS: Final = ("0", "10", "999999999", "5%", "5.5%", "100%", "0.123%")
_NO_LIMITS: Final = ("1000000000", "0.1234%", "1.5", "-1", "+1", "abc", "%", "1000%", "", "5 %", True)


def _limit(name: str) -> Callable[[Any], Mapping[str, Any]]:
    def entry(value: Any) -> Mapping[str, Any]:
        whole = isinstance(value, str) and re.fullmatch("[0-9]{1,9}|[1-9][0-9]*", value)
        return {"limits": {name: int(value) if whole else value}}

    return entry


def _git(name: str) -> Callable[[Any], Mapping[str, Any]]:
    return lambda value: {"git": {"url": _URL, name: value}}


ROWS: Final = (
    Row(
        "source.git.url",
        (_URL, "http://127.0.0.1:8080/a", "ssh://git@git.example.com/a.git"),
        ("", "-u", "a b", "https://git.example.com/a b"),
        _git("url"),
        only_cli=(
            "/var/lib/a",
            "file:///var/lib/a",
            "git@git.example.com:a.git",
            "https://token@git.example.com/a.git",
            "ext::sh",
        ),
        strict=True,
        cli="`git.url`",
    ),
    Row(
        "source.git.ref",
        ("main", "refs/heads/main", "v1.2", "é", "a" * 250),
        ("", "-a", "--upload-pack=x", "a b", "a\tb", "a\u200bb", "a" * 251),
        _git("ref"),
        cli="`git.ref`",
    ),
    Row(
        "source.git.path",
        (".", "a", "a/b c", "..a/b", "a..", "a" * 4096),
        ("", "/a", "-a", ":a", "..", "../a", "a/..", "a/../b", "a" * 4097),
        _git("path"),
        cli="`git.path`",
    ),
    Row("source.git.secretRef.name", _NAMES, _NO_NAMES),
    Row("source.configMapRef.name", _NAMES, _NO_NAMES),
    Row(
        "source.configMapRef.items[].key",
        ("catalog.yaml", "A-b_c.1", ".hidden", "a" * 253),
        ("", ".", "..", "..a", "a/b", "a b", "é", "a" * 254),
    ),
    Row(
        "source.configMapRef.items[].path",
        ("a.yaml", "sessions/a b.yaml", "a/b/c", "é"),
        ("", "/a", "../a", "a/../b", "a//b", ".git/a", "a/.b", "a/", "a\tb"),
    ),
    Row(
        "source.path",
        ("a", "a/b", ".", "a" * 4096),
        ("", "a" * 4097),
        lambda value: {"folder": value},
        only_cli=("/a",),
        named=("../a",),
        strict=True,
        cli="`folder`",
    ),
    Row("accountRef.name", _NAMES, _NO_NAMES),
    Row(
        "environment",
        ("prod", "eu-1.prod_2", "1", "a" * 63),
        ("", "Prod", "-prod", "pro d", "a" * 64, 1),
        lambda value: {"environment": value},
        cli="`environment`",
    ),
    Row(
        "mode",
        ("Observe", "Repair", "Approve", "Apply"),
        ("", "Destroy", "Observed", True),
        lambda value: {
            "mode": value.lower() if value in ("Observe", "Repair", "Approve", "Apply") else value
        },
        cli="`mode`, in small letters",
    ),
    Row(
        "approve",
        (f"sha256:{'0' * 64}", f"sha256:{'af' * 32}"),
        ("", "0" * 64, f"sha256:{'0' * 63}", f"sha256:{'0' * 65}", f"sha256:{'F' * 64}", f"md5:{'0' * 32}"),
    ),
    Row("interval", _DURATIONS, _NO_DURATIONS, lambda value: {"interval": value}, cli="`interval`"),
    Row(
        "fullInterval",
        _DURATIONS,
        _NO_DURATIONS,
        lambda value: {"full_interval": value},
        cli="`full_interval`",
    ),
    Row(
        "window",
        (
            "09:00-17:00",
            "Mon-Fri 09:00-17:00 Asia/Shanghai",
            "mon-fri 09:00-17:00",
            "Mon,Wed,Fri-Sun 22:00-06:00 UTC",
            "00:00-24:00",
            "Mon  09:00-17:00",
        ),
        (
            "",
            "24:00-01:00",
            "25:00-26:00",
            "09:60-10:00",
            "9:00-17:00",
            "09:00",
            "Foo 09:00-17:00",
            "Mon- 09:00-17:00",
            "Mon-Fri09:00-17:00",
            " 09:00-17:00",
            "always",
        ),
        lambda value: {"window": value},
        named=("09:00-17:00 Mars/Olympus",),
        cli="`window`",
    ),
    Row("suspend", (True, False), ("true", "", 1), lambda value: {"suspended": value}, cli="`suspended`"),
    Row("deletionPolicy", ("Orphan", "Delete"), ("", "orphan", "Retain", True)),
    *(
        Row(f"policy.{name}", _LIMITS, _NO_LIMITS, _limit(entry), cli=f"`limits.{entry}`")
        for name, entry in (
            ("maxDeletes", "max_deletes"),
            ("maxUpdates", "max_updates"),
            ("maxChanges", "max_changes"),
        )
    ),
    Row(
        "policy.onConflict",
        ("overwrite", "keep-live", "fail"),
        ("", "ignore", "Fail", True),
        lambda value: {"limits": {"on_conflict": value}},
        cli="`limits.on_conflict`",
    ),
)


def shown(value: Any) -> str:
    """A value for a cell of the table, as YAML."""
    if not isinstance(value, str):
        return f"`{str(value).lower()}`"
    if long := re.search(r"(.)\1{31,}", value):
        sign, count = long[1], len(long[0])
        return f"`{value.replace(long[0], f'{sign}…{sign}')}` ({count} × `{sign}`)"
    plain = (
        bool(re.fullmatch(r"[^\s:%{}\[\],&*#?|<>=!@'\"`-].*[^\s:]|[^\W\d_]", value)) and value.isprintable()
    )
    return f"`{value if plain and yaml.safe_load(value) == value else json.dumps(value)}`"


_HEAD: Final = """# The fields of a PersonaCatalog

What the API server accepts of each field of `spec`, and what it refuses, by examples. `watch.yaml` accepts and refuses
the same by the field of the last column. What they mean is [in the page of the operator](operator.md#the-resource).

This page is written by `python -m tests.operator.table`. Each value, and hundreds derived from them, are tested
on a real API server.

| field | accepted | refused | in `watch.yaml` |
|---|---|---|---|
"""

_FOOT: Final = """
Two things are not the same:

- What the schema can't know is refused by the operator. The condition `Ready` then has the reason `InvalidSpec`:
  {named}.
- What may name a file or a program of the operator, or contains a credential, is refused here and accepted by
  `watch.yaml`, whose author owns the machine: {only_cli}.
"""


def page() -> str:
    """The page that shows the table. Fields that take the same share a row."""
    grouped: dict[tuple[str, str], list[Row]] = {}
    for row in ROWS:
        key = tuple(", ".join(map(shown, one)) for one in (row.accepted, (*row.refused, *row.only_cli)))
        grouped.setdefault((key[0], key[1]), []).append(row)
    lines = [
        f"| {', '.join(f'`{row.field}`' for row in rows)} | {accepted} | {refused} "
        f"| {', '.join(row.cli for row in rows if row.cli) or '—'} |\n"
        for (accepted, refused), rows in grouped.items()
    ]
    foot = _FOOT.format(
        named=", ".join(f"`{row.field}: {one}`" for row in ROWS for one in row.named),
        only_cli=", ".join(shown(one) for row in ROWS for one in row.only_cli),
    )
    return _HEAD + "".join(lines) + foot


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
