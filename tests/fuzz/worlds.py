"""The valid files that are spoilt, and the commands that read them.

A :class:`World` is a folder of files. Those of the catalogs are written here; plans, snapshots, archives, journals and
databases are what the program itself makes of them.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from reconciler.plan.saved import _digest
from reconciler.server import Store
from tests.fuzz.database import changed_database
from tests.support import learned_file, listing

Command = tuple[str, ...]

_CATALOG = """\
version: 1
catalog: bookshop
id: k3v9x2ab
include: ["sessions/**/*.yaml", shared.yaml]
exclude: ["sessions/drafts/*.yaml"]
defaults:
  model: deepseek-chat
  parameters: {temperature: 0.5, max_tokens: 2000}
policy: {max_deletes: "99.5%", max_updates: 40, max_changes: 50, on_conflict: fail}
lint:
  trailing-space: error
  options: {todo: {words: [TODO, 待办]}}
moved:
  - {from: allie, to: alice}
  - {from: "other@staging/bob", to: bob}
forgotten: [carol]
"""
_SHARED = """\
fragments:
  rules: {file: prompts/rules.md}
  tone: "Be kind. # not a comment"
templates:
  staff:
    remark: {team: shop}
    lifecycle: {ignore_changes: [data.rating, parameters.temperature]}
    data: {voice: {tone: warm, pace: normal}, list: [1, two, 3.5, null, true]}
  clerk: {extends: staff, parameters: {temperature: 0.3, history_length: 4}}
"""
_SESSIONS = """\
# Who is in the shop.
sessions:
  alice:
    extends: clerk
    name: "Alice · 前台"
    prompt: |
      You are Alice, and you know every book.

      Answer in two sentences.
    lifecycle: {prevent_destroy: true}
  bob:
    extends: [staff, clerk]
    name: Bob
    adopt: 2
    model: deepseek-reasoner
    prompt:
      separator: "\\n\\n---\\n\\n"
      parts:
        - {text: "You are Bob."}
        - {fragment: rules}
        - {file: prompts/bob.md}
  tutor:
    matrix:
      axes:
        language: [{id: en, label: English}, {id: zh, label: 中文}]
        level: [a1, 2]
      key: "tutor-{language.id}-{level}"
      exclude: [{language: zh, level: a1}]
    name: "{language.label} {level}"
    prompt: [{fragment: tone}]
  faq:
    from:
      file: tables/faq.csv
      key: "faq-{slug}"
      fields: {name: title, prompt: text, parameters.temperature: warmth, data.tags: tags}
  note:
    from: {file: tables/notes.jsonl, key: "note-{id}", fields: {name: name, data.deep: deep}}
    prompt: Take a note.
"""
_FAQ = """\
slug,title,text,warmth,tags
open,When?,"From nine, ""sharp"".",0.4,a
where,Where?,"By the river.
Two lines.",1,
wo,在哪里,在河边。,,b
"""
_NOTES = """\
{"id": "one", "name": "One", "deep": {"a": [1, 2, {"b": null}]}}
{"id": 2, "name": "Two", "deep": "x"}
"""
_TEMPLATES = """\
sessions:
  guide:
    name: Guide
    variables: {place: {name: York, items: [tea, scones]}, count: 3}
    prompt:
      - text: |
          You live in {{ place.name }}{% if count > 2 %} with {{ count }} cats{% endif %}.
          {% for item in place["items"] %}- {{ item | upper }}
          {% endfor %}{{ shop }} {{ place | tojson }} {{ "%.2f" | format(1.5) }}
        template: jinja
      - {file: prompts/guide.md, template: jinja}
"""
_ENVIRONMENTS = """\
variables: {shop: Paper Lantern}
environments:
  staging:
    name_prefix: "[staging] "
    variables: {shop: Try-out}
    defaults: {parameters: {max_tokens: 800}}
    policy: {max_deletes: 50}
    sessions:
      alice: {model: deepseek-reasoner, data: {voice: null}}
      bob: {skip: true}
  production:
    expect_endpoint: https://api.mindcraft.com.cn
"""
_FAULTS = """\
- {kind: status, operation: create_session, when: every 2, status: 503, retry_after: 2}
- {kind: cut, operation: delete_session, when: first, worked: true}
- {kind: rate-limit, rate: 20, retry_after: 1}
- {kind: latency, seconds: 0.02}
"""

_PLAIN = {
    "catalog.yaml": _CATALOG,
    "shared.yaml": _SHARED,
    "sessions/all.yaml": _SESSIONS,
    "prompts/rules.md": "Be brief.\n\n```\ncode\n```\n",
    "prompts/bob.md": "你好。\n",
    "tables/faq.csv": _FAQ,
    "tables/notes.jsonl": _NOTES,
}
_SMALL = {
    "catalog.yaml": _CATALOG.replace(", shared.yaml", ""),
    "sessions/all.yaml": """\
