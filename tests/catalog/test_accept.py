"""Keeping live values: the text of ``drift --accept``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.catalog import load_catalog
from reconciler.catalog.accept import prepare
from reconciler.catalog.accept_places import Accepted
from reconciler.errors import CatalogError, Problem, ReconcilerError
from reconciler.values import MISSING

CATALOG = """\
version: 1
catalog: bookshop
# What a session does not say for itself.
defaults:
  model: deepseek-chat
  parameters: {temperature: 0.2, max_tokens: 4000}
  data:
    shop: {city: 杭州, floor: 1}
sessions:
  till: {name: Till, prompt: {file: prompts/till.md}}
"""
READERS = """\
# Commented, anchored, oddly indented.
sessions:
   alice:   # the first
      name: 'Alice'
      prompt: |
          You are Alice.

          Be kind.   # this is text

      parameters:   {temperature: 0.3}   # lively
      data: &shelf
         books: ["one", two]
         desk:
           # by the window
           number: 4
   bob:
      <<: {remark: {owner: mei}}
      name: Bob
      prompt: {file: prompts/house.md}
      data: *shelf
   carol: {name: Carol, prompt: {file: prompts/house.md}}
"""
TILL = "\ufeffYou are the till.\r\nBe exact.\r\n\r\n"
HOUSE = "House rules.\n"
FILES = {
    "catalog.yaml": CATALOG,
    "sessions/readers.yaml": READERS,
    "prompts/till.md": TILL,
    "prompts/house.md": HOUSE,
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    return tmp_path


def files(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_bytes().decode() for path in root.rglob("*") if path.is_file()
    }


def changed_lines(before: str, after: str) -> str:
    ndiff = difflib.unified_diff(before.split("\n"), after.split("\n"), lineterm="", n=0)
    return "\n".join(line for line in ndiff if not line.startswith(("---", "+++", "@@")))


def diff(root: Path) -> str:
    """The lines that differ from what was there at first, by file."""
    found = files(root)
    assert found.keys() == FILES.keys()
    by_file = {name: changed_lines(FILES[name], found[name]) for name in FILES}
    return "\n".join(f"{name}:\n{lines}" for name, lines in by_file.items() if lines)


def accept(root: Path, values: Mapping[str, Any]) -> list[str]:
    return accept_values(root, [Accepted(*where.split(".", 1), value) for where, value in values.items()])  # type: ignore[call-arg]


def accept_values(root: Path, changes: list[Accepted], environment: str | None = None) -> list[str]:
    """Accept all of these values, or none if one can't be."""
    acceptance = prepare(root, changes, environment=environment)
    if acceptance.impossible:
        raise ReconcilerError(acceptance.impossible)
    acceptance.write()
    return sorted(acceptance.files)


