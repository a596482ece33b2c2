"""`drift --accept`: live values become the catalog's, byte for byte what it was but for them, and the plan is empty."""

from __future__ import annotations

import difflib
from typing import Any

import pytest

from reconciler.server import RunningServer
from tests.cli.conftest import Shell

HEAD = """\
version: 1
catalog: bookshop   # one shop
defaults:
  model: deepseek-chat   # cheap
  parameters: {temperature: 0.2, max_tokens: 4000}
fragments:
  rules: {file: prompts/rules.md}
"""
PEOPLE = """\
sessions:
  # reads to children
  alice:
    name: 'Alice'
    prompt: |
      You are Alice.

      Be kind.   # this is text
    parameters: {temperature: 0.3}   # lively
  till: {name: Till, prompt: {file: prompts/till.md}}
  desk:
    name: Desk
    prompt:
      - {fragment: rules}
      - text: |
          You sit at the desk.
          Be brief.
  hall:
    name: Hall
    model: gpt-4o
    prompt: [{fragment: rules}, {text: Hush.}]
"""
FILES = {
    "catalog.yaml": HEAD,
    "sessions/all.yaml": PEOPLE,
    "prompts/rules.md": "House rules.\n",
    "prompts/till.md": "You are the till.\r\nBe exact.\r\n",
}
ENVIRONMENTS = "environments:\n  staging: {name_prefix: 'S '}   # tried first\n  production: {}\n"


class Shop:
    """A catalog of files, whose sessions are live."""

    def __init__(self, shell: Shell, server: RunningServer, *more: str, head: str = HEAD) -> None:
        self.shell, self.server, self.more = shell, server, more
        self.files = FILES | {"catalog.yaml": head}
        for path in (shell.root / "sessions").iterdir():
            path.unlink()
        for name, text in self.files.items():
            path = shell.root / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text.encode())
        done = self.run("apply", "--auto-approve")
        assert done.returncode == 0, done.stderr

    def run(self, command: str, *words: str) -> Any:
        return self.shell.run(command, "shop", *self.more, *words)

    def by_hand(self, key: str, **values: Any) -> None:
        """Change a live session in a console."""
        (row,) = [row for row in self.server.store.sessions() if f'"key":"{key}"' in str(row.remark)]
        parameters = values.pop("parameters", {})
        if parameters:
            values["parameters"] = {**row.parameters, **parameters}
        assert self.server.store.update_session(row.session_id, **values)

    def diff(self) -> str:
        """The lines of the catalog that changed, by file."""
        found = []
        for name, before in self.files.items():
            after = (self.shell.root / name).read_bytes().decode()
            lines = difflib.unified_diff(before.split("\n"), after.split("\n"), lineterm="", n=0)
            kept = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
            found += [f"{name}:", *kept] if kept else []
        return "\n".join(found)

    def is_in_step(self) -> bool:
        return self.run("plan", "--detailed-exitcode").returncode == 0


@pytest.fixture
def plain(shop: Shell, server: RunningServer) -> Shop:
    return Shop(shop, server)


@pytest.fixture
def staged(shop: Shell, server: RunningServer) -> Shop:
    return Shop(shop, server, "--env", "staging", head=HEAD + ENVIRONMENTS)


def test_everything_field_by_field_where_it_belongs(plain: Shop) -> None:
    plain.by_hand(
        "alice", model="gpt-5", prompt="You are Alice.\n\nBe brave.", parameters={"temperature": 0.9}
    )
    plain.by_hand("till", model="gpt-5", prompt="You are the till.\nBe quick.")
    plain.by_hand(
        "desk", model="gpt-5", prompt="House rules.\n\nYou sit at the desk.\nBe long.", name="Front Desk"
    )
    done = plain.run("drift", "--accept", "--auto-approve")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        'alice.model                    "deepseek-chat" → "gpt-5"   catalog.yaml:4 (the defaults, for 3 sessions)\n'
        'desk.model                     "deepseek-chat" → "gpt-5"   catalog.yaml:4 (the defaults, for 3 sessions)\n'
        'till.model                     "deepseek-chat" → "gpt-5"   catalog.yaml:4 (the defaults, for 3 sessions)\n'
        "till.prompt                    1 line removed, 1 added, about as many tokens (now about 8)   "
        "prompts/till.md:2\n"
        "alice.prompt                   1 line removed, 1 added, about -4 tokens (now about 8)   sessions/all.yaml:5\n"
        "alice.parameters.temperature   0.3 → 0.9   sessions/all.yaml:9\n"
        'desk.name                      "Desk" → "Front Desk"   sessions/all.yaml:12\n'
        "desk.prompt                    1 line removed, 1 added, about as many tokens (now about 13)   "
        "sessions/all.yaml:15 (a part)\n"
        "Wrote 8 values into 3 files.\n"
    )
    assert plain.diff() == (
        "catalog.yaml:\n"
        "-  model: deepseek-chat   # cheap\n"
        "+  model: gpt-5   # cheap\n"
        "sessions/all.yaml:\n"
        "-      Be kind.   # this is text\n"
        "-    parameters: {temperature: 0.3}   # lively\n"
        "+      Be brave.\n"
        "+    parameters: {temperature: 0.9}   # lively\n"
        "-    name: Desk\n"
        "+    name: Front Desk\n"
        "-          Be brief.\n"
        "+          Be long.\n"
        "prompts/till.md:\n"
        "-Be exact.\r\n"
        "+Be quick.\r"
    )
    assert plain.is_in_step()
    done = plain.run("drift", "--accept")
    assert (done.returncode, done.stdout) == (0, "Nothing to accept: no field was changed outside git.\n")


