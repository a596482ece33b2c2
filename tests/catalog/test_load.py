"""Loading a valid catalog."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

from reconciler import load_catalog
from reconciler.catalog import catalog_name, service_facts
from reconciler.catalog.files import Root
from reconciler.domain import Lifecycle, Limit, Policy, Session
from reconciler.errors import CatalogError
from reconciler.text.normalise import normalise_prompt
from tests.catalog.support import CATALOG, SESSION, Link, complaint, load, session, write_catalog

ALICE = Session("alice", "Alice", "deepseek-chat", "Hello.")


def test_a_whole_catalog(tmp_path: Path) -> None:
    catalog = load(
        tmp_path,
        {
            "catalog.yaml": (
                "version: 1\n"
                "catalog: bookshop\n"
                "defaults:\n"
                "  model: deepseek-chat\n"
                "  parameters: {max_tokens: 4000, temperature: 0.2, history_length: 4}\n"
                "policy: {max_deletes: 10, max_updates: 12.5%, max_changes: 0, on_conflict: keep-live, lock: true}\n"
                "sessions:\n"
                "  till: {name: Till, prompt: Count.}\n"
            ),
            "sessions/readers.yaml": (
                "sessions:\n"
                "  alice:\n"
                "    name: Alice\n"
                "    prompt: |\n"
                "      You are {{char}}.\n"
                "\n"
                "        ```${x}```\n"
                "\n"
                "    parameters: {temperature: 0.3}\n"
                "    data: {shelf: 3, tags: [a, b]}\n"
                "    remark: {created_user: lery}\n"
                "    lifecycle: {prevent_destroy: true, ignore_changes: [parameters.temperature, data.*]}\n"
            ),
            "sessions/deep/er/night.yaml": (
                "sessions:\n  night: {name: 夜, model: other, prompt: {file: prompts/night.md}}\n"
            ),
            "prompts/night.md": "\ufeff你好。\r\n  再见。  \r\n\r\n",
        },
    )
    assert catalog.name == "bookshop"
    assert catalog.environment is None
    assert catalog.policy == Policy(Limit(10), Limit(percent=12.5), Limit(0), "keep-live", True)
    parameters = {"max_tokens": 4000, "temperature": 0.2, "history_length": 4}
    assert list(catalog.sessions.values()) == [
        Session("till", "Till", "deepseek-chat", "Count.", parameters),
        Session("night", "夜", "other", "你好。\n  再见。", parameters),
        Session(
            "alice",
            "Alice",
            "deepseek-chat",
            "You are {{char}}.\n\n  ```${x}```",
            {**parameters, "temperature": 0.3},
            {"shelf": 3, "tags": ["a", "b"]},
            {"created_user": "lery"},
            Lifecycle(True, ("parameters.temperature", "data.*")),
        ),
    ]


def test_the_least_there_can_be(tmp_path: Path) -> None:
    catalog = load(tmp_path, {"catalog.yaml": "version: 1\ncatalog: shop\n"})
    assert catalog.sessions == {}
    assert catalog.policy == Policy()


def test_the_environment_is_noted(tmp_path: Path) -> None:
    head = "version: 1\ncatalog: bookshop\nenvironments: {staging: {}}\n"
    root = write_catalog(tmp_path, {"catalog.yaml": head})
    assert load_catalog(root, "staging").environment == "staging"
    with pytest.raises(CatalogError, match="`Staging!` is not a valid environment name"):
        load_catalog(root, "Staging!")


def test_the_folder_itself(tmp_path: Path) -> None:
    root = write_catalog(tmp_path, {"sessions/a.yaml": SESSION})
    (tmp_path / "link").symlink_to(root)
    assert load_catalog(str(tmp_path / "link")).sessions == {"alice": ALICE}
    with pytest.raises(CatalogError) as missing:
        load_catalog(tmp_path / "nowhere")
    assert missing.value.problems[0].message == f"{tmp_path}/nowhere does not exist"
    with pytest.raises(CatalogError) as a_file:
        load_catalog(root / "catalog.yaml")
    assert a_file.value.problems[0].message == f"{root}/catalog.yaml is a file"


# The defaults, what a session says itself, and what it comes to.
MERGED: list[tuple[str, str, str, Any]] = [
    ("model: a", "prompt: p", "model", "a"),
    ("model: a", "prompt: p\nmodel: b", "model", "b"),
    ("model: a\nprompt: d", "", "prompt", "d"),
    ("model: a\nprompt: d", "prompt: p", "prompt", "p"),
    ("model: a\nprompt: {file: d.md}", "prompt: p", "prompt", "p"),
    ("model: a\nparameters: {temperature: 1}", "prompt: p", "parameters", {"temperature": 1}),
    ("model: a\nparameters: {temperature: 1}", "prompt: p\nparameters: {}", "parameters", {"temperature": 1}),
    (
        "model: a\nparameters: {temperature: 1, max_tokens: 5}",
        "prompt: p\nparameters: {temperature: 0}",
        "parameters",
        {"temperature": 0, "max_tokens": 5},
    ),
    ("model: a\ndata: {x: {y: 1, z: 2}}", "prompt: p\ndata: {x: {y: 3}}", "data", {"x": {"y": 3, "z": 2}}),
    ("model: a\ndata: {x: {y: 1}}", "prompt: p\ndata: {x: 5}", "data", {"x": 5}),
    ("model: a\ndata: {x: 5}", "prompt: p\ndata: {x: {y: 1}}", "data", {"x": {"y": 1}}),
    ("model: a\ndata: {x: [1, 2]}", "prompt: p\ndata: {x: [3]}", "data", {"x": [3]}),
    ("model: a\ndata: {x: 1, y: 2}", "prompt: p\ndata: {x: null}", "data", {"y": 2}),
    ("model: a\ndata: {y: 2}", "prompt: p\ndata: {x: null}", "data", {"y": 2, "x": None}),
    ("model: a\nremark: {x: 1}", "prompt: p\nremark: {y: 2}", "remark", {"x": 1, "y": 2}),
    ("model: a\nlifecycle: {prevent_destroy: true}", "prompt: p", "lifecycle", Lifecycle(True)),
    (
        "model: a\nlifecycle: {prevent_destroy: true, ignore_changes: [name]}",
        "prompt: p\nlifecycle: {ignore_changes: [data]}",
        "lifecycle",
        Lifecycle(True, ("data",)),
    ),
    ("model: a", "prompt: p\nparameters: {max_tokens: 4.0e3}", "parameters", {"max_tokens": 4000}),
    ("model: a\nparameters: {history_length: 4.0}", "prompt: p", "parameters", {"history_length": 4}),
    ("model: a", "prompt: p\nparameters: {temperature: 1.0}", "parameters", {"temperature": 1.0}),
    ("model: a", 'prompt: ""', "prompt", ""),
]


@pytest.mark.parametrize(("defaults", "fields", "name", "value"), MERGED)
def test_defaults(tmp_path: Path, defaults: str, fields: str, name: str, value: Any) -> None:
    found = getattr(session(tmp_path, fields, defaults), name)
    assert found == value
    assert repr(found) == repr(value)


def test_what_is_merged_leaves_the_defaults_alone(tmp_path: Path) -> None:
    catalog = load(
        tmp_path,
        {
            "catalog.yaml": "version: 1\ncatalog: shop\ndefaults: {model: a, data: {x: {y: 1}}}\n",
            "sessions/a.yaml": (
                "sessions:\n"
                "  a: {name: A, prompt: p, data: {x: {z: 2}}}\n"
                "  b: {name: B, prompt: p}\n"
                "  c: &c {name: C, prompt: p, data: {x: {y: 0}}}\n"
                "  d: *c\n"
            ),
        },
    )
    assert [one.data for one in catalog.sessions.values()] == [
        {"x": {"y": 1, "z": 2}},
        {"x": {"y": 1}},
        {"x": {"y": 0}},
        {"x": {"y": 0}},
    ]


NORMALISED = [
    ("", ""),
    ("a", "a"),
    ("a\r\nb\rc\nd", "a\nb\nc\nd"),
    ("a \n b\t\n\n", "a \n b"),
    ("  \n a", "  \n a"),
    (" \t\r\n", ""),
    ("a\u3000\u00a0", "a"),
    ("{{char}} ${x} $$ ``` --- {% if %}", "{{char}} ${x} $$ ``` --- {% if %}"),
    ("a\u2028b\x85c", "a\u2028b\x85c"),
]


@pytest.mark.parametrize(("text", "normal"), NORMALISED)
def test_normalise_prompt(text: str, normal: str) -> None:
    assert normalise_prompt(text) == normal
    assert normalise_prompt(normal) == normal


# A pattern, the files that there are, and those that match.
TREE = (
    "a.yaml",
    "b.yml",
    "sessions/a.yaml",
    "sessions/ab.yaml",
    "sessions/.hidden.yaml",
    "sessions/.git/a.yaml",
    "sessions/x/a.yaml",
    "sessions/x/y/a.yaml",
    "sessions/x/y/[b].yaml",
    ".reconciler/a.yaml",
)
PATTERNS = [
    ("*.yaml", ["a.yaml", "catalog.yaml"]),
    ("*.yml", ["b.yml"]),
    ("**/a.yaml", ["a.yaml", "sessions/a.yaml", "sessions/x/a.yaml", "sessions/x/y/a.yaml"]),
    ("sessions/*.yaml", ["sessions/a.yaml", "sessions/ab.yaml"]),
    ("sessions/a?.yaml", ["sessions/ab.yaml"]),
    ("sessions/a.yaml", ["sessions/a.yaml"]),
    ("./sessions//a.yaml", ["sessions/a.yaml"]),
    ("sessions/*/a.yaml", ["sessions/x/a.yaml"]),
    ("sessions/**/y/*.yaml", ["sessions/x/y/[b].yaml", "sessions/x/y/a.yaml"]),
    ("sessions/**/**/[a-c].yaml", ["sessions/a.yaml", "sessions/x/a.yaml", "sessions/x/y/a.yaml"]),
    ("sessions/**/[[]b].yaml", ["sessions/x/y/[b].yaml"]),
    ("sessions/x/**", ["sessions/x/a.yaml", "sessions/x/y/[b].yaml", "sessions/x/y/a.yaml"]),
    ("sessions", []),
    ("sessions/", []),
    ("SESSIONS/*.yaml", []),
    ("nowhere/**/*.yaml", []),
    ("a.yaml/*", []),
    ("**/*/**/*/**/*/**/*.yaml", ["sessions/x/y/[b].yaml", "sessions/x/y/a.yaml"]),
    ("**/*/**/*/**/*/**/*/*.yaml", []),
    (".", []),
]


@pytest.mark.parametrize(("pattern", "matched"), PATTERNS)
def test_patterns(tmp_path: Path, pattern: str, matched: list[str]) -> None:
    root = write_catalog(tmp_path, dict.fromkeys(TREE, ""))
    assert Root(root).expand(pattern) == matched


def test_catalog_yaml_is_not_a_manifest(tmp_path: Path) -> None:
    catalog = load(
        tmp_path,
        {"catalog.yaml": CATALOG + 'include: ["**/*.yaml", "*/a.yaml"]\n', "sessions/a.yaml": SESSION},
    )
    assert catalog.sessions == {"alice": ALICE}


def test_an_empty_include(tmp_path: Path) -> None:
    assert load(tmp_path, {"catalog.yaml": CATALOG + "include: []\n", "sessions/a.yaml": "["}).sessions == {}


def test_symlinks_that_stay_inside(tmp_path: Path) -> None:
    catalog = load(
        tmp_path,
        {
            "catalog.yaml": CATALOG + "include: [linked/*.yaml]\n",
            "linked": Link("sessions"),
            "sessions/a.yaml": Link("../kept/a.yaml"),
            "kept/a.yaml": "sessions:\n  alice:\n    name: Alice\n    prompt: {file: linked/alice.md}\n",
            "sessions/alice.md": Link("../kept/alice.md"),
            "kept/alice.md": "Hello.\n",
        },
    )
    assert catalog.sessions == {"alice": ALICE}


def test_two_stars_do_not_follow_symlinks(tmp_path: Path) -> None:
    root = write_catalog(tmp_path, {"sessions/a.yaml": SESSION, "sessions/round": Link("..")})
    assert load_catalog(root).sessions == {"alice": ALICE}


def test_a_prompt_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_catalog(
        tmp_path,
        {
            "sessions/a.yaml": "".join(
                ["sessions:\n", *(f"  s{n}: {{name: S, prompt: {{file: p.md}}}}\n" for n in range(50))]
            ),
            "p.md": "Hello.",
        },
    )
    read: list[str] = []
    real = Root.read
    monkeypatch.setattr(Root, "read", lambda self, path: read.append(path) or real(self, path))
    assert {one.prompt for one in load_catalog(root).sessions.values()} == {"Hello."}
    assert read == ["catalog.yaml", "sessions/a.yaml", "p.md"]


def test_a_bad_prompt_file_is_reported_once(tmp_path: Path) -> None:
    said = complaint(
        tmp_path,
        {
            "sessions/a.yaml": (
                "sessions:\n"
                "  a: {name: A, prompt: {file: p.md}}\n"
                "  b: {name: B, prompt: {file: p.md}}\n"
                "  c: {name: C, prompt: {file: p.md}, parameters: {temperature: 9}}\n"
            )
        },
    )
    assert said.count("p.md` does not exist") == 1
    assert said.count("`temperature` is 9") == 1


def test_the_garbage_collector_is_left_as_it_was(tmp_path: Path) -> None:
    root = write_catalog(tmp_path, {"sessions/a.yaml": "["})
    assert gc.isenabled()
    with pytest.raises(CatalogError):
        load_catalog(root)
    assert gc.isenabled()
    gc.disable()
    try:
        with pytest.raises(CatalogError):
            load_catalog(root)
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize("environment", ["text", "5", "[a]"])
def test_an_environment_that_does_not_fit_the_schema_is_an_error_wherever_it_is_chosen(
    environment: str, tmp_path: Path
) -> None:
    text = f"version: 1\ncatalog: shop\nexpect_endpoint: local\nenvironments: {{staging: {environment}}}\n"
    root = write_catalog(tmp_path, {"catalog.yaml": text})
    with pytest.raises(CatalogError) as caught:
        service_facts(root, "staging")
    (problem,) = caught.value.problems
    assert problem.place == "catalog.yaml:4:25"
    assert "expected a mapping" in problem.message
    assert catalog_name(root, "staging") == "shop"
