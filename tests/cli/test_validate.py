"""``reconciler validate``, and what every command says about a catalog that is not valid."""

from __future__ import annotations

import subprocess

import pytest

from reconciler.server import RunningServer
from tests.cli.conftest import COMMAND, Shell, writes


def test_a_valid_catalog_needs_no_key_and_no_service(shop: Shell, server: RunningServer) -> None:
    done = shop.run("validate", "shop", MINDCRAFT_API_KEY="")
    assert (done.returncode, done.stdout, done.stderr) == (0, "bookshop: 2 sessions, all valid.\n", "")
    assert server.log == []


def test_the_catalog_is_the_folder_that_one_is_in(shop: Shell) -> None:
    done = subprocess.run(
        [COMMAND, "validate"],
        cwd=shop.root,
        env=shop.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "bookshop: 2 sessions, all valid.\n")


def test_a_catalog_that_is_not_valid(shop: Shell, server: RunningServer) -> None:
    """Every command that reads it says the same, on stderr. A plan asks for the list meanwhile; no other speaks."""
    (shop.root / "sessions" / "more.yaml").write_text("sessions:\n  Eve: {name: Eve, prompt: x}\n")
    (shop.root / "sessions" / "none.yaml").write_text("sessions:\n  dora: {name: Dora}\n")
    said = {
        (done.returncode, done.stdout, done.stderr)
        for done in (
            shop.run("validate", "shop"),
            shop.run("plan", "shop"),
            shop.run("apply", "shop", "--auto-approve"),
        )
    }
    ((code, out, err),) = said
    assert (code, out) == (1, "")
    assert err.startswith("sessions/more.yaml:2:3: ")
    assert "sessions/none.yaml:2:" in err
    assert [one.operation for one in server.log] in ([], ["list_sessions"])


def test_a_catalog_does_not_choose_the_address_or_the_key(shop: Shell, server: RunningServer) -> None:
    for name, said in {
        "endpoint": "5:1: `endpoint` is not a field of",
        "api_key": "5:1: `api_key` is not a field of",
        "contract": "5:11: the contract `https://evil.example` does not exist",
    }.items():
        shop.write({}, **{name: "https://evil.example"})
        done = shop.run("plan", "shop")
        assert done.returncode == 1
        assert done.stderr.startswith(f"catalog.yaml:{said}")
    assert {one.operation for one in server.log} <= {"list_sessions"}  # at the address that the user gave


EVE = "sessions:\n  eve: {name: Eve, prompt: Be somebody.}\n"


def test_a_manifest_may_end_in_yml(shop: Shell) -> None:
    (shop.root / "sessions" / "more.yml").write_text(EVE)
    assert shop.run("validate", "shop").stdout == "bookshop: 3 sessions, all valid.\n"


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        (
            "eve.yaml",
            "list it under `include` in catalog.yaml, or under `exclude` if it is not meant to be read",
        ),
        (
            "session/eve.yml",
            "list it under `include` in catalog.yaml, or under `exclude` if it is not meant to be read",
        ),
        (
            "sessions/eve.YAML",
            "rename it to sessions/eve.yaml, or list it under `exclude` in catalog.yaml",
        ),
    ],
)
def test_a_manifest_that_is_not_read_is_an_error(shop: Shell, path: str, hint: str) -> None:
    file = shop.root / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(EVE)
    for command in ("validate", "plan"):
        done = shop.run(command, "shop")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"{path}: this file is a manifest, and the catalog does not read it: it declares `eve`\n"
            f"      hint: {hint}\n"
        )
    head = shop.root / "catalog.yaml"
    head.write_text(head.read_text() + f"exclude: ['{path}']\n")
    assert shop.run("validate", "shop").stdout == "bookshop: 2 sessions, all valid.\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (EVE + "version: 1\n", ": it declares `eve`"),
        (EVE + "  eve: {name: Again, prompt: p}\n", ": it declares `eve`"),
        (EVE + "  broken: [\n", ""),
    ],
)
def test_a_manifest_with_an_error_is_a_manifest(shop: Shell, text: str, named: str) -> None:
    (shop.root / "eve.yaml").write_text(text)
    done = shop.run("validate", "shop")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        f"eve.yaml: this file is a manifest, and the catalog does not read it{named}\n"
    )


def test_other_files_are_no_manifests(shop: Shell) -> None:
    for path, text in {
        "workflow.yaml": "on: push\njobs: {}\n",
        "pods.yaml": "kind: A\nsessions: {}\n",
        "timeouts.yaml": "kind: A\nsessions: {login: {name: Login, timeout: 5}}\n",
        "broken.yml": "sessions: [\n",
        "empty.yml": "",
        ".hidden/eve.yaml": EVE,
        "node_modules/eve.yaml": EVE,
        "other/catalog.yaml": "version: 1\ncatalog: other\n",
        "other/sessions/eve.yaml": EVE,
    }.items():
        file = shop.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert shop.run("validate", "shop").returncode == 0