def test_a_model_that_changed_in_one_session_goes_there(plain: Shop) -> None:
    plain.by_hand("alice", model="gpt-5")
    plain.by_hand("till", model="gpt-5")
    assert plain.run("drift", "--accept", "--auto-approve").returncode == 0
    assert plain.diff() == (
        "sessions/all.yaml:\n"
        "-  till: {name: Till, prompt: {file: prompts/till.md}}\n"
        "+    model: gpt-5\n"
        "+  till: {name: Till, prompt: {file: prompts/till.md}, model: gpt-5}"
    )
    assert plain.is_in_step()


def test_a_fragment_that_changed_alike_in_all_that_use_it(plain: Shop) -> None:
    plain.by_hand("desk", prompt="New rules.\n\nYou sit at the desk.\nBe brief.")
    done = plain.run("drift", "--accept", "--auto-approve")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "`desk.prompt` can't be accepted: it lies in fragment `rules`, which others use, too: hall\n"
        "      hint: edit it in prompts/rules.md by hand for all of them, or give `desk` a part of its own\n"
    )
    assert plain.diff() == ""
    plain.by_hand("hall", prompt="New rules.\n\nHush.")
    done = plain.run("drift", "--accept", "--auto-approve")
    assert (done.returncode, done.stderr) == (0, "")
    assert plain.diff() == "prompts/rules.md:\n-House rules.\n+New rules."
    assert plain.is_in_step()


def test_everything_is_asked_for_and_silence_is_no_yes(plain: Shop) -> None:
    plain.by_hand("alice", name="Alicia")
    done = plain.run("drift", "--accept")
    assert (done.returncode, done.stdout) == (3, 'alice.name   "Alice" → "Alicia"   sessions/all.yaml:4\n')
    assert done.stderr.startswith(
        "this needs approval, and there is no terminal to ask on: nothing was written\n"
    )
    assert plain.diff() == ""
    for answer, code in (("no", 3), ("yes", 0)):
        with plain.shell.started("drift", "shop", "--accept") as started:
            started.wait_for("Write 1 value into 1 file? Only 'yes' is accepted: ")
            started.answer(answer)
            assert started.ended()[0] == code
        assert (plain.diff() != "") is (answer == "yes")
    assert plain.is_in_step()


def test_what_can_not_be_accepted_is_named_beside_the_rest(plain: Shop) -> None:
    (row,) = [row for row in plain.server.store.sessions() if row.name == "Hall"]
    plain.server.store.delete_session(row.session_id)
    plain.by_hand("alice", name="Alicia")
    plain.by_hand("desk", prompt="Other rules.\n\nYou sit.")
    done = plain.run("drift", "--accept", "--auto-approve")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (4, "Wrote 1 value into 1 file.")
    assert done.stderr.splitlines() == [
        "`desk.prompt` can't be accepted: the prompt has several parts, and more than one of them changed",
        "      hint: edit the part by hand; `reconciler explain desk --catalog=shop` shows where each is",
        done.stderr.splitlines()[2],
        "      hint: to accept it, remove hall from the catalog; `reconciler apply --catalog=shop` creates it again",
    ]
    assert done.stderr.splitlines()[2].startswith(
        f"hall: there is no live value to accept: deleted outside git: it was #{row.session_id}, applied on "
    )
    assert plain.diff() == "sessions/all.yaml:\n-    name: 'Alice'\n+    name: 'Alicia'"


def test_by_name_it_is_all_or_nothing(plain: Shop) -> None:
    plain.by_hand("alice", name="Alicia")
    plain.by_hand("desk", prompt="Other rules.\n\nYou sit.")
    done = plain.run("drift", "--accept", "alice", "--accept", "desk")
    assert (done.returncode, done.stdout) == (3, "")
    assert plain.diff() == ""
    assert plain.run("drift", "--accept", "al*").returncode == 0
    assert plain.diff() == "sessions/all.yaml:\n-    name: 'Alice'\n+    name: 'Alicia'"


def test_an_environment_has_its_patch_and_the_files_are_offered(staged: Shop) -> None:
    staged.by_hand("alice", name="S Alicia", parameters={"temperature": 0.9})
    with staged.shell.started("drift", "shop", "--env", "staging", "--accept", "alice.name") as started:
        started.wait_for("for all environments? environment/file: ")
        started.answer("environment")
        assert started.ended()[0] == 0
    assert staged.diff() == (
        "catalog.yaml:\n"
        "-  staging: {name_prefix: 'S '}   # tried first\n"
        "+  staging: {name_prefix: 'S ', sessions: {alice: {name: Alicia}}}   # tried first"
    )
    done = staged.run("drift", "--accept", "--into", "file", "--auto-approve")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "alice.parameters.temperature   0.3 → 0.9   sessions/all.yaml:9\n"
        "Wrote 1 value into 1 file.\n"
        "This changes other environments, too: production.\n"
    )
    assert "+    parameters: {temperature: 0.9}   # lively" in staged.diff()
    assert staged.is_in_step()