sessions:
  alice: {name: Alice, prompt: You are Alice., data: {deep: {a: [1, {b: c}]}}, remark: {team: shop}}
  bob: {name: Bob, adopt: 2, prompt: You are Bob.}
  dora: {name: Dora, prompt: "You are Dora.\\nYou know it all."}
""",
}


@dataclass(frozen=True)
class World:
    """Files, some of which are spoilt, and the commands that read them. ``{root}`` in a command is their folder, and
    ``{url}`` the address of a service that answers everything with :data:`ANSWER`.

    ``weight`` is how often it is chosen. In four of five inputs, ``refit`` makes the spoilt file acceptable
    to the first check of its reader (a digest, say), so that what comes after that is tried, too.
    """

    name: str
    files: Mapping[str, bytes]
    spoilt: tuple[str, ...]
    commands: tuple[Command, ...]
    weight: int
    refit: Callable[[Random, bytes], bytes] | None = None


#: The file whose content a service answers with.
ANSWER = "answer.json"
FORMS = ("text", "json", "markdown", "html", "github")
_AGAINST = tuple(("plan", "--against", "{root}/snapshot.json", "--format", form, "{root}") for form in FORMS)
_FROM = ("--endpoint", "local", "--retries", "0", "{root}")


def make_worlds(run: Callable[[Command], int]) -> list[World]:
    """The worlds. ``run`` runs a command and returns its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        state = _live(root, run)
        contract = learned_file(root).read_bytes()
    plain = _encoded(_PLAIN) | {"snapshot.json": state["snapshot.json"]}
    named = ("catalog.yaml", "shared.yaml", "sessions/all.yaml")
    templates = {
        "catalog.yaml": "version: 1\ncatalog: bookshop\ndefaults: {model: m}\nvariables: {shop: Paper Lantern}\n",
        "sessions/all.yaml": _TEMPLATES,
        "prompts/guide.md": "Say {{ shop }} {% if not count %}never{% else %}{{ count + 1 }}{% endif %}.\n",
    }
    environments = _PLAIN | {"catalog.yaml": _CATALOG + _ENVIRONMENTS}
    catalogs = (
        ("validate", "{root}"),
        ("validate", "--format", "json", "{root}"),
        ("lint", "{root}"),
        ("lint", "--format", "json", "{root}"),
        ("fmt", "{root}"),
        ("fmt", "--check", "{root}"),
        ("fmt", "--diff", "{root}"),
        ("explain", "alice", "{root}"),
        ("explain", "--format", "json", "tutor-en-2", "{root}"),
        ("graph", "{root}"),
        ("graph", "--format", "dot", "{root}"),
        ("graph", "--format", "mermaid", "{root}"),
        ("new", "--name", "New", "new-one", "{root}"),
        *_AGAINST,
    )
    enc = ("--env", "staging")
    return [
        World("manifests", plain, named, catalogs, 30),
        World("tables", plain, ("tables/faq.csv", "tables/notes.jsonl", "prompts/rules.md"), catalogs, 16),
        World(
            "environments",
            _encoded(environments) | {"snapshot.json": state["snapshot.json"]},
            ("catalog.yaml",),
            (
                ("validate", "{root}"),
                ("validate", *enc, "{root}"),
                ("diff-env", "staging", "production", "{root}"),
                ("explain", *enc, "alice", "{root}"),
                ("lint", "{root}"),
                ("graph", *enc, "{root}"),
                *((*one[:-1], *enc, one[-1]) for one in _AGAINST),
            ),
            10,
        ),
        World(
            "templates",
            _encoded(templates),
            ("sessions/all.yaml", "prompts/guide.md", "catalog.yaml"),
            (("validate", "{root}"), ("lint", "{root}"), ("explain", "guide", "{root}")),
            8,
        ),
        World(
            "contracts",
            _encoded(_SMALL) | {"contract.yaml": contract, "snapshot.json": state["snapshot.json"]},
            ("contract.yaml",),
            (
                *((*one[:-1], "--contract", "{root}/contract.yaml", one[-1]) for one in _AGAINST),
                ("schema", "contract"),
                ("validate", "{root}"),
            ),
            8,
        ),
        World(
            "snapshots",
            _encoded(_SMALL) | {"snapshot.json": state["snapshot.json"]},
            ("snapshot.json",),
            _AGAINST,
            14,
        ),
        World(
            "plans",
            {"plan.json": state["plan.json"]},
            ("plan.json",),
            (
                *(("show", "--format", form, "{root}/plan.json") for form in FORMS),
                ("show", "--full", "{root}/plan.json"),
                ("show", "--concise", "{root}/plan.json"),
            ),
            14,
            _redigest,
        ),
        World(
            "models",
            plain | {"models.json": state["models.json"]},
            ("models.json",),
            (("lint", "--models", "{root}/models.json", "{root}"),),
            3,
        ),
        World(  # the address is no interface's, so that the server ends at once
            "faults",
            {"faults.yaml": _FAULTS.encode()},
            ("faults.yaml",),
            (("server", "--faults", "{root}/faults.yaml", "--host", "203.0.113.1", "--port", "0", "{root}"),),
            3,
        ),
        World(
            "archives",
            {name: data for name, data in state.items() if "/archive/" in name},
            tuple(name for name in state if "/archive/" in name),
            (
                ("archive", "list", "{root}"),
                ("archive", "list", "--format", "json", "{root}"),
                ("archive", "show", "2", "{root}"),
                ("archive", "prune", "--auto-approve", "--keep-days", "0", "{root}"),
            ),
            8,
        ),
        World(
            "journals",
            {".reconciler/journal.jsonl": state[".reconciler/journal.jsonl"]},
            (".reconciler/journal.jsonl",),
            (("history", "{root}"), ("history", "--format", "json", "{root}")),
            8,
        ),
        *_live_worlds(state),
    ]


