"""``reconciler archive fetch``: a machine with nothing restores what the operator deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli import run
from reconciler.s3.bucket import Bucket
from tests.controller.world import World, shop
from tests.s3.conftest import S3
from tests.s3.test_take_over import SHOP, here, live, watched
from tests.support import API_KEY, learned_file

__all__ = ["here"]  # a fixture


class Machine:
    """A folder with nothing in it, and what a person types there."""

    def __init__(self, capsys: pytest.CaptureFixture[str], bucket: Bucket, s3: S3) -> None:
        self._capsys = capsys
        self.bucket = [f"--archive-s3={bucket.place}", f"--archive-s3-endpoint={s3.url}"]

    def types(self, *words: str, code: int = 0) -> str:
        self._capsys.readouterr()
        done = run(words)
        said = self._capsys.readouterr()
        assert done == code, said.out + said.err
        return said.out if code == 0 else said.err

    def fetches(self, name: str = SHOP, code: int = 0) -> str:
        return self.types("archive", "fetch", name, *self.bucket, code=code)


@pytest.fixture
def machine(
    capsys: pytest.CaptureFixture[str],
    bucket: Bucket,
    s3: S3,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Machine:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("MINDCRAFT_API_KEY", API_KEY)
    return Machine(capsys, bucket, s3)


def test_a_machine_with_nothing_restores_a_deleted_session(
    here: World, bucket: Bucket, machine: Machine, tmp_path: Path
) -> None:
    live(here, bucket)
    with here.controller(watched(here, bucket, "second")) as controller:
        here.turn(controller)
        assert shop(controller).state == "InSync" and "Bob" not in here.rows()

    assert machine.fetches() == "2 of 2 archived sessions fetched, and the journal: .reconciler\n"
    assert machine.fetches() == "0 of 2 archived sessions fetched, and the journal: .reconciler\n"
    listed = machine.types("archive", "list").splitlines()
    (bob,) = [line.split()[0] for line in listed if "before delete: bob, Bob, 2 messages" in line]
    assert "mode apply" in machine.types("history") or "3 applied" in machine.types("history")
    contract = learned_file(tmp_path)
    machine.types(
        "archive",
        "restore",
        bob,
        "--auto-approve",
        f"--endpoint={here.server.url}",
        f"--contract={contract}",
        "--settle=0",
    )
    messages = here.server.store.messages(here.rows()["Bob"].session_id)
    assert [one.content for one in messages] == ["Hello!", "Good-bye."]
    assert here.prompt("Bob") == "Be brief."


def test_what_was_restored_there_stays_on_record(here: World, bucket: Bucket, machine: Machine) -> None:
    live(here, bucket)
    machine.fetches()
    journal = Path(".reconciler/journal.jsonl")
    own = '{"run": "mine", "event": "start"}\n'
    with journal.open("a") as file:
        file.write(own)
    with here.controller(watched(here, bucket, "second")) as controller:
        here.turn(controller)
    machine.fetches()
    assert own in journal.read_text()
    assert journal.read_text().count('"event":"start"') == 2


@pytest.mark.parametrize("name", ["shop", "team/", "/shop", "team/../other", "Team/shop", "team/shop/x"])
def test_what_is_no_resource(machine: Machine, name: str) -> None:
    said = machine.fetches(name, code=64)
    assert said.startswith(f"{name!r} is not NAMESPACE/NAME")


def test_nothing_is_there(machine: Machine, bucket: Bucket) -> None:
    said = machine.fetches("team/other", code=1)
    assert said.startswith(f"there is nothing of team/other in {bucket.place}")


def test_no_bucket_is_named(machine: Machine) -> None:
    assert machine.types("archive", "fetch", SHOP, code=64).startswith("no bucket is named")
    said = machine.types("archive", "fetch", SHOP, "--archive-s3-endpoint=https://s3.example.com", code=64)
    assert said.startswith("--archive-s3-endpoint says where a bucket is, and none is named")


def test_an_object_does_not_choose_where_it_is_written(
    bucket: Bucket, machine: Machine, tmp_path: Path
) -> None:
    for name in ("..json", "../../x.json", ".hidden.json", "a/b.json", "x.txt", "fine.json"):
        bucket.put(f"archive/{SHOP}/{name}", b"{}", new=True)
    before = {path for path in tmp_path.rglob("*") if ".reconciler" not in path.parts}
    assert machine.fetches().startswith("1 of 1 archived")
    assert {path for path in tmp_path.rglob("*") if ".reconciler" not in path.parts} == before
    assert [path.name for path in Path(".reconciler/archive").iterdir()] == ["fine.json"]