def test_without_a_terminal_a_value_goes_to_the_environment_alone(staged: Shop) -> None:
    staged.by_hand("till", prompt="You are the till.\nBe quick.")
    for key in ("alice", "till", "desk"):
        staged.by_hand(key, model="gpt-5")
    assert staged.run("drift", "--accept", "--auto-approve").returncode == 0
    assert "prompts/till.md" not in staged.diff()
    assert "model: gpt-5" in staged.diff()
    assert staged.is_in_step()
    done = staged.shell.run("explain", "till", "--catalog", "shop", "--env", "production")
    assert '"deepseek-chat"' in done.stdout, done.stderr


def test_what_a_patch_says_stays_in_the_patch(staged: Shop) -> None:
    head = staged.shell.root / "catalog.yaml"
    staged.files["catalog.yaml"] = HEAD + ENVIRONMENTS.replace(
        "{name_prefix: 'S '}", "{sessions: {alice: {parameters: {temperature: 0.5}}}}"
    )
    head.write_text(staged.files["catalog.yaml"])
    assert staged.run("apply", "--auto-approve").returncode == 0
    staged.by_hand("alice", parameters={"temperature": 0.9})
    done = staged.run("drift", "--accept", "alice", "--into", "file")
    assert (done.returncode, done.stderr) == (0, "")
    assert "catalog.yaml:9 (the environment `staging`)" in done.stdout
    assert staged.is_in_step()


def test_a_part_is_for_all_environments(staged: Shop) -> None:
    staged.by_hand("desk", prompt="House rules.\n\nYou sit at the desk.\nBe long.")
    done = staged.run("drift", "--accept", "desk")
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == (
        "`desk.prompt` can't be accepted: it lies in a part, which other environments use, too"
    )
    assert staged.run("drift", "--accept", "desk", "--into", "file").returncode == 0
    assert staged.diff() == "sessions/all.yaml:\n-          Be brief.\n+          Be long."


def test_as_json(plain: Shop) -> None:
    plain.by_hand("alice", name="Alicia")
    document = plain.shell.json("drift", "shop", "--accept", "--auto-approve")
    assert document == {
        "format_version": "1.0",
        "accepted": [
            {
                "key": "alice",
                "path": "name",
                "before": "Alice",
                "after": "Alicia",
                "file": "sessions/all.yaml",
                "line": 4,
            }
        ],
        "not_accepted": [],
        "other_environments": [],
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--into", "file"], "--into and --auto-approve are for --accept"),
        (["--accept", "--format", "html"], "--accept writes into the catalog, and shows no drift"),
        (["--accept", "--into", "environment"], "--into=environment: this catalog has no environments"),
        (["--accept", "shop"], "the catalog has no session for 'shop'"),
    ],
)
def test_wrong_usage(shop: Shell, words: list[str], message: str) -> None:
    done = shop.run("drift", "shop", *words)
    assert (done.returncode, done.stderr.splitlines()[0]) == (64, message)


# Sessions of a table


@pytest.fixture
def figures(shop: Shell, server: RunningServer) -> Shell:
    """Two sessions of a table, of which Ada was changed in every way."""
    shop.write(
        {
            "figure": {
                "from": {
                    "file": "figures.csv",
                    "key": "{id}",
                    "fields": {"parameters.temperature": "heat", "data.place": "place"},
                },
                "name": "{first} {last}",
                "prompt": "You are famous.",
            }
        }
    )
    table = "id,first,last,heat,place\nbea,Bea,Ray,0.5,Rome\nada,Ada,Poe,0.5,\n"
    (shop.root / "figures.csv").write_text(table, encoding="utf-8")
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    (number,) = [row.session_id for row in server.store.sessions() if row.name == "Ada Poe"]
    server.store.update_session(number, name="Ada Lovelace", model="gpt-5", parameters={"temperature": 0.9})
    return shop


def test_what_a_table_fills_in_is_edited_in_its_cell(figures: Shell) -> None:
    one_of_several = "can't be accepted: this session is one of several made from `figure`\n      hint: "
    for field, hint in {
        "parameters.temperature": "edit its cell in figures.csv by hand: line 3, column `heat`",
        "name": "edit the cells that its name is made of in figures.csv by hand: line 3",
        "model": "no column of figures.csv fills it in: edit `figure` in sessions/all.yaml by hand, for all of its "
        "sessions; or add a column, and name it below `fields`",
    }.items():
        done = figures.run("drift", "shop", f"--accept=ada.{field}", "--auto-approve")
        assert (done.returncode, done.stderr) == (3, f"`ada.{field}` {one_of_several}{hint}\n")
