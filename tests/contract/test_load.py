"""The contract: a data file that can be replaced, and that can never name an address."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from reconciler.contract import load_contract
from reconciler.errors import Problem, ReconcilerError
from reconciler.render.problems import format_problem
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
    (problem,) = problems(
        changed(tmp_path, "path: /v1/message/\n    encoding: none\n", f"path: '{path}'\n    encoding: none\n")
    )
    shown = f'`operations.list_messages.path` is the string "{path}", and is not a path on the service'
    assert (problem.message, problem.place) == (shown, f"{tmp_path}/contract.yaml:53:11")


def test_a_path_that_ends_in_a_line_break_is_none(tmp_path: Path) -> None:
    path = changed(
        tmp_path, "path: /v1/message/\n    encoding: none\n", 'path: "/v1/message/\\n"\n    encoding: none\n'
    )
    (problem,) = problems(path)
    assert problem.message.startswith("`operations.list_messages.path` is the string ")


#: One change to the built-in contract, and what is said of it, with its place and the text below the caret.
BAD_FILES = {
    "version": (
        "contract: 2",
        "contract: 3",
        "12:11: `contract` is 3, and this program reads versions `1`, `2`",
        "3",
    ),
    "known": (
        "known: seen\n    method: GET",
        "known: assumd\n    method: GET",
        '80:12: `operations.list_models.known` is the string "assumd", '
        "and can be `documented`, `seen`, `assumed`, `learned`",
        "assumd",
    ),
    "encoding": (
        "encoding: multipart",
        "encoding: xml",
        '27:15: `operations.create_session.encoding` is the string "xml", '
        "and can be `none`, `json`, `form`, `multipart`, `query`",
        "xml",
    ),
    "number": (
        "page_size: 100              # assumed",
        "page_size: 0  # assumed",
        "22:16: `operations.list_sessions.page_size` is 0, and 1 is the least",
        "0  # assumed",
    ),
    "type": (
        "page_size: 100              # assumed",
        "page_size: many  # assumed",
        '22:16: `operations.list_sessions.page_size` is the string "many", and has to be an integer',
        "many  # assumed",
    ),
    "no mapping": (
        "    fields: {}",
        "    fields: []",
        "84:13: `operations.list_models.fields` is a list, and has to be a mapping",
        "[]",
    ),
    "empty": ("name: mindcraft", "name: ''", "13:7: `name` is empty", "''"),
    "missing": ("  remark: session_remark\n", "", "95:3: `session` has no `remark`", "session_id"),
    "unknown field": (
        "    page_size: 100              # assumed",
        "    page_sise: 100              # assumed",
        "22:5: `page_sise` is not a field of `operations.list_sessions`",
        "page_sise",
    ),
    "unknown operation": (
        "  delete_session:",
        "  destroy_session:",
        "44:3: `destroy_session` is not an operation of the API",
        "destroy_session:",
    ),
    "no session": (
        "    path: /v1/session/{session_id}/del/\n",
        "    path: /v1/session/del/\n",
        "44:3: `operations.delete_session` does not say which session is meant",
        "delete_session:",
    ),
    "unknown placeholder": (
        "    path: /v1/session/{session_id}/del/\n",
        '    path: "/v1/session/{id}/del/{session_id}/"\n',
        "47:11: `operations.delete_session.path` holds `{id}`",
        '"/v1/session/{id}/del/{session_id}/"',
    ),
    "the same placeholder twice": (
        "    path: /v1/session/{session_id}/del/\n",
        '    path: "/v1/session/{session_id}/{session_id}/"\n',
        "47:11: `operations.delete_session.path` holds `{session_id}`",
        '"/v1/session/{session_id}/{session_id}/"',
    ),
    "a session where there is none": (
        "    path: /v1/models\n",
        "    path: /v1/models/{session_id}\n",
        "82:11: `operations.list_models.path` holds `{session_id}`",
        "/v1/models/{session_id}",
    ),
    "duplicate call": (
        "  list_messages:",
        "  delete_session:\n    known: seen\n  list_messages:",
        "50:3: the key `delete_session` is given twice, first in line 44",
        "delete_session:",
    ),
    "duplicate field": (
        "name: mindcraft",
        "name: mindcraft\nname: other",
        "14:1: the key `name` is given twice, first in line 13",
        "name: other",
    ),
    "tag": (
        "name: mindcraft",
        "name: !!python/name:os.system mindcraft",
        "13:7: the tag `!!python/name:os.system` is not supported: only plain values are allowed",
        "!!python/name:os.system",
    ),
    "alias": (
        "fields: *session_fields",
        "fields: *sesion_fields",
        "42:13: the alias `*sesion_fields` has no anchor before it",
        "*sesion_fields",
    ),
    "merge": (
        "fields: *session_fields",
        "fields: {<<: session_fields}",
        "42:18: `<<` merges a mapping or a list of mappings; this is neither",
        "session_fields",
    ),
}


@pytest.mark.parametrize(("old", "new", "expected", "under"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_file_that_is_wrong_says_where(
    tmp_path: Path, old: str, new: str, expected: str, under: str
) -> None:
    path = tmp_path / "contract.yaml"
    before, _, after = BUILT_IN.read_text(encoding="utf-8").rpartition(old)
    path.write_text(before + new + after, encoding="utf-8")
    problem = next(one for one in problems(path) if one.message in expected)
    assert f"{problem.line}:{problem.column}: {problem.message}" == expected
    assert problem.file == str(path)
    assert problem.source[problem.column - 1 :].startswith(under)


def test_all_that_is_wrong_is_said_at_once_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "contract.yaml"
    path.write_text("name: 5\ncontract: 1\nname: six\noperations: {list_sessions: {methd: GET}}\n")
    found = [f"{problem.line}:{problem.column}: {problem.message}" for problem in problems(path)]
    assert found == [
        "1:1: the contract has no `session`",
        "3:1: the key `name` is given twice, first in line 1",
        "4:13: `operations` has no `create_session`",
        "4:29: `operations.list_sessions` has no `encoding`",
        "4:29: `operations.list_sessions` has no `fields`",
        "4:29: `operations.list_sessions` has no `known`",
        "4:29: `operations.list_sessions` has no `method`",
        "4:29: `operations.list_sessions` has no `path`",
        "4:30: `methd` is not a field of `operations.list_sessions`",
    ]


def test_the_terminal_shows_the_line_with_a_caret(tmp_path: Path) -> None:
    path = changed(tmp_path, "name: mindcraft", "name: mindcraft\nname: other")
    (problem,) = problems(path)
    assert format_problem(problem) == (
        f"{path}:14:1: the key `name` is given twice, first in line 13\n"
        "   14 | name: other\n"
        "      | ^\n"
        "      hint: keep one of the two"
    )


def test_whole_numbers_are_integers_however_they_are_written(tmp_path: Path) -> None:
    path = changed(tmp_path, "page_size: 100              # assumed", "page_size: 1.0e2  # assumed")
    size = load_contract(path).operation("list_sessions").page_size
    assert (size, type(size)) == (100, int)


def test_a_file_that_is_no_yaml_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "contract.yaml"
    assert problems(path) == [Problem(f"the contract {path} can't be read: No such file or directory")]
    for text, message in (
        ("a: [", "1:4: the file ends after this, where a value was expected"),
        ("just a text", '1:1: the contract is the string "just a text", and has to be a mapping'),
        ("", "1:1: the contract is empty, and has to be a mapping"),
        ("a: 1\n---\nb: 2", "2:1: a second document starts here; a file can hold only one"),
    ):
        path.write_text(text, encoding="utf-8")
        (problem,) = problems(path)
        assert (problem.file, f"{problem.line}:{problem.column}: {problem.message}") == (str(path), message)
    path.write_bytes("name: mindcraft".encode("utf-16"))
    assert problems(path)[0].message == "this file is UTF-16, not UTF-8"


def test_a_file_that_is_a_bomb_or_holds_itself(tmp_path: Path) -> None:
    path = tmp_path / "contract.yaml"

    def said(text: str) -> str:
        path.write_text(text, encoding="utf-8")
        (problem,) = problems(path)
        return problem.message

    for text in ("&a [*a]", "&a {a: *a}"):
        assert said(text).startswith("the alias `*a` is inside the value of its own anchor")
    too_many = "this file has more than 10,000 values, with its aliases written out"
    assert said(f"[{'1, ' * 10_001}]") == too_many
    assert said("[" * 100_000) == "this is nested more than 100 levels deep"
    assert said("[" * 21 + "]" * 21) == "this file is nested more than 20 levels deep"
    for start, use in (("[lol]", "[{}]"), ("{lol: 1}", "{{<<: [{}]}}")):
        levels = [
            f"{name}: &{name} {use.format(', '.join([f'*{before}'] * 9))}"
            for before, name in pairwise("abcdefghijklm")
        ]
        for count in (4, 12):
            expected = (
                too_many if count == 4 else "with this one, the aliases of this file expand to more than"
            )
            assert said("\n".join([f"a: &a {start}", *levels[:count]])).startswith(expected)


def test_a_call_that_the_service_does_not_have(tmp_path: Path) -> None:
    text = BUILT_IN.read_text(encoding="utf-8")
    start, end = text.index("  list_models:"), text.index("# Where the fields of a listed")
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
