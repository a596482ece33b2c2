"""``watch.yaml``, as the page describes it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from reconciler.errors import UsageError
from reconciler.schemas import load_schema
from reconciler.watch_file import parse_duration, read_watch_file

PAGE = (Path(__file__).parents[2] / "docs" / "watch.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## watch.yaml")[2].partition("\n## ")[0]


def test_the_example_of_the_page_is_read(tmp_path: Path) -> None:
    match = re.search(r"```yaml\n(.*?)```", SECTION, re.DOTALL)
    assert match is not None
    (tmp_path / "watch.yaml").write_text(match[1])
    found = read_watch_file(tmp_path / "watch.yaml", ".reconciler")
    production, staging = found.accounts
    assert (production.key_file, production.endpoint) == (Path("/run/secrets/production-key"), None)
    assert (staging.key_variable, staging.endpoint) == ("STAGING_KEY", "https://grayapi.mindcraft.com.cn")
    books, other = found.catalogs
    assert (books.mode, books.interval, books.state) == ("approve", 300, tmp_path / ".reconciler")
    assert str(books.git) == "https://git.example.com/personas.git#main:bookshop"
    assert books.window is not None and books.window.text == "Mon-Fri 09:00-17:00 Asia/Shanghai"
    assert (str(books.limits.max_deletes), str(books.limits.max_changes)) == ("5", "20%")
    assert (other.mode, other.interval, other.window) == ("apply", 60, None)
    assert other.state == tmp_path / "../personas/bookshop" / ".reconciler"


def test_the_page_names_every_field() -> None:
    schema = load_schema("watch")
    for part in (schema, *(schema["$defs"][name] for name in ("account", "catalog"))):
        for name in part["properties"]:
            if name not in ("version", "accounts", "catalogs"):
                assert f"`{name}`" in SECTION or f".{name}`" in SECTION, name


def test_the_schema_is_self_contained() -> None:
    references = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(load_schema("watch"))))
    assert references == load_schema("watch")["$defs"].keys()


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("5m", 300), ("1h30m", 5400), ("1h1m1s", 3661)])
def test_a_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "5 m", "m", "1m1h", "-5m", "1.5h", "５m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="is not a duration"):
        parse_duration(text)