def _live_worlds(state: Mapping[str, bytes]) -> list[World]:
    """What the embedded server takes part in: slower."""
    database, journal = ".reconciler/local.db", ".reconciler/journal.jsonl"
    files = _encoded(_SMALL) | {
        name: data for name, data in state.items() if name.startswith((".reconciler/", "plan", "learned"))
    }
    archived = tuple(name for name in state if "/archive/" in name)
    restore = ("archive", "restore", "--auto-approve", "--contract", "{root}/learned.yaml")
    return [
        World(
            "databases",
            files,
            (database,),
            (
                ("list", *_FROM),
                ("list", "--format", "json", *_FROM),
                ("plan", *_FROM),
                ("drift", *_FROM),
                (
                    "export",
                    "--catalog",
                    "{root}/out",
                    "--state-dir",
                    "{root}/.reconciler",
                    "--endpoint",
                    "local",
                    "--retries",
                    "0",
                ),
                ("adopt", "x=3", "--auto-approve", *_FROM),
            ),
            3,
            changed_database,
        ),
        World(
            "answers",
            files | {ANSWER: _answers(state)},
            (ANSWER,),
            tuple(
                (*words, "--endpoint", "{url}", "--retries", "0", "{root}")
                for words in (
                    ("list",),
                    ("list", "--format", "json"),
                    ("plan", "--format", "json"),
                    ("plan", "--format", "html"),
                    ("drift",),
                    ("models",),
                    ("doctor",),
                    ("snapshot", "{root}/taken.json"),
                )
            ),
            4,
        ),
        World("journals of plans", files, (journal,), (("plan", *_FROM), ("drift", *_FROM)), 1),
        World(
            "restored archives",
            files,
            archived,
            tuple((*restore, _id(one), *_FROM) for one in archived),
            1,
        ),
        World(
            "applied plans",
            files,
            ("plan.json",),
            (
                (
                    "apply",
                    "--auto-approve",
                    "--endpoint",
                    "local",
                    "--contract",
                    "{root}/learned.yaml",
                    "--state-dir",
                    "{root}/.reconciler",
                    "{root}/plan.json",
                ),
            ),
            1,
            _redigest,
        ),
    ]


def _answers(state: Mapping[str, bytes]) -> bytes:
    """The answer to a request for the list, as the service gives it."""
    rows = json.loads(state["snapshot.json"])["sessions"][::-1]
    return json.dumps(listing(*rows)).encode()


def _encoded(files: Mapping[str, str]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in files.items()}


def _id(archived: str) -> str:
    return Path(archived).stem


def _live(root: Path, run: Callable[[Command], int]) -> dict[str, bytes]:
    """What the program leaves behind: its state folder, a snapshot, a plan and a list of models, by name."""
    for name, data in _encoded(_SMALL).items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
    learned = learned_file(root)
    state = root / ".reconciler"
    state.mkdir()
    store = Store(state / "local.db")
    for number in range(1, 4):
        store.insert_session(name=f"Here {number}", prompt=f"Prompt {number}", remark='{"by": "hand"}')
        store.insert_message(number, content=f"Hello {number}", meta={"a": [1]})
    store.close()

    def must(*words: str) -> None:
        code = run((*words, "--contract", str(learned), "--endpoint", "local", str(root)))
        assert code == 0, (words, code)

    must("apply", "--auto-approve", "--no-lock")
    manifest = root / "sessions" / "all.yaml"
    text = manifest.read_text()
    gone = "".join(line for line in text.splitlines(keepends=True) if "dora" not in line)
    manifest.write_text(gone.replace("You are Alice.", "You are somebody else."))
    must("apply", "--auto-approve", "--no-lock")
    manifest.write_text(text.replace("You are Bob.", "You are Bob.\\nReally."))
    must("plan", "--out", str(root / "plan.json"))
    must("snapshot", str(root / "snapshot.json"))
    must("models", "--out", str(root / "models.json"))
    kept = [path for path in root.rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in kept}


def _redigest(random: Random, data: bytes) -> bytes:
    """A saved plan whose digest fits what is in it."""
    with suppress(ValueError, RecursionError):
        document = json.loads(data)
        if isinstance(document, dict):
            return json.dumps(document | {"digest": _digest(document)}).encode()
    return data
