"""``reconciler export``, against a server, into a folder, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.catalog import load_catalog
from reconciler.cli.commands.plan import command as plan_command
from reconciler.errors import Problem, ReconcilerError, Refused
from reconciler.server import RunningServer, running_server
from reconciler.text.normalise import normalise_prompt
from tests.export.support import HARD_PROMPTS, HARD_TEXTS, apply, export, files, plan, run

PERSONAS = Path(__file__).parents[3] / "shared" / "data" / "personas.jsonl"


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(None) as running:
        yield running


def writes(server: RunningServer) -> list[str]:
    return [f"{one.method} {one.path}" for one in server.log if one.method != "GET"]


def fill(server: RunningServer) -> None:
    """Sessions with all that is hard to carry: in names, prompts, data and remarks."""
    for number, prompt in enumerate(HARD_PROMPTS):
        text = HARD_TEXTS[number % len(HARD_TEXTS)]
        server.store.insert_session(
            name=text,
            model="deepseek-chat" if number % 3 else text,
            prompt=prompt,
            parameters={"temperature": number / 100, "max_tokens": 4000} if number % 2 else None,
            data={text: [text, {prompt[:40]: None}, 1.5e300, -0.0, [], {}], "lines": prompt[:2000] + "\n"},
            remark=json.dumps({text: {"of": [prompt[:99], True]}, "n": 10**30}) if number % 4 else "prose",
        )


@pytest.mark.parametrize("layout", ["per-session", "one"])
@pytest.mark.parametrize("prompt_files", [[], ["--prompt-files"]], ids=["inline", "prompt-files"])
def test_what_is_exported_loads_as_it_is_live_and_only_wants_adopting(
    server: RunningServer,
    tmp_path: Path,
    layout: str,
    prompt_files: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    fill(server)
    before = server.store.dump()
    folder = tmp_path / "shop"
    assert export(folder, server.url, "--layout", layout, *prompt_files) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    count = len(HARD_PROMPTS)
    assert captured.out == f"shop: {count} sessions exported to {folder}, {count} of them to adopt.\n"
    catalog = load_catalog(folder)
    by_id = {session_id: catalog.sessions[key] for key, session_id in catalog.adopt.items()}
    for row in server.store.sessions():
        session = by_id[row.session_id]
        assert (session.name, session.model) == (row.name, row.model)
        assert session.prompt == normalise_prompt(row.prompt)
        assert session.parameters == row.parameters
        assert session.data == row.data
        remark = json.loads(row.remark) if row.remark and row.remark != "prose" else {}
        assert session.remark == remark

    capsys.readouterr()
    run(plan_command, folder, "--endpoint", server.url, "--format", "json")
    actions = json.loads(capsys.readouterr().out)["actions"]
    assert {(one["action"], len(one["fields"])) for one in actions} == {("adopt", 0)}
    assert len(actions) == len(HARD_PROMPTS)
    assert writes(server) == []
    assert server.store.dump() == before


def test_what_was_applied_is_exported_with_its_keys_and_equal_values_and_plans_empty(
    server: RunningServer, tmp_path: Path
) -> None:
    fill(server)
    first, second = tmp_path / "first", tmp_path / "second"
    export(first, server.url)
    assert apply(first, server.url) == 0
    written = len(writes(server))
    assert plan(first, server.url) == 0

    assert export(second, server.url, "--layout", "one") == 0
    assert plan(second, server.url) == 0
    assert len(writes(server)) == written
    one, other = load_catalog(first), load_catalog(second)
    assert other.name == "first"
    assert {key: session.fields() for key, session in other.sessions.items()} == {
        key: session.fields() for key, session in one.sessions.items()
    }
    assert other.adopt == {}


@pytest.mark.skipif(not PERSONAS.exists(), reason="the real personas are not here")
def test_real_personas_pass_through_unchanged(server: RunningServer, tmp_path: Path) -> None:
    with PERSONAS.open(encoding="utf-8") as lines:
        personas = [json.loads(line) for line in lines]
    for one in personas:
        server.store.insert_session(name=one["name"], prompt=one["prompt"])
    folder = tmp_path / "personas"
    assert export(folder, server.url) == 0
    sessions = load_catalog(folder).sessions
    found = sorted((session.name, session.prompt) for session in sessions.values())
    assert found == sorted((one["name"], normalise_prompt(one["prompt"])) for one in personas)
    # Most are readable in the manifest, and not one long line of escapes.
    blocks = sum("prompt: |" in text for text in files(folder).values())
    assert blocks > 0.95 * len(personas)

    assert apply(folder, server.url) == 0
    written = len(writes(server))
    again = tmp_path / "again"
    assert export(again, server.url, "--prompt-files", "--layout", "one") == 0
    assert plan(again, server.url) == 0
    assert len(writes(server)) == written
    assert {key: one.fields() for key, one in load_catalog(again).sessions.items()} == {
        key: one.fields() for key, one in sessions.items()
    }


def test_the_same_sessions_give_the_same_files(server: RunningServer, tmp_path: Path) -> None:
    fill(server)
    export(tmp_path / "a", server.url, "--catalog-name", "shop")
    export(tmp_path / "b", server.url, "--catalog-name", "shop")
    first, second = files(tmp_path / "a"), files(tmp_path / "b")
    ids = [re.search(r"^id: (\w{8})$", one["catalog.yaml"], re.M) for one in (first, second)]
    assert ids[0] and ids[1] and ids[0][1] != ids[1][1]  # nothing live has an id yet
    assert first == {name: text.replace(ids[1][1], ids[0][1]) for name, text in second.items()}


def test_nothing_that_is_there_is_overwritten_unasked(server: RunningServer, tmp_path: Path) -> None:
    server.store.insert_session(name="Alice", prompt="Be kind.")
    (tmp_path / "catalog.yaml").write_text("mine")
    with pytest.raises(Refused) as caught:
        export(tmp_path, server.url)
    assert caught.value.problems == (
        Problem(
            f"{tmp_path} already has catalog.yaml",
            "export to an empty folder, or overwrite with --force",
        ),
    )
    assert server.log == []  # it is said before anything is read

    (tmp_path / "catalog.yaml").unlink()
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions/alice.yaml").write_text("mine")
    with pytest.raises(Refused, match=r"already has sessions/alice\.yaml"):
        export(tmp_path, server.url)
    assert files(tmp_path) == {"sessions/alice.yaml": "mine"}

    assert export(tmp_path, server.url, "--force") == 0
    assert load_catalog(tmp_path).adopt == {"alice": 1}


def test_an_export_is_never_mixed_with_other_manifests(server: RunningServer, tmp_path: Path) -> None:
    server.store.insert_session(name="Alice", prompt="Be kind.")
    export(tmp_path, server.url, "--catalog-name", "shop")
    before = files(tmp_path)
    server.store.update_session(1, name="Alicia")
    with pytest.raises(Refused) as caught:
        export(tmp_path, server.url, "--catalog-name", "shop", "--force")
    assert caught.value.problems == (
        Problem(
            f"{tmp_path} has manifests that would become part of the exported catalog: sessions/alice.yaml",
            "remove them, or export to an empty folder",
        ),
    )
    assert files(tmp_path) == before


def test_nothing_is_written_outside_of_the_folder(
    server: RunningServer, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    server.store.insert_session(name="Alice", prompt="Be kind.")
    (tmp_path / "sessions").symlink_to(outside)
    with pytest.raises(ReconcilerError, match="leads out of the catalog's folder through a symlink"):
        export(tmp_path, server.url, "--force")
    assert list(outside.iterdir()) == []
    assert files(tmp_path) == {}


def test_what_is_left_out_is_said_and_the_exit_code_says_so_too(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.store.insert_session(name="Alice", prompt="Be kind.")
    server.store.insert_session(name="", prompt="Who am I?")
    server.store.insert_session(name="Bob\x1b[31m", prompt="Hi.", parameters={"temperature": 9})
    assert export(tmp_path / "shop", server.url) == 4
    captured = capsys.readouterr()
    assert captured.err == (
        "#2 is left out: it has no name\n"
        "#3 `Bob\\x1b[31m`: `parameters.temperature` is left out: a manifest does not accept 9\n"
    )
    assert captured.out == f"shop: 2 sessions exported to {tmp_path / 'shop'}, 2 of them to adopt.\n"
    assert plan(tmp_path / "shop", server.url) == 2
    assert load_catalog(tmp_path / "shop").sessions.keys() == {"alice", "bob-31m"}


def test_the_sessions_of_an_environment(server: RunningServer, tmp_path: Path) -> None:
    server.store.insert_session(name="Alice", prompt="Be kind.")
    assert export(tmp_path / "a", server.url, "--catalog-name", "shop", "--env", "staging") == 0
    assert apply(tmp_path / "a", server.url, "--env", "staging") == 0
    assert export(tmp_path / "b", server.url, "--env", "staging") == 0
    assert plan(tmp_path / "b", server.url, "--env", "staging") == 0
    made = re.search(r"^id: (\w{8})$", files(tmp_path / "a")["catalog.yaml"], re.M)
    assert made is not None  # the live sessions carry it since
    head = f"version: 1\ncatalog: shop\nid: {made[1]}\n\nenvironments:\n  staging: {{}}\n"
    assert files(tmp_path / "b")["catalog.yaml"] == head


def test_the_embedded_server_of_another_folder(tmp_path: Path) -> None:
    shop, copy = tmp_path / "shop", tmp_path / "copy"
    (shop / "sessions").mkdir(parents=True)
    (shop / "catalog.yaml").write_text("version: 1\ncatalog: shop\ndefaults: {model: m}\n")
    (shop / "sessions/a.yaml").write_text("sessions: {alice: {name: Alice, prompt: Be kind.}}\n")
    assert apply(shop, "local") == 0
    assert export(copy, "local", "--state-dir", shop / ".reconciler") == 0
    assert load_catalog(copy).sessions["alice"].name == "Alice"
    assert plan(copy, "local", "--state-dir", shop / ".reconciler") == 0


def test_with_nothing_to_export_nothing_is_written(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(tmp_path / "shop", server.url) == 0
    assert capsys.readouterr().out == "There is nothing to export.\n"
    assert list(tmp_path.iterdir()) == []
