"""The contract: a data file that can be replaced, and that can never name an address."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from reconciler.contract import load_contract
from reconciler.errors import Problem, ReconcilerError
from reconciler.schemas import check_document, schema_names, schema_text

BUILT_IN = Path(__file__).parents[2] / "reconciler" / "contract" / "mindcraft.yaml"


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """The built-in contract as a file, with one text in it replaced."""
    text = BUILT_IN.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old} is there {text.count(old)} times"
    path = tmp_path / "contract.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def problems(path: Path) -> list[Problem]:
    with pytest.raises(ReconcilerError) as caught:
        load_contract(path)
    return list(caught.value.problems)


def test_the_built_in_contract_fits_its_schema_and_is_the_one_of_the_file() -> None:
    assert check_document(yaml.safe_load(BUILT_IN.read_bytes()), "contract") == []
    assert load_contract() == load_contract(BUILT_IN)


@pytest.mark.parametrize(
    "path",
    [
        "@evil.example/",
        ".evil.example/",
        ":8080/",
        "//evil.example/",
        "https://evil.example/",
        "/\\\\evil.example",
        "/v1/session/?key=",
        "/v1/ session/",
        "/v1/session/#",
        "v1/session/",
        "",
    ],
)
def test_a_path_is_never_an_address(tmp_path: Path, path: str) -> None:
    found = problems(changed(tmp_path, "path: /v1/session/update/", f"path: '{path}'"))
    (problem,) = found
    assert problem.message.startswith(f"{tmp_path}/contract.yaml: operations.update_session.path: ")
    assert problem.message.endswith("does not match '^/([^/\\\\\\\\?#@:\\\\s][^\\\\\\\\?#@:\\\\s]*)?$'")


BAD_FILES = [
    ("contract: 1", "contract: 3", "contract: 3 is not one of [1, 2]"),
    ("known: assumed\n    method: GET", "known: guessed\n    method: GET", "operations.list_models.known: "
     "'guessed' is not one of ['documented', 'seen', 'assumed', 'learned']"),
    ("encoding: multipart", "encoding: xml", "operations.create_session.encoding: "
     "'xml' is not one of ['none', 'json', 'form', 'multipart', 'query']"),
    ("page_size: 100              # assumed", "page_size: 0  # assumed",
     "operations.list_sessions.page_size: 0 is less than the minimum of 1"),
    ("name: mindcraft", "name: ''", "name: '' should be non-empty"),
    ("left_out: kept ", "left_out: lost ",
     "operations.update_session.left_out: 'lost' is not one of ['kept', 'reset', 'refused']"),
    ("  remark: session_remark\n", "", "session: 'remark' is a required property"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), BAD_FILES, ids=[new[:20] for _, new, _ in BAD_FILES])
def test_a_file_that_does_not_fit_says_where(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = BUILT_IN.read_text(encoding="utf-8")
    path = tmp_path / "contract.yaml"
    before, _, after = text.rpartition(old)
    path.write_text(before + new + after, encoding="utf-8")
    assert problems(path) == [Problem(f"{path}: {message}")]


def test_a_file_that_is_no_yaml_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "contract.yaml"
    assert problems(path) == [Problem(f"the contract {path} can't be read: No such file or directory")]
    path.write_text("a: [", encoding="utf-8")
    (problem,) = problems(path)
    assert problem.message.startswith(f"{path} is not YAML: ")
    path.write_text("!!python/object/apply:os.system [id]", encoding="utf-8")
    (problem,) = problems(path)
    assert problem.message.startswith(f"{path} is not YAML: could not determine a constructor for the tag")
    path.write_text("just a text", encoding="utf-8")
    assert problems(path) == [Problem(f"{path}: the document: 'just a text' is not of type 'object'")]


def test_a_file_that_is_a_bomb_or_holds_itself(tmp_path: Path) -> None:
    path = tmp_path / "contract.yaml"
    for text in ("&a [*a]", "&a {a: *a}", f"[{'1, ' * 10_000}]"):
        path.write_text(text, encoding="utf-8")
        assert problems(path) == [Problem(f"{path} holds more than 10000 values, or itself")]
    path.write_text("[" * 100_000, encoding="utf-8")
    assert problems(path) == [Problem(f"{path} holds more than 20 levels of nesting")]
    for start, use in (("[lol]", "[{}]"), ("{lol: 1}", "{{<<: [{}]}}")):
        levels = [
            f"{name}: &{name} {use.format(', '.join([f'*{before}'] * 9))}"
            for before, name in pairwise("abcdefghijklm")
        ]
        path.write_text("\n".join([f"a: &a {start}", *levels]), encoding="utf-8")
        assert problems(path) == [Problem(f"{path} holds more than 20 aliases")]


def test_a_call_that_the_service_does_not_have(tmp_path: Path) -> None:
    text = BUILT_IN.read_text(encoding="utf-8")
    start, end = text.index("  list_models:"), text.index("# Where the fields stand")
    path = tmp_path / "contract.yaml"
    path.write_text(text[:start] + text[end:], encoding="utf-8")
    contract = load_contract(path)
    with pytest.raises(ReconcilerError) as caught:
        contract.operation("list_models")
    assert list(caught.value.problems) == [
        Problem(
            "the contract 'mindcraft' has no call for list_models",
            "describe the call in the contract file, or use a contract that has it",
        )
    ]


def test_schemas_are_found_by_name_alone() -> None:
    assert {"catalog", "contract", "manifest", "plan"} <= set(schema_names())
    for name in ("../pyproject", "plan.schema.json", "", "/etc/passwd"):
        with pytest.raises(ReconcilerError) as caught:
            schema_text(name)
        assert list(caught.value.problems) == [
            Problem(f"there is no schema {name!r}", "known are: " + ", ".join(schema_names()))
        ]


def test_every_schema_is_a_schema() -> None:
    import json

    import jsonschema

    for name in schema_names():
        document = json.loads(schema_text(name))
        jsonschema.Draft202012Validator.check_schema(document)
        assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
