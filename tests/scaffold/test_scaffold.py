"""``init`` creates a catalog that plans, lints and formats cleanly; ``new`` adds only a session."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler import load_catalog
from reconciler.catalog.add_session import NewSession, add_session
from reconciler.catalog.format import formatted
from reconciler.catalog.load import environments
from reconciler.errors import CatalogError, ReconcilerError, Refused, UsageError
from reconciler.lint import lint
from reconciler.scaffold import EXAMPLES, slug, start
from tests import warm

REPOSITORY = Path(__file__).parents[2]


def run(*arguments: str, code: int = 0) -> str:
    """What a command prints on stdout, or on stderr where it fails."""
    done = warm.run(arguments)
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


def files(root: Path) -> dict[str, str]:
    """All files below a folder."""
    found = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in found}


def test_without_flags(tmp_path: Path) -> None:
    root = tmp_path / "My Shop"
    said = run("init", str(root))
    assert said == (
        "  catalog.yaml\n  sessions/first.yaml\n  .gitignore\n"
        f"Created the catalog my-shop. Next: `reconciler plan '{root}' --endpoint=local`\n"
    )
    assert set(files(root)) == {"catalog.yaml", "sessions/first.yaml", ".gitignore"}
    ignored = files(root)[".gitignore"].splitlines()
    assert {".reconciler/", "plan.json", "*.plan.json", "live.json"} <= set(ignored)
    assert run("validate", str(root)) == "my-shop: 1 session, all valid.\n"
    assert run("lint", str(root)) == "my-shop: 1 session, nothing found.\n"
    assert run("fmt", str(root), "--check") == ""
    assert "1 to create" in run("plan", str(root), "--endpoint", "local", "--concise")


def test_with_flags(tmp_path: Path) -> None:
    run("init", str(tmp_path), "--name", "books", "--model", "on", "--ci", "none")
    catalog = load_catalog(tmp_path)
    assert (catalog.name, catalog.sessions["guide"].model) == ("books", "on")


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example(example: str, tmp_path: Path) -> None:
    start(tmp_path, "mine", "", example=example)
    for environment in environments(tmp_path) or [None]:
        catalog = load_catalog(tmp_path, environment)
        original = load_catalog(REPOSITORY / "examples" / example, environment)
        assert (catalog.name, catalog.sessions) == ("mine", original.sessions)
    assert lint(tmp_path).findings == () and formatted(tmp_path) == []
    assert "yaml-language-server" not in "".join(files(tmp_path).values())


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_files_for_ci(ci: str, tmp_path: Path) -> None:
    if not (REPOSITORY / "examples" / "ci").is_dir():
        with pytest.raises(ReconcilerError, match=f"this installation has no CI files for {ci}"):
            start(tmp_path, "mine", "gpt-4o", ci=ci)
        assert files(tmp_path) == {}
        return
    start(tmp_path, "mine", "gpt-4o", ci=ci)
    made = set(files(tmp_path)) - {"catalog.yaml", "sessions/first.yaml", ".gitignore"}
    assert made == (
        {".gitlab-ci.yml"}
        if ci == "gitlab"
        else {f".github/workflows/reconciler-{name}.yml" for name in ("pull-request", "deploy", "drift")}
    )


@pytest.mark.parametrize("file", ["catalog.yaml", "sessions/first.yaml"])
def test_nothing_is_overwritten(file: str, tmp_path: Path) -> None:
    (tmp_path / "sessions").mkdir()
    (tmp_path / file).write_text("mine")
    said = run("init", str(tmp_path), code=3)
    assert said == f"{tmp_path} already has {file}\n      hint: start in another folder\n"
    assert files(tmp_path) == {file: "mine"}


def test_what_does_not_go_together_is_taken_back(tmp_path: Path) -> None:
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions" / "old.yaml").write_text("sessions: {guide: {name: G, prompt: Old.}}\n")
    with pytest.raises(CatalogError, match="the session `guide` is declared twice"):
        start(tmp_path, "shop", "gpt-4o")
    assert set(files(tmp_path)) == {"sessions/old.yaml"}


def test_an_ignore_file_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    made = start(tmp_path, "shop", "gpt-4o")
    assert made.remarks == (
        "Add .reconciler/ and plan files to .gitignore: they are for this machine alone.",
    )
    assert files(tmp_path)[".gitignore"] == "mine\n"


def test_a_bad_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'My Shop' is not a valid catalog name"):
        start(tmp_path, "My Shop", "gpt-4o")
    assert (slug("My Shop!"), slug("书店"), slug("a" * 70)) == ("my-shop", "personas", "a" * 63)


def test_it_asks_on_a_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    root = tmp_path / "shop"
    with subprocess.Popen(
        [sys.executable, "-m", "reconciler", "init", str(root)],
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
    ) as process:
        os.close(theirs)
        os.write(ours, b"books\n\nnone\n")
        assert process.stdout is not None
        said = process.stdout.read().decode()
        assert process.wait() == 0
    os.close(ours)
    assert "Created the catalog books." in said
    assert load_catalog(root).sessions["guide"].model == "deepseek-chat"


# new

HEAD = "version: 1\ncatalog: shop\ndefaults: {model: gpt-4o}\n"
ONE = "# who\nsessions:\n  a: {name: A, prompt: Hi.}  # first\n"


def shop(root: Path, **more: str) -> Path:
    """A catalog of one session."""
    (root / "sessions").mkdir()
    for name, text in {"catalog.yaml": HEAD, "sessions/a.yaml": ONE, **more}.items():
        (root / name).write_text(text, encoding="utf-8")
    return root


def test_a_new_session(tmp_path: Path) -> None:
    root = shop(tmp_path)
    assert run("new", "night-porter", "--catalog", str(root)) == "sessions/a.yaml\n"
    assert files(root)["sessions/a.yaml"] == ONE + (
        "  night-porter:\n    name: Night Porter\n    prompt: |\n      You are Night Porter.\n\n"
        "      Answer in the language in which you are asked. If you do not know something, say so.\n"
    )
    assert lint(root).findings == () and formatted(root) == []


def test_a_new_session_with_all_flags(tmp_path: Path) -> None:
    root = shop(tmp_path)
    flags = ["--file", "sessions/b.yaml", "--name", "夜班", "--model", "o3", "--prompt-file", "prompts/b.md"]
    assert run("new", "b", "--catalog", str(root), *flags) == "prompts/b.md\nsessions/b.yaml\n"
    assert files(root)["sessions/b.yaml"] == (
        "sessions:\n  b:\n    name: 夜班\n    model: o3\n    prompt: {file: prompts/b.md}\n"
    )
    session = load_catalog(root).sessions["b"]
    assert (session.name, session.model, session.prompt.split("\n")[0]) == ("夜班", "o3", "You are 夜班.")
    assert files(root)["sessions/a.yaml"] == ONE


def test_a_prompt_that_is_there_is_used(tmp_path: Path) -> None:
    root = shop(tmp_path, **{"p.md": "I am here.\n"})
    assert add_session(root, NewSession("b", prompt_file="p.md"), {}) == ("sessions/a.yaml",)
    assert load_catalog(root).sessions["b"].prompt == "I am here."


@pytest.mark.parametrize(
    ("wanted", "error", "message"),
    [
        (NewSession("a"), Refused, "there is already a session 'a'"),
        (NewSession("B"), UsageError, "'B' is not a valid session key"),
        (NewSession("b", file="../b.yaml"), UsageError, r"\.\./b\.yaml goes up with `\.\.`"),
        (NewSession("b", prompt_file="/etc/passwd"), UsageError, "/etc/passwd is an absolute path"),
        (NewSession("b", file="elsewhere.yaml"), ReconcilerError, "the catalog does not read it"),
        (NewSession("b", file="sessions/b.txt"), ReconcilerError, "the catalog does not include this file"),
    ],
)
def test_what_new_refuses(
    wanted: NewSession, error: type[ReconcilerError], message: str, tmp_path: Path
) -> None:
    root = shop(tmp_path)
    before = files(root)
    with pytest.raises(error, match=message):
        add_session(root, wanted, {})
    assert files(root) == before
