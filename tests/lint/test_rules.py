"""Each rule finds its planted fault and says so; the examples have none, and real personas no secrets."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.errors import CatalogError
from reconciler.language_models import read_models
from reconciler.lint import RULES, lint, report_to_document
from reconciler.render.findings import findings_as_text
from tests import warm
from tests.lint.faults import FAULTS

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
DATA = Path(os.environ.get("RECONCILER_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
HEAD = "version: 1\ncatalog: shop\ndefaults: {model: deepseek-chat}\n"


def planted(folder: Path, files: Mapping[str, str]) -> Path:
    """A catalog of these files."""
    for name, text in {"catalog.yaml": HEAD, **files}.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8", newline="")
    return folder


def said(folder: Path, prompt: str, *, head: str = "", above: str = "") -> list[str]:
    """What is said of a session with this prompt, written as a block; a line each, without lines and hints."""
    body = "".join(f"      {line}\n" for line in prompt.split("\n"))
    text = f"sessions:\n  one:\n    name: One\n{above}    prompt: |\n{body}"
    report = lint(planted(folder, {"catalog.yaml": HEAD + head, "sessions/a.yaml": text}))
    return [f"{one.problem.place}: {one.severity}: {one.rule}" for one in report.findings]


def test_all_that_is_said_of_the_planted_faults(tmp_path: Path) -> None:
    report = lint(planted(tmp_path, FAULTS))
    assert findings_as_text(report_to_document(report)) == (HERE / "said.txt").read_text(encoding="utf-8")
    assert {finding.rule for finding in report.findings} == set(RULES)


@pytest.mark.parametrize("example", sorted((REPOSITORY / "examples").glob("*/catalog.yaml")), ids=str)
def test_nothing_is_said_of_the_examples(example: Path) -> None:
    report = lint(example.parent)
    assert [(one.rule, one.problem.place) for one in report.findings] == []


@pytest.mark.parametrize(
    ("prompt", "places"),
    [
        ("TODO", ["5:7"]),
        ("- FIXME (mei): prices", ["5:9"]),
        ("Be kind.\nSay hello. TODO: in French", ["6:18"]),
        ("You keep a TODO list.\nYou are the TODO app's helper.", []),
        ("A todo: buy milk.", []),
        ("<!-- TODO: more -->", ["5:12"]),
        ("TODOS: none", []),
    ],
)
def test_what_is_a_todo(prompt: str, places: list[str], tmp_path: Path) -> None:
    assert said(tmp_path, prompt) == [f"sessions/a.yaml:{place}: warning: todo" for place in places]


@pytest.mark.parametrize(
    ("prompt", "places"),
    [
        ("Hello <INSERT NAME>.", ["5:13"]),
        ("[YOUR COMPANY NAME] is here.", ["5:7"]),
        ("Lorem ipsum dolor", ["5:7"]),
        ("你好，【请填写店名】", ["5:10"]),
        ("{{char}} meets {{user}}, ${name}, $$x, {% if %}, [a link](b), [note], <b>, <user>", []),
        ("[INSERT] is a key; [YOUR PAGE](page.html) a link", []),
    ],
)
def test_what_is_a_placeholder(prompt: str, places: list[str], tmp_path: Path) -> None:
    assert said(tmp_path, prompt) == [f"sessions/a.yaml:{place}: warning: placeholder" for place in places]


def test_white_space_that_may_stay(tmp_path: Path) -> None:
    assert said(tmp_path, "A line break in Markdown:  \nnext, and the end ") == []
    assert said(tmp_path, "Three:   \nnext\n  \nend") == ["sessions/a.yaml:5:13: info: trailing-space"]


def rules_of(folder: Path, manifest: str, **files: str) -> dict[str, str]:
    """The rule by the place of each finding."""
    report = lint(planted(folder, {"sessions/a.yaml": "sessions:\n" + manifest, **files}))
    return {one.problem.place.removeprefix("sessions/a.yaml:"): one.rule for one in report.findings}


@pytest.mark.parametrize(
    ("prompt", "places"),
    [
        (">\n      Rules:\n      - one\n      - two\n", ["5:7"]),
        (">-\n      Rules:\n\n      - one\n      1. two\n", ["7:7"]),
        ("Rules:\n      * one\n      2) two\n", ["4:7"]),
        ('"Rules:\n      - one\n      - two"\n', ["4:7"]),
        ("|\n      Rules:\n      - one\n", []),
        (">\n      Rules:\n\n      - one\n\n      - two\n", []),
        (">\n      Rules:\n        - one\n        - two\n      Be kind.\n", []),
        (">\n      Founded in\n      2024. It is\n      -5 degrees.\n", []),
    ],
)
def test_a_list_that_is_folded(prompt: str, places: list[str], tmp_path: Path) -> None:
    prompt = prompt.replace("Rules:", "Rules") if prompt[0] == "R" else prompt
    found = rules_of(tmp_path, f"  a:\n    prompt: {prompt}    name: A\n")
    assert found == dict.fromkeys((place for place in places), "folded-list")


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (r'"A\n"', "the name ends with a line end"),
        ('"A "', "the name ends with white space"),
        (r'"A\u3000"', "the name ends with white space"),
        (r'" A"', "the name begins with white space"),
        (r'"A\tB"', "the name contains a tab"),
        (r'"A\nB"', "the name contains a line end"),
        ("A  B", ""),
        ('"[test] A"', ""),
    ],
)
def test_a_name_with_white_space_in_the_wrong_place(name: str, fault: str, tmp_path: Path) -> None:
    planted(tmp_path, {"sessions/a.yaml": f"sessions:\n  a: {{name: {name}, prompt: p}}\n"})
    found = [one.problem.message for one in lint(tmp_path).findings]
    assert found == ([fault] if fault else [])


def test_the_name_of_a_row_is_looked_at_too(tmp_path: Path) -> None:
    manifest = "  r:\n    from: {file: t.csv, key: '{id}', fields: {name: n}}\n    prompt: p\n"
    assert rules_of(tmp_path, manifest, **{"t.csv": "id,n\na,A\nb,B \n"}) == {"2:3": "untidy-name"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r'"C:\temp"', True),
        (r'"see D:\new, please"', True),
        (r'"C:\\temp"', False),
        (r"'C:\temp'", False),
        (r"C:\temp", False),
        (r'"Note:\tone"', False),
        (r'"a C:\"b\""', False),
    ],
)
@pytest.mark.parametrize("field", ["prompt: {}", "prompt: p, data: {{dir: {}}}"])
def test_a_path_whose_backslash_is_an_escape(field: str, text: str, found: bool, tmp_path: Path) -> None:
    manifest = f"  a: {{name: A, {field.format(text)}}}\n"
    assert [*rules_of(tmp_path, manifest).values()] == ["escaped-path"] * found


def test_a_pointer_of_git_lfs_is_told_from_a_prompt_about_it(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    manifest = "  a: {name: A, prompt: {file: p.md}}\n"
    assert rules_of(tmp_path, manifest, **{"p.md": pointer}) == {"p.md:1:1": "lfs-pointer"}
    assert rules_of(tmp_path, manifest, **{"p.md": f"A pointer begins so:\n{pointer}"}) == {}


FLAG = "\U0001f3f4{}\U000e007f"


@pytest.mark.parametrize("code", ["gbeng", "gbsct", "gbwls", "ustx"])
def test_a_flag_made_of_tags_may_stay(code: str, tmp_path: Path) -> None:
    flag = FLAG.format("".join(chr(0xE0000 + ord(letter)) for letter in code))
    assert said(tmp_path, f"Wave {flag}, and {flag}{flag}") == []


@pytest.mark.parametrize("hidden", ["ignore", "gb", "GBENG"])
def test_other_tags_are_invisible_characters(hidden: str, tmp_path: Path) -> None:
    tags = "".join(chr(0xE0000 + ord(letter)) for letter in hidden)
    for text in (FLAG.format(tags), tags, f"\U0001f3f4{tags}"):
        assert set(said(tmp_path, text)) > set()


@pytest.mark.parametrize("name", ["5 μm", "10 kΩ", "5 µm"])
def test_a_unit_of_measure_is_no_mixture_of_scripts(name: str, tmp_path: Path) -> None:
    assert rules_of(tmp_path, f"  a: {{name: {name}, prompt: p}}\n") == {}


def test_of_each_rule_the_first_findings_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.lint.MAX_FINDINGS", 2)
    ignored = "  # reconciler: ignore todo -- later\n"
    sessions = "".join(f"  s{n}: {{name: 'A{n} ', prompt: 'p{n}'}}\n" for n in range(5))
    manifest = f"{sessions}{ignored}  z: {{name: Z, prompt: 'TODO: {{x}}'}}\n"
    report = lint(planted(tmp_path, {"sessions/a.yaml": "sessions:\n" + manifest}))
    assert [(one.rule, one.problem.line) for one in report.findings] == [
        ("untidy-name", 2),
        ("untidy-name", 3),
    ]
    assert (report.cut, report.ignored) == (("untidy-name",), 1)
    assert findings_as_text(report_to_document(report)).splitlines()[-2:] == [
        "Of `untidy-name`, only the first findings are shown; run this again when they are dealt with.",
        "shop: 6 sessions, 2 warnings, 1 ignored.",
    ]


def test_characters_that_may_stay(tmp_path: Path) -> None:
    assert said(tmp_path, "👩‍👧 می‌خواهم ✔️ 1️⃣") == []
    assert said(tmp_path, "a\u00a0b") == ["sessions/a.yaml:5:8: warning: invisible-character"]
    allow = "lint: {options: {invisible-character: {allow: [U+00A0]}}}\n"
    assert said(tmp_path, "a\u00a0b", head=allow) == []


def test_a_rule_is_turned_off_or_up(tmp_path: Path) -> None:
    assert said(tmp_path, "TODO", head="lint: {todo: off}\n") == []
    assert said(tmp_path, "TODO", head="lint: {todo: error}\n") == ["sessions/a.yaml:5:7: error: todo"]
    words = "lint: {options: {todo: {words: [待办]}}}\n"
    assert said(tmp_path, "TODO\n待办：写完", head=words) == ["sessions/a.yaml:6:7: warning: todo"]


@pytest.mark.parametrize(
    "above",
    [
        "    # reconciler: ignore todo -- the model plays somebody who forgets\n",
        "    # reconciler: ignore todo, placeholder -- both are meant\n    # and one more comment\n",
    ],
)
def test_what_a_comment_ignores(above: str, tmp_path: Path) -> None:
    found = said(tmp_path, "TODO\n[YOUR NAME]", above=above)
    line = 6 + above.count("\n")
    both = "placeholder" in above
    assert found == ([] if both else [f"sessions/a.yaml:{line}:7: warning: placeholder"])


def test_a_comment_at_a_session_covers_all_of_it(tmp_path: Path) -> None:
    files = {
        "sessions/a.yaml": "sessions:\n  one:  # reconciler: ignore todo, unknown-model -- for the intern\n"
        "    name: One\n    prompt: {file: prompts/one.md}\n    model: nobody\n",
        "prompts/one.md": "TODO\n",
    }
    report = lint(planted(tmp_path, files))
    assert findings_as_text(report_to_document(report)) == "shop: 1 session, nothing found, 2 ignored.\n"


def test_what_looks_like_a_comment_in_a_prompt_is_none(tmp_path: Path) -> None:
    found = said(tmp_path, "# reconciler: ignore todo -- no\nTODO")
    assert found == ["sessions/a.yaml:6:7: warning: todo"]


def test_a_shared_prompt_is_no_duplicate(tmp_path: Path) -> None:
    files = {
        "catalog.yaml": HEAD.replace("{model", "{prompt: Be kind., model"),
        "sessions/a.yaml": "sessions:\n  a: {name: A}\n  b: {name: B}\n"
        "  c: {name: C, prompt: {file: c.md}}\n  d: {name: D, prompt: {file: c.md}}\n",
        "c.md": "Be brief.\n",
    }
    assert lint(planted(tmp_path, files)).findings == ()


def test_what_all_take_over_is_said_once(tmp_path: Path) -> None:
    files = {
        "catalog.yaml": HEAD.replace("deepseek-chat", "deepseek"),
        "sessions/a.yaml": "sessions:\n  a: {name: A, prompt: One.}\n  b: {name: B, prompt: Two.}\n",
    }
    report = lint(planted(tmp_path, files))
    assert [one.problem.place for one in report.findings] == ["catalog.yaml:3:19"]


COMPOSED = {
    "catalog.yaml": HEAD + "variables: {shop: Lantern}\n"
    "fragments:\n  rules: |\n    TODO: write them\n  tone: {file: tone.md}\n"
    "templates:\n  hot: {model: claude-opus-4-5, parameters: {temperature: 2}}\n"
    "environments:\n  staging:\n    name_prefix: '[s] '\n    defaults: {model: deepsek-chat}\n"
    "    sessions: {a: {prompt: '[YOUR NAME]'}}\n  production: {}\n",
    "tone.md": "Be <INSERT TONE>.\n",
    "sessions/a.yaml": "sessions:\n"
    "  a: {name: A, prompt: [{fragment: rules}, {text: 'FIXME'}]}\n"
    "  b: {name: B, prompt: [{fragment: rules}, {fragment: tone}]}\n"
    "  many:\n    extends: hot\n    matrix: {axes: {n: [one, two]}, key: 'm-{n}'}\n    name: '{n}'\n    prompt: Hi.\n"
    "  rows:\n    from: {file: rows.csv, key: 'r-{id}', fields: {data.text: text}}\n    name: R\n    prompt: Ho.\n",
    "rows.csv": "id,text\nx,TODO: say it\n",
}


def test_what_is_put_together(tmp_path: Path) -> None:
    report = lint(planted(tmp_path, COMPOSED))
    assert [f"{one.problem.place}: {one.rule}" for one in report.findings] == [
        "catalog.yaml:7:5: todo",
        "catalog.yaml:10:59: temperature-range",
        "catalog.yaml:14:23: unknown-model",
        "catalog.yaml:15:29: placeholder",
        "rows.csv:2:3: todo",
        "sessions/a.yaml:2:52: todo",
        "tone.md:1:4: placeholder",
    ]


def test_a_list_of_models(tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    file.write_text(json.dumps({"object": "list", "data": [{"id": "house-1"}]}), encoding="utf-8")
    text = "sessions:\n  a: {name: A, prompt: One.}\n  b: {name: B, prompt: Two., model: house-1}\n"
    report = lint(planted(tmp_path, {"sessions/a.yaml": text}), models=read_models(file))
    assert [one.problem.message for one in report.findings] == [
        "the model `deepseek-chat` is not among the models in models.json"
    ]


def test_the_block_is_checked(tmp_path: Path) -> None:
    with pytest.raises(CatalogError) as raised:
        lint(planted(tmp_path, {"catalog.yaml": HEAD + "lint: {tood: off, todo: loud}\n"}))
    assert [(one.message, one.hint) for one in raised.value.problems] == [
        ("`tood` is not a field of `lint`", "did you mean `todo`?"),
        (
            '`todo` is the string "loud"; expected `off`, `info`, `warning` or `error`',
            "write one of these values",
        ),
    ]


@pytest.mark.parametrize(
    ("flags", "code"), [([], 0), (["--fail-on", "warning"], 1), (["--fail-on", "error"], 0)]
)
def test_the_command(flags: list[str], code: int, tmp_path: Path) -> None:
    planted(tmp_path, {"sessions/a.yaml": "sessions:\n  a: {name: A, prompt: 'TODO: all'}\n"})
    done = warm.run(["lint", str(tmp_path), *flags])
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.splitlines() == [
        "sessions/a.yaml:2:25: warning: a `TODO` was left in this prompt, where the model reads it [todo]",
        "    2 |   a: {name: A, prompt: 'TODO: all'}",
        "      |                         ^",
        "      hint: do it, or remove the note",
        "shop: 1 session, 1 warning.",
    ]
