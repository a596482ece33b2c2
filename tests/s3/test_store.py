"""The store of a state folder: what is brought back, what is saved, and two processes that both believe to have it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controller.memory import Memory
from reconciler.errors import ReconcilerError
from reconciler.s3.bucket import Bucket
from reconciler.s3.fetching import merge_journal
from reconciler.s3.store import S3Store, S3Stores
from reconciler.state import read_salt
from tests.s3.conftest import S3


def store(bucket: Bucket, folder: Path, *, held: bool = True) -> S3Store:
    """A store that has fetched."""
    found = S3Store(bucket, "team/shop", folder, lambda: held)
    found.fetch()
    return found


def line(run: str, event: str, **more: object) -> str:
    return json.dumps({"run": run, "event": event, **more}) + "\n"


def add(one: S3Store, folder: Path, *lines: str) -> None:
    with (folder / "journal.jsonl").open("a") as file:
        file.writelines(lines)
    one.save(folder / "journal.jsonl")


def journal(folder: Path) -> str:
    return (folder / "journal.jsonl").read_text()


def test_an_empty_disk_gets_what_was_saved(bucket: Bucket, tmp_path: Path) -> None:
    one, a, b = store(bucket, tmp_path / "a"), tmp_path / "a", tmp_path / "b"
    Memory(a, "shop", one).remember("r1")
    add(one, a, line("1", "start"), line("1", "intent"))
    add(one, a, line("1", "applied"), line("1", "end"))

    store(bucket, b)
    assert Memory(b, "shop").applied() == "r1"
    assert journal(b) == journal(a)
    assert read_salt(b) == read_salt(a) is not None


def test_nothing_is_overwritten_by_another_process(bucket: Bucket, tmp_path: Path) -> None:
    """Three processes after each other; the first has not noticed, and goes on."""
    folders = [tmp_path / name for name in "abc"]
    stores = []
    for number, folder in enumerate(folders):
        stores.append(store(bucket, folder))
        add(stores[-1], folder, line(str(number), "start"))
        Memory(folder, "shop", stores[-1]).remember(f"r{number}")
    add(stores[0], folders[0], line("0", "end"))
    Memory(folders[0], "shop", stores[0]).remember("late")

    store(bucket, tmp_path / "d")
    assert Memory(tmp_path / "d", "shop").applied() == "r2"
    # What was late stands with its run.
    starts = [line(str(number), "start") for number in range(3)]
    assert journal(tmp_path / "d") == starts[0] + line("0", "end") + starts[1] + starts[2]


def test_what_was_on_a_disk_before_there_was_a_bucket_is_saved(bucket: Bucket, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "journal.jsonl").write_text(line("1", "start") + line("1", "end") + '{"run": "2", "ev')
    Memory(folder, "shop").remember("r1")
    one = store(bucket, folder)
    add(one, folder, "\n", line("3", "start"))

    store(bucket, tmp_path / "b")
    assert Memory(tmp_path / "b", "shop").applied() == "r1"
    kept = [text for text in journal(tmp_path / "b").splitlines() if "event" in text]
    assert kept == [line(*one).strip() for one in [("1", "start"), ("1", "end"), ("3", "start")]]


def test_a_disk_that_was_used_without_a_bucket_meanwhile_is_newer(bucket: Bucket, tmp_path: Path) -> None:
    Memory(tmp_path / "a", "shop", store(bucket, tmp_path / "a")).remember("r1")
    Memory(tmp_path / "a", "shop").remember("r2")
    later = time.time() + 2  # the bucket's times are of whole seconds
    os.utime(tmp_path / "a" / "watch.json", (later, later))
    store(bucket, tmp_path / "a")
    store(bucket, tmp_path / "b")
    assert Memory(tmp_path / "b", "shop").applied() == "r2"


def test_a_disk_that_comes_back_is_older_whatever_its_clock_said(bucket: Bucket, tmp_path: Path) -> None:
    Memory(tmp_path / "a", "shop", store(bucket, tmp_path / "a")).remember("r1")
    Memory(tmp_path / "b", "shop", store(bucket, tmp_path / "b")).remember("r2")
    assert (tmp_path / "a" / "watch.json").stat().st_mtime < 1
    store(bucket, tmp_path / "a")
    assert Memory(tmp_path / "a", "shop").applied() == "r2"


def test_one_fetch_waits_in_vain_and_the_others_do_not(
    bucket: Bucket, tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.s3.store._LATE", 0.0)
    stores = S3Stores(bucket, lambda: True)
    s3.before.append(lambda _: "cut")
    said = set()
    for number in range(5):
        with pytest.raises(ReconcilerError) as error:
            stores.of(f"team/{number}", tmp_path / str(number)).fetch()
        said.add(str(error.value))
    assert len(s3.log) == len(said) == 1
    s3.before.clear()
    monkeypatch.setattr("reconciler.s3.store.time.monotonic", lambda: time.time() + 10**9)
    stores.of("team/0", tmp_path / "0").fetch()


def test_a_long_journal_is_saved_in_parts(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.s3.store._PART", 100)
    folder = tmp_path / "a"
    one = store(bucket, folder)
    for number in range(20):
        add(one, folder, line(str(number), "start", filler="x" * 30))
    parts = [name for name in bucket.list("state/team/shop") if name.endswith(".jsonl")]
    assert len(parts) == 10
    assert max(len(bucket.get(f"state/team/shop/{name}")) for name in parts) < 250
    store(bucket, tmp_path / "b")
    assert journal(tmp_path / "b") == journal(folder)


def test_a_process_that_comes_back_sees_what_another_did(bucket: Bucket, tmp_path: Path, s3: S3) -> None:
    """An account may move to another shard and back."""
    stores = S3Stores(bucket, lambda: True)
    one = stores.of("team/shop", tmp_path / "a")
    one.fetch()
    add(one, tmp_path / "a", line("1", "start"))
    other = store(bucket, tmp_path / "b")
    add(other, tmp_path / "b", line("2", "start"))
    assert stores.of("team/shop", tmp_path / "a") is one
    one.fetch()
    add(one, tmp_path / "a", line("3", "start"))
    assert journal(tmp_path / "a") == line("1", "start") + line("2", "start") + line("3", "start")

    # Nobody else was there: one call.
    stores.of("team/shop", tmp_path / "a")
    before = len(s3.log)
    one.fetch()
    one.fetch()
    assert len(s3.log) == before + 1


def test_who_has_lost_the_lease_takes_nothing_over(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(ReconcilerError, match="the lease was lost"):
        store(bucket, tmp_path, held=False)
    assert bucket.list("state/team/shop") == {}


def test_of_two_that_take_over_at_once_one_has_to_look_again(bucket: Bucket, tmp_path: Path, s3: S3) -> None:
    one = S3Store(bucket, "team/shop", tmp_path / "a", lambda: True)
    raced: list[S3Store] = []

    def race(asked: object) -> None:
        if str(asked).startswith("PUT") and not raced:
            raced.append(S3Store(bucket, "team/shop", tmp_path / "b", lambda: True))
            raced[0].fetch()

    s3.before.append(race)
    with pytest.raises(ReconcilerError, match="another process has just taken over s3://"):
        one.fetch()
    one.fetch()
    assert list(bucket.list("state/team/shop")) == ["00000001.json", "00000002.json"]


def test_nothing_is_saved_before_it_is_known_what_there_was(bucket: Bucket, tmp_path: Path) -> None:
    one = S3Store(bucket, "team/shop", tmp_path, lambda: True)
    (tmp_path / "journal.jsonl").write_text(line("1", "start"))
    with pytest.raises(ReconcilerError, match="what earlier processes left is not known yet"):
        one.save(tmp_path / "journal.jsonl")


@pytest.mark.parametrize("number", range(1, 6))
def test_a_fetch_that_fails_is_made_again(bucket: Bucket, tmp_path: Path, s3: S3, number: int) -> None:
    first = store(bucket, tmp_path / "a")
    add(first, tmp_path / "a", line("1", "start"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "journal.jsonl").write_text(line("2", "start"))
    one = S3Store(bucket, "team/shop", tmp_path / "b", lambda: True)
    nth = len(s3.log) + number
    s3.after.append(lambda asked: "cut" if asked.number == nth else None)
    with pytest.raises(ReconcilerError, match="s3://"):
        one.fetch()
    one.fetch()
    add(one, tmp_path / "b", line("3", "start"))
    store(bucket, tmp_path / "c")
    assert sorted(journal(tmp_path / "c").splitlines()) == [line(run, "start").strip() for run in "123"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": []}', '{"files": 1}', "[" * 100_000, "\xff"])
def test_what_somebody_else_wrote_there_is_an_error(bucket: Bucket, tmp_path: Path, text: str) -> None:
    bucket.put("state/team/shop/00000007.json", text.encode("latin-1"), new=True)
    with pytest.raises(ReconcilerError) as error:
        store(bucket, tmp_path)
    (problem,) = error.value.problems
    assert problem.message == f"{bucket.name('state/team/shop/00000007.json')} is not what this program wrote"
    assert not (tmp_path / "watch.json").exists()


def test_an_archived_session_is_never_overwritten(bucket: Bucket, tmp_path: Path) -> None:
    one, path = store(bucket, tmp_path), tmp_path / "archive" / "1.json"
    path.parent.mkdir()
    path.write_text("one")
    one.save(path)
    one.save(path)  # as after an answer that was lost
    path.write_text("two")
    with pytest.raises(ReconcilerError, match=r"archive/team/shop/1\.json holds something else"):
        one.save(path)
    assert bucket.get("archive/team/shop/1.json") == b"one"


ENTRIES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), unique=True, max_size=8)


@given(saved=ENTRIES, known=ENTRIES, torn=st.booleans())
def test_a_merged_journal_has_all_entries_once_and_each_runs_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    saved: list[tuple[str, int]],
    known: list[tuple[str, int]],
    torn: bool,
) -> None:
    folder = tmp_path_factory.mktemp("merged")

    def data(entries: list[tuple[str, int]]) -> bytes:
        return "".join(line(run, str(number)) for run, number in entries).encode()

    (folder / "journal.jsonl").write_bytes(data(known) + (b'{"run": "a"' if torn else b""))
    only_here = merge_journal(folder, data(saved))
    assert only_here == data([one for one in known if one not in saved])
    merged = [text for text in journal(folder).splitlines() if text.endswith("}")]
    assert sorted(merged) == sorted({text.decode() for text in data([*saved, *known]).splitlines()})
    if not known:
        for run in "abc":
            of_run = [text for text in merged if json.loads(text)["run"] == run]
            assert of_run == [line(*map(str, one)).strip() for one in saved if one[0] == run]


def test_what_was_only_on_a_disk_stands_with_its_run(tmp_path: Path) -> None:
    saved = [line("a", "start"), line("b", "start"), line("c", "start")]
    (tmp_path / "journal.jsonl").write_text(line("a", "start") + line("a", "applied") + line("d", "start"))
    merge_journal(tmp_path, "".join(saved).encode())
    assert journal(tmp_path) == "".join(
        [line("a", "start"), line("a", "applied"), line("b", "start"), line("c", "start"), line("d", "start")]
    )
