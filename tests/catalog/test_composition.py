"""The sessions of a composed catalog, and the messages about an invalid one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from reconciler.api.client import Client
from reconciler.api.endpoint import Endpoint
from reconciler.api.listing import list_sessions
from reconciler.apply import apply_plan
from reconciler.apply.run import ApplyOptions
from reconciler.catalog import environments, load_catalog
from reconciler.catalog.explain import explain
from reconciler.catalog.graph import graph
from reconciler.contract import load_contract
from reconciler.errors import CatalogError
from reconciler.plan import make_plan
from reconciler.plan.environment_diff import diff_environments
from reconciler.render.problems import format_problem
from reconciler.server import RunningServer, running_server
from tests.catalog.support import write_catalog
from tests.support import LEARNED

ACADEMY = Path(__file__).parents[2] / "examples" / "academy"
PERSONAS = Path(
    os.environ.get("RECONCILER_PERSONAS", ACADEMY.parents[2] / "shared" / "data" / "personas.jsonl")
)


def put(root: Path, **files: str) -> Path:
    """Write a catalog: ``catalog`` is its head without the first two lines, ``a_csv`` the file a.csv."""
    head = "version: 1\ncatalog: shop\n" + files.pop("catalog", "")
    (root / "catalog.yaml").write_text(head, encoding="utf-8")
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        path = root / (f"sessions/{stem}.yaml" if suffix == "yaml" else f"{stem}.{suffix}")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def said(root: Path, environment: str | None = None) -> str:
    """All that is wrong with a catalog, as a person reads it."""
    with pytest.raises(CatalogError) as caught:
        load_catalog(root, environment)
    return "\n".join(format_problem(problem) for problem in caught.value.problems)


# What it comes to


def test_the_academy_is_forty_sessions_or_more_in_each_environment() -> None:
    assert environments(ACADEMY) == ["staging", "production"]
    for environment in environments(ACADEMY):
        assert len(load_catalog(ACADEMY, environment).sessions) >= 40


def test_an_environment_changes_what_it_says_and_nothing_else() -> None:
    staging, production = (load_catalog(ACADEMY, name) for name in ("staging", "production"))
    one, other = (found.sessions["tutor-la-a1"] for found in (staging, production))
    assert (one.name, other.name) == ("[staging] Latina · beginners", "Latina · beginners")
    assert (one.parameters["max_tokens"], other.parameters["max_tokens"]) == (800, 2000)
    assert "the people who test this" in one.prompt
    assert "the front desk" in other.prompt
    assert "exam-invigilator" not in staging.sessions
    assert staging.sessions["front-desk"].model == "deepseek-reasoner"
    assert (str(staging.policy.max_deletes), str(production.policy.max_deletes)) == ("50", "3")
    assert (staging.policy.on_conflict, production.policy.on_conflict) == ("overwrite", "fail")


def test_what_two_templates_build_on_alike_counts_once() -> None:
    # cafe-en extends teacher and character, both of which extend staff: the teacher's pace is not reset by it.
    voice = load_catalog(ACADEMY, "production").sessions["cafe-en"].data["voice"]
    assert voice == {"tone": "playful", "pace": "slow"}


def test_placeholders_of_the_user_stay_what_they_are() -> None:
    prompt = load_catalog(ACADEMY, "production").sessions["exam-invigilator"].prompt
    assert "{{name}} and ${subject}" in prompt


def test_a_variable_of_the_command_line_wins() -> None:
    catalog = load_catalog(ACADEMY, "production", {"school": "Hogsmeade"})
    assert catalog.sessions["front-desk"].prompt.startswith("You work at Hogsmeade.")


def test_parts_are_joined_by_a_blank_line_or_the_given_separator(tmp_path: Path) -> None:
    put(
        tmp_path,
        catalog='defaults: {model: m}\nfragments: {f: "F\\n\\n"}\nsessions:\n'
        "  a: {name: A, prompt: [{fragment: f}, {text: T}, {file: p.md}]}\n"
        '  b: {name: B, prompt: {separator: " + ", parts: [{fragment: f}, {text: T}]}}\n',
        p_md="P  \n",
    )
    sessions = load_catalog(tmp_path).sessions
    assert sessions["a"].prompt == "F\n\nT\n\nP"
    assert sessions["b"].prompt == "F + T"


def test_a_matrix_makes_a_session_for_each_combination(tmp_path: Path) -> None:
    put(
        tmp_path,
        catalog="sessions:\n  t:\n    matrix:\n      axes: {l: [en, {id: zh, label: 中文}], n: [1, 2]}\n"
        '      key: "t-{n}"\n      exclude: [{l: zh}]\n    name: "T {l} {n}"\n    model: m\n'
        '    prompt: [{text: "{{ l }} {{ n + 1 }}", template: jinja}]\n',
    )
    found = {key: (one.name, one.prompt) for key, one in load_catalog(tmp_path).sessions.items()}
    assert found == {"t-1": ("T en 1", "en 2"), "t-2": ("T en 2", "en 3")}


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("t_csv", 'slug,title,temp,topic\na,"A, or not",0.5,x\nb,乙,,\n'),
        (
            "t_jsonl",
            '{"slug": "a", "title": "A, or not", "temp": 0.5, "topic": "x"}\n\n{"slug": "b", "title": "乙"}\n',
        ),
    ],
)
def test_a_table_makes_a_session_for_each_row(tmp_path: Path, name: str, table: str) -> None:
    file = name.replace("_", ".")
    put(
        tmp_path,
        catalog=f"defaults: {{model: m, parameters: {{temperature: 1}}}}\nsessions:\n  t:\n    prompt: p\n"
        f'    from:\n      file: {file}\n      key: "t-{{slug}}"\n'
        "      fields: {name: title, parameters.temperature: temp, data.topic: topic}\n",
        **{name: table},
    )
    sessions = load_catalog(tmp_path).sessions
    assert {key: (one.name, one.parameters["temperature"], one.data) for key, one in sessions.items()} == {
        "t-a": ("A, or not", 0.5, {"topic": "x"}),
        "t-b": ("乙", 1, {}),
    }


def test_a_column_may_have_any_name(tmp_path: Path) -> None:
    put(
        tmp_path,
        catalog="defaults: {model: m, prompt: p}\nsessions:\n  t:\n    from:\n      file: t.csv\n"
        '      key: "t-{no. 1}"\n      fields: {data.a: 姓名}\n    name: "{first name} {姓名}"\n',
        t_csv="no. 1,first name,姓名\na,Alice,顾\n\n , ,\n",
    )
    (session,) = load_catalog(tmp_path).sessions.values()
    assert (session.key, session.name, session.data) == ("t-a", "Alice 顾", {"a": "顾"})


def test_numbers_of_a_table_are_exact(tmp_path: Path) -> None:
    put(
        tmp_path,
        catalog="defaults: {model: m, prompt: p}\nsessions:\n  t:\n    name: N\n    from:\n      file: t.csv\n"
        '      key: "{slug}"\n      fields: {parameters.max_tokens: max}\n',
        t_csv="slug,max\na,9007199254740993\nb,4000.0\nc, 1e3 \n",
    )
    found = {key: one.parameters["max_tokens"] for key, one in load_catalog(tmp_path).sessions.items()}
    assert found == {"a": 9007199254740993, "b": 4000, "c": 1000}
    assert all(type(number) is int for number in found.values())


def test_a_cell_may_hold_a_long_prompt(tmp_path: Path) -> None:
    put(
        tmp_path,
        catalog="defaults: {model: m}\nsessions:\n  t:\n    name: N\n    from:\n      file: t.csv\n"
        '      key: "{slug}"\n      fields: {prompt: text}\n',
        t_csv=f'slug,text\na,"{"x" * 200_000}"\n',
    )
    assert len(load_catalog(tmp_path).sessions["a"].prompt) == 200_000


def test_a_problem_with_the_patch_of_a_row_is_in_the_patch(tmp_path: Path) -> None:
    put(
        tmp_path,
        catalog="defaults: {model: m}\nenvironments:\n  e:\n    sessions:\n      a: {prompt: [{fragment: nope}]}\n"
        "sessions:\n  t:\n    name: N\n    from:\n      file: t.csv\n"
        '      key: "{slug}"\n      fields: {prompt: text}\n',
        t_csv="slug,text\na,p\n",
    )
    assert said(tmp_path, "e").startswith("catalog.yaml:7:31: there is no fragment `nope`\n")


def test_a_patch_may_skip_a_row(tmp_path: Path) -> None:
    put(
        tmp_path,
        catalog="defaults: {model: m, prompt: p}\nenvironments:\n  e:\n    sessions:\n      a: {skip: true}\n"
        'sessions:\n  t: {name: N, from: {file: t.csv, key: "{slug}"}}\n',
        t_csv="slug\na\nb\n",
    )
    assert list(load_catalog(tmp_path, "e").sessions) == ["b"]


@pytest.mark.skipif(not PERSONAS.exists(), reason="the real personas are not here")
def test_real_prompts_pass_through_templates_and_parts_unchanged(tmp_path: Path) -> None:
    personas = [json.loads(line) for line in PERSONAS.read_text(encoding="utf-8").splitlines()]
    sessions = {
        f"p{number}": {"extends": "base", "name": one["name"] or "-", "prompt": [{"text": one["prompt"]}]}
        for number, one in enumerate(personas)
    }
    manifest = {"templates": {"base": {"model": "m", "data": {"a": 1}}}, "sessions": sessions}
    put(tmp_path, a_yaml=json.dumps(manifest, ensure_ascii=False))
    loaded = load_catalog(tmp_path).sessions
    for number, one in enumerate(personas):
        assert loaded[f"p{number}"].prompt == one["prompt"].replace("\r\n", "\n").replace("\r", "\n").rstrip()


def test_two_environments_live_side_by_side_and_never_touch_each_other(tmp_path: Path) -> None:
    with running_server(None) as server, Client(Endpoint("test", server.url), load_contract()) as client:
        for name in ("staging", "production"):
            catalog = load_catalog(ACADEMY, name)
            before = _of_others(server, name)
            plan = make_plan(catalog, list_sessions(client))
            assert {action.kind for action in plan.actions} == {"create"}
            report = apply_plan(plan, client, ApplyOptions(state=tmp_path, settle=0))
            assert report.verification == "verified"
            assert _of_others(server, name) == before
        for name in ("staging", "production"):
            assert make_plan(load_catalog(ACADEMY, name), list_sessions(client)).empty


def _of_others(server: RunningServer, environment: str) -> list[object]:
    """All that the server holds and is not of this environment."""
    return [row for row in server.store.sessions() if f'"environment":"{environment}"' not in str(row.remark)]


def test_what_two_environments_would_be_is_compared_without_speaking_to_anybody() -> None:
    plan = diff_environments(load_catalog(ACADEMY, "staging"), load_catalog(ACADEMY, "production"))
    assert [(one.kind, one.key) for one in plan.actions if one.kind != "update"] == [
        ("create", "exam-invigilator")
    ]
    desk = next(one for one in plan.actions if one.key == "front-desk")
    assert [change.path for change in desk.fields] == ["name", "model", "prompt", "parameters.max_tokens"]


def test_explain_names_the_layer_file_and_line_of_each_field() -> None:
    _, origins = explain(ACADEMY, "figure-turing", "staging")
    places = {one.path: (one.layer, one.file) for one in origins}
    assert places["name"] == ("session figure, column name", "tables/figures.csv")
    assert places["model"] == ("defaults", "catalog.yaml")
    assert places["parameters.max_tokens"] == ("environment staging", "catalog.yaml")
    assert places["remark.team"] == ("template staff", "shared.yaml")
    assert places["prompt[1]"] == ("fragment house-rules", "shared.yaml")
    for one in origins:
        key = one.path.rpartition(".")[2].partition("[")[0]
        line = (ACADEMY / one.file).read_text(encoding="utf-8").splitlines()[one.line - 1]
        assert key in line or one.layer.startswith("fragment") or "text" in line or "turing" in line


def test_explain_shows_the_row_and_the_column_of_what_a_table_fills_in(tmp_path: Path) -> None:
    files = {
        "sessions/a.yaml": "sessions:\n  t:\n    name: '{title}'\n    data: {x: 1, y: 2}\n    from:\n"
        "      file: FILE\n      key: '{id}'\n      fields: {prompt: text, parameters.temperature: t, data.x: x}\n",
        "t.csv": 'id,title,text,t,x\na,A,"two\nlines",1,5\nb,B,p,,\n',
        "t.jsonl": '{"id": "a", "title": "A", "text": [{"text": "p"}]}\n',
    }
    csv, jsonl = (
        {**files, "sessions/a.yaml": files["sessions/a.yaml"].replace("FILE", one)}
        for one in ("t.csv", "t.jsonl")
    )

    def places(files: dict[str, str], key: str) -> dict[str, tuple[str, str, int]]:
        _, origins = explain(write_catalog(tmp_path / str(len(list(tmp_path.iterdir()))), files), key)
        return {one.path: (one.layer, one.file, one.line) for one in origins}

    here = ("session t", "sessions/a.yaml")
    model = ("defaults", "catalog.yaml", 3)
    assert places(csv, "a") == {
        "name": (*here, 3),
        "model": model,
        "prompt": ("session t, column text", "t.csv", 2),
        "parameters.temperature": ("session t, column t", "t.csv", 3),
        "data.x": ("session t, column x", "t.csv", 3),
        "data.y": (*here, 4),
    }
    assert places(csv, "b") == {
        "name": (*here, 3),
        "model": model,
        "prompt": ("session t, column text", "t.csv", 4),
        "data.x": (*here, 4),
        "data.y": (*here, 4),
    }
    assert places(jsonl, "a") == {
        "name": (*here, 3),
        "model": model,
        "prompt": ("session t, column text", "t.jsonl", 1),
        "prompt[0]": ("session t, column text", "t.jsonl", 1),
        "data.x": (*here, 4),
        "data.y": (*here, 4),
    }


def test_graph_shows_which_fragment_reaches_which_session() -> None:
    found = graph(ACADEMY, "production")
    assert found.fragments["plain-format"] == ("study-planner",)
    assert len(found.templates["staff"]) == 42


# What is said of one that is wrong

WRONG = {
    "an unknown template": (
        {
            "catalog": "templates: {teacher: {}}\nsessions: {a: {name: A, model: m, prompt: p, extends: techer}}\n"
        },
        "catalog.yaml:4:55: there is no template `techer`\n"
        "    4 | sessions: {a: {name: A, model: m, prompt: p, extends: techer}}\n"
        "      |                                                       ^\n"
        "      hint: did you mean `teacher`?",
    ),
    "an unknown fragment": (
        {
            "catalog": "fragments: {rules: x}\nsessions: {a: {name: A, model: m, prompt: [{fragment: ruls}]}}\n"
        },
        "catalog.yaml:4:55: there is no fragment `ruls`\n"
        "    4 | sessions: {a: {name: A, model: m, prompt: [{fragment: ruls}]}}\n"
        "      |                                                       ^\n"
        "      hint: did you mean `rules`?",
    ),
    "templates in a circle": (
        {
            "catalog": "templates:\n  a: {extends: b}\n  b: {extends: a}\n"
            "sessions: {s: {name: A, model: m, prompt: p, extends: a}}\n"
        },
        "catalog.yaml:5:16: the template `a` extends itself: a → b → a; it is declared in catalog.yaml:4\n"
        "    5 |   b: {extends: a}\n"
        "      |                ^\n"
        "      hint: remove one of these `extends`",
    ),
    "a fragment declared twice": (
        {"catalog": "fragments: {f: x}\n", "a_yaml": "fragments:\n  f: y\n"},
        "sessions/a.yaml:2:3: the fragment `f` is declared twice, first in catalog.yaml:3\n"
        "    2 |   f: y\n"
        "      |   ^\n"
        "      hint: rename or remove one of the two",
    ),
    "a template declared twice": (
        {"catalog": "templates: {f: {}}\n", "a_yaml": "templates:\n  f: {}\n"},
        "sessions/a.yaml:2:3: the template `f` is declared twice, first in catalog.yaml:3\n"
        "    2 |   f: {}\n"
        "      |   ^\n"
        "      hint: rename or remove one of the two",
    ),
    "a part that is two things at once": (
        {"catalog": "sessions: {a: {name: A, model: m, prompt: [{text: t, file: f}]}}\n"},
        "catalog.yaml:3:44: this entry of `prompt` has `file` and `text`, but only one of them is allowed\n"
        "    3 | sessions: {a: {name: A, model: m, prompt: [{text: t, file: f}]}}\n"
        "      |                                            ^\n"
        "      hint: keep one of them; to join several, write a list of parts",
    ),
    "an unknown variable": (
        {"catalog": 'sessions: {a: {name: A, model: m, prompt: [{text: "{{ x }}", template: jinja}]}}\n'},
        "catalog.yaml:3:51: the template refers to something undefined: 'x' is undefined\n"
        '    3 | sessions: {a: {name: A, model: m, prompt: [{text: "{{ x }}", template: jinja}]}}\n'
        "      |                                                   ^\n"
        "      hint: declare it below `variables:`, or pass --var=NAME=VALUE",
    ),
    "nothing to make a prompt of": (
        {"catalog": "templates: {t: {model: m}}\nsessions: {a: {name: A, extends: t}}\n"},
        "catalog.yaml:4:12: the session `a` has no `prompt`\n"
        "    4 | sessions: {a: {name: A, extends: t}}\n"
        "      |            ^\n"
        "      hint: add one here or in a template that it extends",
    ),
    "a matrix whose keys clash": (
        {
            "catalog": "sessions:\n  t: {matrix: {axes: {x: [1, 2]}, key: same}, name: N, model: m, prompt: p}\n"
        },
        "catalog.yaml:4:3: this makes the session `same`, which is already declared in catalog.yaml\n"
        "    4 |   t: {matrix: {axes: {x: [1, 2]}, key: same}, name: N, model: m, prompt: p}\n"
        "      |   ^\n"
        "      hint: change the `key` pattern",
    ),
    "a matrix whose keys are none": (
        {
            "catalog": 'sessions:\n  t: {matrix: {axes: {x: [A B]}, key: "{x}"}, name: N, model: m, prompt: p}\n'
        },
        "catalog.yaml:4:27: this makes the key `A B`, which is not a valid session key\n"
        '    4 |   t: {matrix: {axes: {x: [A B]}, key: "{x}"}, name: N, model: m, prompt: p}\n'
        "      |                           ^\n"
        "      hint: change this value or the `key` pattern",
    ),
    "a pattern that asks for what is not there": (
        {"catalog": 'sessions:\n  t: {matrix: {axes: {x: [a]}, key: "{y}"}, name: N, model: m, prompt: p}\n'},
        "catalog.yaml:4:37: there is no axis `y`\n"
        '    4 |   t: {matrix: {axes: {x: [a]}, key: "{y}"}, name: N, model: m, prompt: p}\n'
        "      |                                     ^\n"
        "      hint: the axes are `x`",
    ),
    "a row with a cell too many": (
        {
            "catalog": 'sessions:\n  t: {from: {file: t.csv, key: "{a}"}, name: N, model: m, prompt: p}\n',
            "t_csv": "a,b\n1,2\n3,4,5\n",
        },
        "t.csv:3:1: this row has 3 cells, and the header 2\n"
        "    3 | 3,4,5\n"
        "      | ^\n"
        "      hint: quote cells that contain a comma",
    ),
    "a cell that is no number": (
        {
            "catalog": 'sessions:\n  t: {from: {file: t.csv, key: "{a}", fields: {parameters.temperature: b}}, '
            "name: N, model: m, prompt: p}\n",
            "t_csv": "a,b\n1,warm\n",
        },
        't.csv:2:3: "warm" is not a number, but `parameters.temperature` requires one\n'
        "    2 | 1,warm\n"
        "      |   ^\n"
        "      hint: write it in digits",
    ),
}


@pytest.mark.parametrize(("files", "message"), WRONG.values(), ids=WRONG.keys())
def test_the_message_about_an_invalid_one(tmp_path: Path, files: dict[str, str], message: str) -> None:
    assert said(put(tmp_path, **files)) == message


ENVIRONMENTS = "environments: {staging: {}, production: {sessions: {alise: {skip: true}}}}\n"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            None,
            "catalog.yaml:3:1: this catalog has environments, but none was chosen\n"
            "    3 | environments: {staging: {}, production: {sessions: {alise: {skip: true}}}}\n"
            "      | ^\n"
            "      hint: add --env=staging or --env=production",
        ),
        (
            "stagin",
            "catalog.yaml:3:1: there is no environment `stagin`\n"
            "    3 | environments: {staging: {}, production: {sessions: {alise: {skip: true}}}}\n"
            "      | ^\n"
            "      hint: did you mean --env=staging?",
        ),
        (
            "production",
            "catalog.yaml:3:53: there is no session `alise` to patch\n"
            "    3 | environments: {staging: {}, production: {sessions: {alise: {skip: true}}}}\n"
            "      |                                                     ^\n"
            "      hint: did you mean `alice`?",
        ),
    ],
)
def test_the_message_about_an_environment(tmp_path: Path, environment: str | None, message: str) -> None:
    put(tmp_path, catalog=ENVIRONMENTS + "sessions: {alice: {name: A, model: m, prompt: p}}\n")
    assert said(tmp_path, environment) == message


def test_a_small_catalog_cannot_make_gigabytes(tmp_path: Path) -> None:
    put(
        tmp_path,
        catalog="fragments: {f: {file: f.md}}\nsessions:\n  t:\n    matrix: {axes: {x: ["
        + ", ".join(map(str, range(1000)))
        + '], y: [1, 2, 3, 4, 5]}, key: "k{x}-{y}"}\n    name: N\n    model: m\n    prompt: [{fragment: f}]\n',
        f_md="x" * 500_000,
    )
    assert said(tmp_path).startswith(
        "catalog.yaml:9:13: up to here, the sessions' prompts come to more than 128 MiB\n"
    )


def test_a_plan_says_which_fragment_is_behind_a_change(tmp_path: Path) -> None:
    prompts = "  a: {name: A, prompt: [{fragment: rules}, {text: one}]}\n  b: {name: B, prompt: [{fragment: rules}]}\n"
    head = "defaults: {{model: m}}\nfragments: {{rules: {0}}}\nsessions:\n"
    with running_server(None) as server, Client(Endpoint("test", server.url), LEARNED) as client:
        put(tmp_path, catalog=head.format("Be kind.") + prompts)
        plan = make_plan(load_catalog(tmp_path), list_sessions(client))
        assert plan.notes == ()
        apply_plan(plan, client, ApplyOptions(state=tmp_path, settle=0))
        put(tmp_path, catalog=head.format("Be kind and brief.") + prompts)
        plan = make_plan(load_catalog(tmp_path), list_sessions(client))
    assert [note.message for note in plan.notes] == ["2 prompts change because fragment rules changed"]