class Refusal(str):
    """The message where no value is kept."""

    __slots__ = ()


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "a name": (
        {"alice.name": "Alice's double"},
        """\
sessions/readers.yaml:
-      name: 'Alice'
+      name: 'Alice''s double'""",
    ),
    "a prompt in the manifest": (
        {"alice.prompt": "You are Alice.\n\nBe brief."},
        """\
sessions/readers.yaml:
-          Be kind.   # this is text
+          Be brief.""",
    ),
    "a prompt in a file of its own, which keeps its mark, its line ends and its end": (
        {"till.prompt": "You are the till.\nBe quick."},
        """\
prompts/till.md:
-Be exact.\r
+Be quick.\r""",
    ),
    "a prompt in a file that others use, too": (
        {"bob.prompt": "You are Bob.\n\nBe brief."},
        """\
sessions/readers.yaml:
-      prompt: {file: prompts/house.md}
+      prompt: |
+         You are Bob.
+
+         Be brief.""",
    ),
    "a parameter": (
        {"alice.parameters.temperature": 0.9},
        """\
sessions/readers.yaml:
-      parameters:   {temperature: 0.3}   # lively
+      parameters:   {temperature: 0.9}   # lively""",
    ),
    "what comes from the defaults is overruled in the session's block": (
        {"alice.parameters.max_tokens": 100, "bob.model": "gpt-4o-mini", "till.parameters.temperature": 0},
        """\
catalog.yaml:
-  till: {name: Till, prompt: {file: prompts/till.md}}
+  till: {name: Till, prompt: {file: prompts/till.md}, parameters: {temperature: 0}}
sessions/readers.yaml:
-      parameters:   {temperature: 0.3}   # lively
+      parameters:   {temperature: 0.3, max_tokens: 100}   # lively
+      model: gpt-4o-mini""",
    ),
    "of a nested value from the defaults, what differs": (
        {"alice.data.shop": {"city": "杭州", "floor": 2}},
        Refusal(
            "`sessions.alice.data.shop` can't be changed alone: `*shelf` in line 20 refers to the same value"
        ),
    ),
    "of a nested value from the defaults, what differs, where an alias stands": (
        {"bob.data.shop": {"city": "杭州", "floor": 2}},
        """\
sessions/readers.yaml:
-      data: *shelf
+      data:
+         <<: *shelf
+         shop: {floor: 2}""",
    ),
    "what comes through an alias": (
        {"bob.data.desk": {"number": 5}},
        """\
sessions/readers.yaml:
-      data: *shelf
+      data:
+         <<: *shelf
+         desk: {number: 5}""",
    ),
    "what comes through a merge key": (
        {"bob.remark.owner": "lin"},
        """\
sessions/readers.yaml:
+      remark: {owner: lin}""",
    ),
    "a field that is gone": (
        {"bob.data.desk": MISSING},
        """\
sessions/readers.yaml:
-      data: *shelf
+      data:
+         books: [one, two]""",
    ),
    "a field that is gone, and that the defaults give": (
        {"alice.parameters.max_tokens": MISSING},
        """\
sessions/readers.yaml:
-      parameters:   {temperature: 0.3}   # lively
+      parameters:   {temperature: 0.3, max_tokens: null}   # lively""",
    ),
    "of a nested value, a key that is gone, and that the defaults give": (
        {"carol.data.shop": {"floor": 1}},
        """\
sessions/readers.yaml:
-   carol: {name: Carol, prompt: {file: prompts/house.md}}
+   carol: {name: Carol, prompt: {file: prompts/house.md}, data: {shop: {city: null}}}""",
    ),
    "what is so already, the type of a number and the end of a prompt aside": (
        {
            "alice.parameters.temperature": 0.30,
            "till.prompt": "You are the till.\r\nBe exact.\n\n\n",
            "bob.data.x": MISSING,
        },
        "",
    ),
    "two fields of one mapping that is missing": (
        {"carol.remark.a": 1, "carol.remark.b": "x: y", "carol.name": "卡罗尔"},
        """\
sessions/readers.yaml:
-   carol: {name: Carol, prompt: {file: prompts/house.md}}
+   carol: {name: 卡罗尔, prompt: {file: prompts/house.md}, remark: {a: 1, b: "x: y"}}""",
    ),
    "a session that there is not": (
        {"alicia.name": "x"},
        Refusal("there is no session `alicia` in the catalog"),
    ),
    "a field that there is not": ({"alice.colour": "x"}, Refusal("`colour` is not a field")),
    "a value that no catalog can hold": (
        {"alice.parameters.temperature": 7},
        Refusal("a live value can't be accepted: `temperature` is 7; the maximum is 2"),
    ),
    "a value that no YAML can hold": (
        {"alice.remark.a": "\ud800"},
        Refusal(
            "`alice.remark.a` can't be accepted: the live value holds the lone surrogate U+D800, half of a character"
        ),
    ),
    "a session without a prompt": (
        {"alice.prompt": MISSING},
        Refusal(
            "`alice.prompt` can't be accepted: the live session has no value, but the catalog requires one"
        ),
    ),
    "a null over what the defaults give, which would take it away": (
        {"carol.data.shop": None},
        Refusal("`carol.data.shop` would not match the live value"),
    ),
}


@pytest.mark.parametrize("case", [case for case in CASES if isinstance(CASES[case][1], Refusal)])
def test_a_value_that_cannot_be_kept_is_reported_and_no_file_changes(shop: Path, case: str) -> None:
    values, expected = CASES[case]
    with pytest.raises(ReconcilerError) as caught:
        accept(shop, values)
    assert [problem.message for problem in caught.value.problems] == [expected]
    assert files(shop) == FILES