def test_a_key_does_not_leave_the_catalog_while_its_file_is_there(shop: Shell, server: RunningServer) -> None:
    """A renamed folder or suffix would otherwise delete what is live."""
    shop.run("apply", "shop", "--auto-approve")
    before = writes(server)
    (shop.root / "sessions").rename(shop.root / "personas")
    done = shop.run("apply", "shop", "--auto-approve", "--allow-empty")
    assert done.returncode == 1
    assert done.stderr.startswith("personas/all.yaml: this file is a manifest")
    assert "it declares `alice`, `bob`\n" in done.stderr
    assert writes(server) == before


def test_what_is_nearly_always_a_mistake_is_a_warning(shop: Shell) -> None:
    (shop.root / "notes.md").write_text("Be kind.\n")
    (shop.root / "merged.md").write_text("<<<<<<< HEAD\nBe kind.\n=======\n>>>>>>> main\n")
    (shop.root / "sessions" / "more.yaml").write_text(
        "sessions:\n"
        "  empty: {name: Empty, prompt: ''}\n"
        "  typo: {name: Typo, prompt: x, model: deepseek-chatt}\n"
        "  path: {name: Path, prompt: notes.md}\n"
        "  cut:\n"
        "    name: Cut\n"
        "    prompt: Answer in issue #1 style\n"
        "  wide:\n"
        "    name: Wide\n"
        "      model：gpt-4o\n"
        "    prompt: x\n"
        "  merged: {name: Merged, prompt: {file: merged.md}}\n"
    )
    places = {
        "merged.md:1:1": "merge-conflict",
        "sessions/more.yaml:2:32": "empty-prompt",
        "sessions/more.yaml:3:40": "unknown-model",
        "sessions/more.yaml:4:30": "prompt-is-path",
        "sessions/more.yaml:7:29": "cut-by-comment",
        "sessions/more.yaml:10:7": "full-width-colon",
    }
    done = shop.run("validate", "shop")
    assert (done.returncode, done.stdout) == (0, "bookshop: 8 sessions, all valid, 6 warnings.\n")
    for place, rule in places.items():
        assert any(
            line.startswith(f"{place}: warning: ") and line.endswith(f" [{rule}]")
            for line in done.stderr.splitlines()
        ), (place, done.stderr)
    assert "hint: did you mean `deepseek-chat`?" in done.stderr
    strict = shop.run("validate", "shop", "--strict")
    assert (strict.returncode, strict.stderr) == (1, done.stderr.replace(": warning: ", ": error: "))
    document = shop.json("validate", "shop")
    assert [one["rule"] for one in document["warnings"]] == list(places.values())
    plan = shop.run("plan", "shop")
    assert plan.returncode == 0
    assert plan.stderr == "6 warnings about the catalog: `reconciler validate --catalog=shop`\n"


def test_a_warning_is_turned_off_where_the_catalog_says_so(shop: Shell) -> None:
    shop.write({"alice": {"name": "Alice", "prompt": ""}}, lint={"empty-prompt": "off"})
    assert shop.run("validate", "shop", "--strict").returncode == 0
    assert shop.run("plan", "shop").stderr == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "sessions:\n  alice:\n    name：Alice\n    prompt: Hi.\n",
            "sessions/all.yaml:3:9: this colon is full-width (`：`)\n",
        ),
        (
            "sessions:\n  alice:\n    name: Alice\n    prompt: Hi.\n    model：gpt\n",
            "sessions/all.yaml:5:10: this colon is full-width (`：`)\n",
        ),
        (
            "sessions:\n<<<<<<< HEAD\n  alice:\n=======\n  bob:\n>>>>>>> main\n",
            "sessions/all.yaml:2:1: this is left over from a merge conflict\n",
        ),
    ],
)
def test_a_slip_that_breaks_the_file_is_named(shop: Shell, text: str, said: str) -> None:
    (shop.root / "sessions" / "all.yaml").write_text(text)
    done = shop.run("validate", "shop")
    assert done.returncode == 1
    assert done.stderr.startswith(said)


