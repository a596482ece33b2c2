"""``docs/tutorial.md``, followed word for word, on two accounts.

What is checked besides the page: sessions that are not the school's are what they were, byte for byte, and every
message that was there at the beginning is there at the end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest

from reconciler.server import RunningServer, running_server
from reconciler.server.rows import SessionRow
from tests import warm
from tests.doctor.test_first_ten_minutes import Step
from tests.test_followed_pages import PRODUCTION, STAGING, Reader

DOCS = Path(__file__).parents[2] / "docs"

#: Sessions that the school made by hand, by name: ten tutors, one of them twice, the reception, and what nobody wants.
BY_HAND = (
    *("Aiko", "Anna", "Ben", "Carla", "Elif", "Fatima", "Ivan", "Léa", "Lucía", "Mei"),
    *("Nadia", "Nadia", "Reception", "Night test", "Lery's sandbox"),
)
#: The ids of those that stay unmanaged.
OTHERS = (12, 14, 15)


def made_by_hand(server: RunningServer) -> None:
    for number, name in enumerate(BY_HAND, 1):
        server.store.insert_session(
            name=name, prompt=f"You are {name}.", model="deepseek-chat", remark='{"created_user":"lery"}'
        )
        for text in range(12 if name == "Mei" else number % 3 + 1):
            server.store.insert_message(number, content=f"{name}, message {text}")


def the(server: RunningServer, number: int) -> SessionRow:
    """The session with this id."""
    return next(row for row in server.store.sessions() if row.session_id == number)


def others(server: RunningServer) -> list[object]:
    return [asdict(row) for row in server.store.sessions() if row.session_id in OTHERS]


def contents(server: RunningServer) -> Counter[str]:
    return Counter(
        one.content for row in server.store.sessions() for one in server.store.messages(row.session_id)
    )


class Month(Reader):
    """A reader who also knows the archive's names for what the page calls by other names."""

    def take(self, step: Step) -> None:
        super().take(step)
        for file in (self.root / ".reconciler" / "archive").glob("*-10-delete.json"):
            _, run, *_ = file.stem.split("-")
            self.known |= {"20261119T093000-1a2b3c4d-10-delete": file.stem, "1a2b3c4d": run}


@pytest.fixture
def reader(tmp_path: Path) -> Month:
    """Somebody in an empty repository, with the spreadsheet among the downloads."""
    home, root = tmp_path, tmp_path / "school"
    (home / "Downloads").mkdir()
    shutil.copy(DOCS / "tutorial" / "tutors.csv", home / "Downloads")
    (home / ".gitconfig").write_text("[user]\nname = Lery\nemail = lery@example.com\n")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    (home / "bin").mkdir()
    warm.script(home / "bin" / "reconciler")
    path = f"{home / 'bin'}:{os.environ['PATH']}"
    return Month(root, {"PATH": path, "RECONCILER_PATIENCE": os.environ["RECONCILER_PATIENCE"]})


def test_the_first_month(reader: Month) -> None:
    with (
        running_server(None, require_key="sk-production") as school,
        running_server(None, require_key="sk-staging") as staging,
    ):
        made_by_hand(school)
        before = others(school), contents(school)
        for name, server in (("staging", staging), ("production", school)):
            (reader.root.parent / f"{name}.env").write_text(
                f"export MINDCRAFT_ENDPOINT={server.url}\nexport MINDCRAFT_API_KEY=sk-{name}\n"
            )
        reader.known = {PRODUCTION: school.url, STAGING: staging.url}
        reader.environ = {
            **reader.environ,
            "MINDCRAFT_ENDPOINT": school.url,
            "MINDCRAFT_API_KEY": "sk-production",
        }

        def console() -> None:
            school.store.update_session(13, parameters={**the(school, 13).parameters, "temperature": 0.9})

        reader.follow("tutorial.md", {"Week two: somebody used the console": console})
        assert (others(school), contents(school)) == before
        # The sessions that were adopted have kept their ids, but for the one that was deleted.
        kept = {row.session_id for row in school.store.sessions()} & set(range(1, 16))
        assert kept == set(range(1, 16)) - {10}
        assert len(staging.store.sessions()) == 31