@pytest.mark.parametrize("case", [case for case in CASES if not isinstance(CASES[case][1], Refusal)])
def test_only_the_lines_that_hold_the_value_change(shop: Path, case: str) -> None:
    values, expected = CASES[case]
    changed = accept(shop, values)
    assert diff(shop) == expected
    assert changed == [
        line[:-1] for line in sorted(expected.split("\n")) if line.endswith((".yaml:", ".md:"))
    ]
    catalog = load_catalog(shop)
    for where, value in values.items():
        key, path = where.split(".", 1)
        found = catalog.sessions[key].fields().get(path, MISSING)
        assert found == (value.replace("\r\n", "\n").rstrip() if path == "prompt" else value)


def test_all_or_nothing(shop: Path) -> None:
    with pytest.raises(ReconcilerError) as caught:
        accept(shop, {"alice.name": "Alice II", "till.prompt": "New.", "alice.data.books": []})
    assert caught.value.problems[0].place == "sessions/readers.yaml:11:13"
    assert files(shop) == FILES


def test_the_rights_of_a_file_stay(shop: Path) -> None:
    (shop / "sessions/readers.yaml").chmod(0o640)
    accept(shop, {"alice.name": "Alice II"})
    assert (shop / "sessions/readers.yaml").stat().st_mode & 0o777 == 0o640


def test_a_symlink_stays_one(shop: Path) -> None:
    (shop / "sessions/readers.yaml").rename(shop / "readers.yaml")
    (shop / "sessions/readers.yaml").symlink_to("../readers.yaml")
    assert accept(shop, {"alice.name": "Alice II"}) == ["sessions/readers.yaml"]
    assert (shop / "sessions/readers.yaml").is_symlink()
    assert "'Alice II'" in (shop / "readers.yaml").read_text()


def test_a_catalog_that_does_not_load_is_not_touched(shop: Path) -> None:
    (shop / "sessions/broken.yaml").write_text("sessions: [")
    before = files(shop)
    with pytest.raises(CatalogError):
        accept(shop, {"alice.name": "Alice II"})
    assert files(shop) == before


def test_patterns_of_the_catalog_say_where_sessions_are(shop: Path) -> None:
    (shop / "people").mkdir()
    (shop / "sessions/readers.yaml").rename(shop / "people/all.yaml")
    head = shop / "catalog.yaml"
    head.write_text(CATALOG + "include: ['people/*.yaml']\n")
    assert accept(shop, {"alice.name": "Alice II"}) == ["people/all.yaml"]
    (shop / "people/all.yaml").unlink()
    head.write_text(CATALOG + "include: []\n")
    assert accept(shop, {"till.name": "Till II"}) == ["catalog.yaml"]


# Catalogs that are put together

HEAD = """\
version: 1
catalog: academy
defaults: {model: deepseek-chat}
"""
ENVIRONMENTS = """\
environments:
  staging:
    name_prefix: "[staging] "
    sessions:
      latin: {model: gpt-4o-mini}   # cheaper
  production: {}
"""
SCHOOL = """\
fragments:
  rules: {file: prompts/rules.md}
templates:
  teacher:
    prompt: You teach.
    data: {voice: {pace: slow, pitch: low}}
sessions:
  latin: {extends: teacher, name: Latin}   # dead, not forgotten
  desk:
    name: Desk
    prompt: [{fragment: rules}, {text: Be brief.}]
  rules: {name: Rules, prompt: {file: prompts/rules.md}}
  hall: {name: Hall, prompt: {file: prompts/hall.md}}
  greek:
    matrix: {axes: {level: [a, b]}, key: "greek-{level}"}
    name: "Greek {level}"
    prompt: You teach Greek.
"""