def test_all_errors_of_a_table_are_at_their_cells(shop: Shell) -> None:
    (shop.root / "tables").mkdir()
    (shop.root / "tables" / "g.csv").write_text(
        "who,slug,heat\n"
        "Ann,ann,0.2\n"
        ",,\n"
        '"Ben, the\nelder",ben,warm\n'
        "Cid,ann,0.3\n"
        "Dan,Not A Key,0.4\n"
        "Eve,eve\n"
        ",fay,0.5\n"
        " , , \n"
        "Gus,gus,hot\n"
    )
    shop.write(
        {
            "guide": {
                "from": {
                    "file": "tables/g.csv",
                    "key": "{slug}",
                    "fields": {"name": "who", "parameters.temperature": "heat"},
                },
                "prompt": "Be kind.",
            }
        }
    )
    done = shop.run("validate", "shop")
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("tables/")] == [
        'tables/g.csv:5:12: "warm" is not a number, but `parameters.temperature` requires one',
        "tables/g.csv:6:5: this makes the session `ann`, which is already declared in tables/g.csv:2",
        "tables/g.csv:7:5: this makes the key `Not A Key`, which is not a valid session key",
        "tables/g.csv:8:1: this row has 2 cells, and the header 3",
        "tables/g.csv:9:1: the session `fay` has no `name`",
        'tables/g.csv:11:9: "hot" is not a number, but `parameters.temperature` requires one',
    ]


def test_blank_rows_of_a_table_are_skipped(shop: Shell) -> None:
    (shop.root / "g.csv").write_text(",,\nwho,slug,heat\nAnn,ann,0.2\n,,\n\n , ,\n")
    shop.write({"guide": {"from": {"file": "g.csv", "key": "{slug}"}, "name": "{who}", "prompt": "Be kind."}})
    assert shop.run("validate", "shop").stdout == "bookshop: 1 session, all valid.\n"


def test_a_column_that_is_not_there_is_said_once(shop: Shell) -> None:
    (shop.root / "g.csv").write_text("who,slug\nAnn,ann\nBen,ben\n")
    shop.write({"guide": {"from": {"file": "g.csv", "key": "{id}"}, "name": "{who}", "prompt": "Be kind."}})
    assert shop.run("validate", "shop").stderr == (
        "g.csv:1:1: there is no column `id`\n"
        "    1 | who,slug\n"
        "      | ^\n"
        "      hint: the columns are who, slug\n"
    )


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (
            "sessions:\n  alice:\n    name: Alice\n    prompt: Hi.\n    temperature: 0.3\n",
            [
                "sessions/all.yaml:5:5: `temperature` is not a field of the session `alice`",
                "      hint: `temperature` belongs below `parameters`",
            ],
        ),
        (
            "sessions:\n  alice:\n    name: Alice\n    prompt: Hi.\n    prevent_destroy: true\n",
            [
                "sessions/all.yaml:5:5: `prevent_destroy` is not a field of the session `alice`",
                "      hint: `prevent_destroy` belongs below `lifecycle`",
            ],
        ),
        (
            "sessions:\n  alice:\n    name: Alice\n    parameters:\n      prompt: Hi.\n",
            [
                "sessions/all.yaml:5:7: `prompt` is not a field of `parameters`",
                "      hint: `prompt` belongs one level higher, beside `parameters`",
                "sessions/all.yaml:2:3: the session `alice` has no `prompt`",
            ],
        ),
        (
            "sessions:\n  alice:\n  name: Alice\n  prompt: Hi.\n  parameters: {temperature: 0.3}\n",
            [
                "sessions/all.yaml:3:3: `name`, `prompt` and `parameters` are fields of a session, not a session",
                "      hint: indent these below `alice:`",
            ],
        ),
        (
            "sessions: {}\nprompt: Hi.\n",
            [
                "sessions/all.yaml:2:1: `prompt` is not a field of this manifest",
                "      hint: `prompt` belongs below the key of a session, below `sessions`",
            ],
        ),
    ],
)
def test_a_field_on_the_wrong_level_is_told_where_it_belongs(
    shop: Shell, manifest: str, said: list[str]
) -> None:
    (shop.root / "sessions" / "all.yaml").write_text(manifest)
    done = shop.run("validate", "shop")
    assert done.returncode == 1
    found = [
        line
        for line in done.stderr.splitlines()
        if line.startswith(("sessions/", "      hint: `", "      hint: indent"))
    ]
    assert sorted(found) == sorted(said)


@pytest.mark.parametrize(
    ("field", "home"),
    [
        ("temperature: 0.3", "`temperature` belongs below `parameters`, below `defaults`"),
        ("model: gpt-4o", "`model` belongs below `defaults`"),
        ("max_deletes: 3", "`max_deletes` belongs below `policy`"),
    ],
)
def test_a_field_of_catalog_yaml_on_the_wrong_level(shop: Shell, field: str, home: str) -> None:
    head = shop.root / "catalog.yaml"
    head.write_text(f"version: 1\ncatalog: bookshop\n{field}\n")
    assert f"      hint: {home}\n" in shop.run("validate", "shop").stderr
