"""``docs/promotion.md`` and ``docs/rollback.md``, followed word for word: each file is written, each command is run."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reconciler.server import RunningServer, running_server
from tests.doctor.test_first_ten_minutes import Step, pattern, steps
from tests.support import API_KEY

DOCS = Path(__file__).parents[1] / "docs"
PRODUCTION, STAGING = "https://api.mindcraft.com.cn", "https://staging.example.com"


@dataclass
class Reader:
    """Somebody who follows a page in the folder ``root``. ``known`` maps the page's example values to the real ones."""

    root: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)

    def follow(self, page: str, before: Mapping[str, Callable[[], None]]) -> int:
        """Write the files, run the commands and compare what they print. Returns the number of commands.

        ``before`` is what happens to the reader, by the heading of the section at whose beginning it does.
        """
        count = 0
        for heading, kind, text in blocks((DOCS / page).read_text(encoding="utf-8"), before):
            if kind == "heading":
                before[heading]()
            elif kind == "yaml" and (named := re.match(r"# (\S+\.yaml)\n", text)):
                file = self.root / named.group(1)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            elif kind == "console":
                for step in steps(f"```console\n{text}```"):
                    self.take(step)
                    count += 1
        return count

    def take(self, step: Step) -> None:
        wanted = "\n".join(step.output)
        for example, real in self.known.items():
            step.command = step.command.replace(example, real)
        printed = self.run(step.command, step.typed)
        for example, real in self.known.items():
            printed = printed.replace(real, example)
        assert re.fullmatch(pattern(wanted.split("\n") if wanted else []), printed), (
            f"$ {step.command}\n{printed}"
        )

    def run(self, command: str, typed: list[str]) -> str:
        ours, theirs = pty.openpty()
        try:
            os.write(ours, "".join(f"{answer}\n" for answer in typed).encode())
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=self.root,
                env={
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                    "HOME": str(self.root.parent),
                    "LANG": "C.UTF-8",
                    **self.environ,
                },
                stdin=theirs,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=60,
                check=False,
            )
        finally:
            os.close(ours)
            os.close(theirs)
        printed = done.stdout.decode()
        assert done.returncode == 0, f"$ {command}\n{printed}"
        return printed

    def commit(self, message: str) -> None:
        self.run(f"git add . && git commit -q -m '{message}'", [])


def blocks(page: str, before: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    """The fenced blocks in order, and the headings at which something happens."""
    for found in re.finditer(r"^## ([^\n]*)$|^```(\w+)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        heading, kind, text = found.groups()
        if heading is None:
            yield "", kind, text
        elif heading in before:
            yield heading, "heading", ""


@contextmanager
def service(key: str) -> Iterator[RunningServer]:
    with running_server(None, require_key=key) as running:
        yield running


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A catalog's folder in git."""
    folder = tmp_path / "bookshop"
    folder.mkdir()
    (tmp_path / ".gitconfig").write_text("[user]\nname = Lery\nemail = lery@example.com\n")
    (folder / ".gitignore").write_text(".reconciler/\n")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return folder


def test_promotion(root: Path) -> None:
    with service("sk-staging") as staging, service("sk-production") as production:
        for name, server in (("staging", staging), ("production", production)):
            (root.parent / f"{name}.env").write_text(
                f"export MINDCRAFT_ENDPOINT={server.url}\nexport MINDCRAFT_API_KEY=sk-{name}\n"
            )
        reader = Reader(root, known={STAGING: staging.url, PRODUCTION: production.url})
        assert reader.follow("promotion.md", {}) == 11
        [tried], [sold] = staging.store.sessions(), production.store.sessions()
    assert (tried.name, sold.name) == ("[staging] Alice", "Alice")
    assert (tried.prompt, tried.parameters) == (sold.prompt, sold.parameters)
    assert sold.parameters["temperature"] == 0.4


def test_rollback(root: Path) -> None:
    with service(API_KEY) as server:
        environ = {"MINDCRAFT_ENDPOINT": server.url, "MINDCRAFT_API_KEY": API_KEY}
        reader = Reader(root, environ, {PRODUCTION: server.url})
        happens = Happens(reader, server)
        page = {
            "Revert, restore, apply": happens.at_first,
            "Everything that one apply did": happens.again,
            "An empty session is live already": happens.once_more,
        }
        assert reader.follow("rollback.md", page) == 12
        [bob] = [row for row in server.store.sessions() if row.name == "Bob"]
        assert [one.content for one in server.store.messages(bob.session_id)] == [
            "Hello",
            "Anything new?",
            "Bye",
        ]


@dataclass
class Happens:
    """What happens to the reader of the page on rollback."""

    reader: Reader
    server: RunningServer

    def at_first(self) -> None:
        """Bob has messages; a commit that is applied removes him, and changes Alice."""
        (self.reader.root / "catalog.yaml").write_text(
            "version: 1\ncatalog: bookshop\ndefaults: {model: deepseek-chat}\n"
        )
        sessions = self.reader.root / "sessions"
        sessions.mkdir()
        (sessions / "alice.yaml").write_text("sessions: {alice: {name: Alice, prompt: Be kind.}}\n")
        (sessions / "bob.yaml").write_text("sessions: {bob: {name: Bob, prompt: Be brief.}}\n")
        self.reader.commit("both")
        self._apply()
        for text in ("Hello", "Anything new?", "Bye"):
            self.server.store.insert_message(2, content=text)
        self._remove_bob()
        self._know("1a2b3c4d", "20261126T093000-1a2b3c4d-2-delete")

    def again(self) -> None:
        self._remove_bob()
        self._know("5e6f7a8b", "20261126T094500-5e6f7a8b-3-delete")

    def once_more(self) -> None:
        """The commit is applied, and so is its revert."""
        self._remove_bob()
        self._know("9c0d1e2f", "20261126T101500-9c0d1e2f-4-delete")
        self.reader.run("git revert --no-edit HEAD", [])
        self._apply()

    def _remove_bob(self) -> None:
        self.reader.run("git rm -q sessions/bob.yaml", [])
        (self.reader.root / "sessions" / "alice.yaml").write_text(
            "sessions: {alice: {name: Alice, prompt: Be stern.}}\n"
        )
        self.reader.commit("without Bob")
        self._apply()

    def _apply(self) -> None:
        self.reader.run("reconciler apply --auto-approve", [])

    def _know(self, run: str, archive_id: str) -> None:
        """The page's example of a run and an archive id stand for those of the last run."""
        [last] = json.loads(self.reader.run("reconciler history --limit 1 --format json", []))
        [deleted] = [
            entry["archive"] for entry in last if entry["event"] == "intent" and entry["action"] == "delete"
        ]
        self.reader.known[archive_id] = deleted
        self.reader.known[run] = str(last[0]["run"])