def academy(root: Path, head: str) -> dict[str, str]:
    texts = {
        "catalog.yaml": head,
        "sessions/all.yaml": SCHOOL,
        "prompts/rules.md": "Be kind.\n",
        "prompts/hall.md": "Hush.\n",
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    return texts


COMPOSED: dict[str, tuple[dict[str, Any], str]] = {
    "what a template gives is overruled in the session": (
        {"latin.prompt": "Salve!", "latin.data.voice": {"pace": "slow", "pitch": "high"}},
        """\
-  latin: {extends: teacher, name: Latin}   # dead, not forgotten
+  latin: {extends: teacher, name: Latin, prompt: Salve!, data: {voice: {pitch: high}}}   # dead, not forgotten""",
    ),
    "what a template gives, and is gone": (
        {"latin.data.voice": MISSING},
        """\
-  latin: {extends: teacher, name: Latin}   # dead, not forgotten
+  latin: {extends: teacher, name: Latin, data: {voice: null}}   # dead, not forgotten""",
    ),
    "a prompt in a file that a fragment uses, too": (
        {"rules.prompt": "Be strict."},
        """\
-  rules: {name: Rules, prompt: {file: prompts/rules.md}}
+  rules: {name: Rules, prompt: Be strict.}""",
    ),
    "a prompt of parts, where the change lies inside one": (
        {"desk.prompt": "Be kind.\n\nBe long."},
        """\
-    prompt: [{fragment: rules}, {text: Be brief.}]
+    prompt: [{fragment: rules}, {text: Be long.}]""",
    ),
    "a prompt of parts, where the change lies on the border of two": (
        {"desk.prompt": "Be kind.\n\nBe warm.\n\nBe brief."},
        Refusal(
            "`desk.prompt` can't be accepted: the prompt has several parts, and the change may belong to any of 1, 2"
        ),
    ),
    "a prompt of parts, of which two changed": (
        {"desk.prompt": "Be strict.\n\nBe long."},
        Refusal(
            "`desk.prompt` can't be accepted: the prompt has several parts, and more than one of them changed"
        ),
    ),
    "a part in a file that another session uses, too": (
        {"desk.prompt": "Be strict.\n\nBe brief."},
        Refusal("`desk.prompt` can't be accepted: it lies in fragment `rules`, which others use, too: rules"),
    ),
    "another field of a session of parts": (
        {"desk.name": "Front Desk"},
        """\
-    name: Desk
+    name: Front Desk""",
    ),
    "one of many": (
        {"greek-a.model": "gpt-4o-mini"},
        Refusal("`greek-a.model` can't be accepted: this session is one of several made from `greek`"),
    ),
}


@pytest.mark.parametrize("case", [case for case in COMPOSED if not isinstance(COMPOSED[case][1], Refusal)])
def test_in_a_composed_catalog_a_value_goes_to_the_session(tmp_path: Path, case: str) -> None:
    values, expected = COMPOSED[case]
    academy(tmp_path, HEAD)
    assert accept(tmp_path, values) == ["sessions/all.yaml"]
    assert changed_lines(SCHOOL, (tmp_path / "sessions/all.yaml").read_text()) == expected


@pytest.mark.parametrize("case", [case for case in COMPOSED if isinstance(COMPOSED[case][1], Refusal)])
def test_in_a_composed_catalog_some_values_have_no_place(tmp_path: Path, case: str) -> None:
    values, expected = COMPOSED[case]
    texts = academy(tmp_path, HEAD)
    with pytest.raises(ReconcilerError) as caught:
        accept(tmp_path, values)
    assert [problem.message for problem in caught.value.problems] == [expected]
    assert files(tmp_path) == texts


def test_in_an_environment_a_value_goes_to_its_patch_and_leaves_the_others_alone(tmp_path: Path) -> None:
    texts = academy(tmp_path, HEAD + ENVIRONMENTS)
    before = load_catalog(tmp_path, "production")
    changed = accept_values(
        tmp_path,
        [
            Accepted("latin", "model", "deepseek-reasoner"),
            Accepted("latin", "name", "[staging] Latein"),
            Accepted("hall", "prompt", "Hush!\n\nNow."),
            Accepted("greek-a", "remark.owner", "mei"),
        ],
        environment="staging",
    )
    assert changed == ["catalog.yaml"]
    assert (
        changed_lines(texts["catalog.yaml"], (tmp_path / "catalog.yaml").read_text())
        == """\
-      latin: {model: gpt-4o-mini}   # cheaper
+      latin: {model: deepseek-reasoner, name: Latein}   # cheaper
+      hall:
+        prompt: |
+          Hush!
+
+          Now.
+      greek-a:
+        remark: {owner: mei}"""
    )
    assert load_catalog(tmp_path, "production").sessions == before.sessions


def test_in_an_environment_a_name_keeps_what_is_put_around_it(tmp_path: Path) -> None:
    texts = academy(tmp_path, HEAD + ENVIRONMENTS)
    with pytest.raises(ReconcilerError) as caught:
        accept_values(tmp_path, [Accepted("latin", "name", "Latein")], environment="staging")
    assert caught.value.problems == (
        Problem(
            "`latin.name` can't be accepted: in this environment, names start with `[staging] ` and end with ``",
            "change the live name back, or edit the environment's `name_prefix` and `name_suffix`",
        ),
    )
    assert files(tmp_path) == texts
