"""Controllers with their state folder in a bucket: what is saved before a write, and who follows with an empty disk."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from reconciler.controller.controller import Controller
from reconciler.controller.git_source import GitPlace, GitSource
from reconciler.controller.rule import Rule
from reconciler.controller.settings import WatchedCatalog
from reconciler.s3.bucket import Bucket
from reconciler.s3.store import S3Store
from reconciler.server import Fault, LoggedRequest, Quirks
from tests.controller.world import World, shop, world
from tests.s3.conftest import S3, Asked

SHOP = "team/shop"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, quirks=Quirks()) as found:
        found.write(alice="Be kind.", bob="Be brief.", carol="Be calm.")
        yield found


def watched(here: World, bucket: Bucket, disk: str, **more: object) -> WatchedCatalog:
    """The catalog, with a state folder of its own that is in the bucket as well."""
    state = here.folder / disk
    return here.watched(
        state=state, store=S3Store(bucket, SHOP, state, lambda: True), **{"mode": "apply", **more}
    )


def live(here: World, bucket: Bucket, disk: str = "first") -> None:
    """Let the catalog be live, and then want something else: a session goes, one comes, one changes."""
    with here.controller(watched(here, bucket, disk)) as controller:
        here.turn(controller)
        assert shop(controller).state == "InSync"
    number = here.rows()["Bob"].session_id
    for text in ("Hello!", "Good-bye."):
        here.server.store.insert_message(number, category="user", content=text, meta={})
    here.write(alice="Be quick.", carol="Be calm.", dora="Be bold.")


def archived(bucket: Bucket) -> list[dict[str, object]]:
    return [json.loads(bucket.get(f"archive/{SHOP}/{name}")) for name in bucket.list(f"archive/{SHOP}")]


def saved_events(bucket: Bucket) -> list[tuple[object, object, object]]:
    """Event, action and key of each entry of the journal in the bucket."""
    names = [name for name in bucket.list(f"state/{SHOP}") if name.endswith(".jsonl")]
    lines = b"".join(bucket.get(f"state/{SHOP}/{name}") for name in names).splitlines()
    return [(one["event"], one.get("action"), one.get("key")) for one in map(json.loads, lines)]


def test_before_each_write_the_bucket_has_its_intent_and_what_it_destroys(
    here: World, bucket: Bucket
) -> None:
    live(here, bucket)
    seen: list[str] = []

    def check(entry: LoggedRequest) -> None:
        if entry.number in here.locking or entry.operation not in (
            "create_session",
            "update_session",
            "delete_session",
        ):
            return
        action = entry.operation.removesuffix("_session")
        key = {"create": "dora", "update": "alice", "delete": "bob"}[action]
        assert ("intent", action, key) in saved_events(bucket)
        if action != "create":
            (one,) = [one for one in archived(bucket) if one["before"] == action]
            assert one["key"] == key
            assert action != "delete" or len(one["messages"]) == 2  # type: ignore[arg-type]
        seen.append(action)

    failures: list[BaseException] = []

    def hook(entry: LoggedRequest) -> None:
        try:
            check(entry)
        except BaseException as error:
            failures.append(error)

    here.server.before.append(hook)
    with here.controller(watched(here, bucket, "second")) as controller:
        here.turn(controller)
        assert shop(controller).state == "InSync"
    assert not failures
    assert sorted(seen) == ["create", "delete", "update"]
    assert {event for event, _, _ in saved_events(bucket)} >= {"start", "intent", "applied", "end"}


@pytest.mark.parametrize("what", ["archive", "journal"])
@pytest.mark.parametrize("fate", [(403, "AccessDenied"), (503, "SlowDown"), "cut"])
def test_what_is_not_saved_is_not_written(
    here: World, bucket: Bucket, s3: S3, what: str, fate: object
) -> None:
    live(here, bucket)
    before, writes = here.rows(), len(here.writes())

    def refuse(asked: Asked) -> object:
        journal = asked.path.endswith(".jsonl")
        wanted = "/archive/" in asked.path if what == "archive" else journal
        return fate if asked.method == "PUT" and wanted else None

    s3.before.append(refuse)  # type: ignore[arg-type]
    with here.controller(watched(here, bucket, "second")) as controller:
        here.turn(controller, 30)
        found = shop(controller)
        assert found.state == "Failing" and f"s3://{bucket.place.bucket}" in found.reason
        if what == "journal":
            assert len(here.writes()) == writes
        assert {name: here.rows()[name].prompt for name in before} == {
            name: row.prompt for name, row in before.items()
        }
        assert {one.operation for one in here.writes()[writes:]} <= {"create_session"}
        s3.before.clear()
        here.turn(controller, 600)
        assert shop(controller).state == "InSync"
    assert {one["before"] for one in archived(bucket)} == {"update", "delete"}


def test_without_an_answer_at_the_start_nothing_is_compared(here: World, bucket: Bucket, s3: S3) -> None:
    live(here, bucket)
    calls = here.calls()
    s3.before.append(lambda _: (503, "SlowDown"))
    with here.controller(watched(here, bucket, "second")) as controller:
        here.turn(controller, 60)
        found = shop(controller)
        assert found.state == "Failing"
        assert (
            found.reason
            == f"s3://{bucket.place.bucket}/team/one/state/{SHOP} can't be listed: SlowDown (ListObjectsV2, 503)"
        )
        assert here.calls() == calls
        s3.before.clear()
        here.turn(controller, 600)
        assert shop(controller).state == "InSync"


def git(root: Path, *words: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *identity, *words], cwd=root, check=True, capture_output=True)


def test_repair_works_after_a_take_over_with_an_empty_disk(here: World, bucket: Bucket) -> None:
    """What is live is an earlier commit; what it says is on nobody's disk any more."""
    root = here.folder / "shop"
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message=one")

    def source(disk: str) -> dict[str, object]:
        return {"source": GitSource(GitPlace(f"file://{root}", "main"), here.folder / disk), "root": None}

    with here.controller(watched(here, bucket, "first", **source("first"))) as controller:
        here.turn(controller)
        assert shop(controller).state == "InSync"
    here.write(alice="Be quick.", carol="Be calm.")
    git(root, "commit", "--quiet", "--all", "--message=two")
    here.drift("Alice", prompt="Be rude.")

    forgetful = here.watched(state=here.folder / "second", mode="repair", **source("second"))
    with here.controller(forgetful) as controller:
        here.turn(controller)
        assert here.prompt("Alice") == "Be rude."
    with here.controller(watched(here, bucket, "third", mode="repair", **source("third"))) as controller:
        here.turn(controller)
        assert here.prompt("Alice") == "Be kind."


def test_the_memory_that_can_not_be_saved_is_saved_later(here: World, bucket: Bucket, s3: S3) -> None:
    s3.before.append(
        lambda asked: (
            (503, "SlowDown")
            if asked.method == "PUT" and asked.path.endswith("/00000001.json") and here.writes()
            else None
        )
    )
    with here.controller(watched(here, bucket, "first")) as controller:
        here.turn(controller, 20)
        assert (len(here.rows()), shop(controller).state) == (3, "Failing")
        s3.before.clear()
        here.turn(controller, 600)
        assert shop(controller).state == "InSync"
    here.drift("Alice", prompt="Be rude.")
    with here.controller(watched(here, bucket, "second", mode="repair")) as controller:
        here.turn(controller)
    assert here.prompt("Alice") == "Be kind."


class Death:
    """Ends a controller at one of its requests to S3: nothing that it does afterwards reaches anybody. Its disk is not
    used again."""

    def __init__(self, here: World, s3: S3, number: int, when: Literal["before", "after"]) -> None:
        self.struck = False
        self.fault = Fault("cut", where=lambda _: self.struck)
        here.server.faults.add(self.fault)
        nth = len(s3.log) + number

        def strike(asked: Asked) -> str | None:
            self.struck = self.struck or asked.number == nth
            return "cut" if self.struck else None

        if when == "after":
            s3.before.append(lambda _: "cut" if self.struck else None)
        (s3.before if when == "before" else s3.after).append(strike)


#: How many requests to S3 a controller makes that takes over, and writes three sessions with one connection.
REQUESTS = 12


def points() -> list[object]:
    return [
        pytest.param(
            number, when, marks=() if number % 4 == (1 if when == "before" else 3) else pytest.mark.full
        )
        for number in range(1, REQUESTS + 1)
        for when in ("before", "after")
    ]


def test_an_undisturbed_take_over_makes_as_many_requests_as_the_matrix_has_rows(
    here: World, bucket: Bucket, s3: S3
) -> None:
    live(here, bucket)
    began = len(s3.log)
    with here.controller(
        watched(here, bucket, "second"), accounts=[here.account(parallelism=1)]
    ) as controller:
        here.turn(controller)
    assert len(s3.log) - began == REQUESTS, [f"{one.method} {one.path}" for one in s3.log[began:]]


@pytest.mark.parametrize(("number", "when"), points())
def test_killed_at_a_request_to_s3_and_taken_over_with_an_empty_disk(
    here: World, bucket: Bucket, s3: S3, number: int, when: Literal["before", "after"]
) -> None:
    live(here, bucket)
    before = here.rows()
    death = Death(here, s3, number, when)
    with here.controller(watched(here, bucket, "second"), accounts=[here.account(parallelism=1)]) as killed:
        while not death.struck:
            step(killed, here)
    here.server.faults.remove(death.fault)
    s3.before.clear()
    s3.after.clear()

    for row in here.server.store.sessions():
        if row.name.startswith("reconciler lock"):  # the dead one's, which expires
            here.server.store.delete_session(row.session_id)
    rule = Rule(since=here.clock.monotonic())
    with here.controller(watched(here, bucket, "third", settle=0.05), rule=rule) as controller:
        here.turn(controller, 600)
        assert shop(controller).state == "InSync", shop(controller)
    assert sorted((row.name, row.prompt) for row in here.server.store.sessions()) == [
        ("Alice", "Be quick."),
        ("Carol", "Be calm."),
        ("Dora", "Be bold."),
    ]
    kept = archived(bucket)
    for name, action in [("Alice", "update"), ("Bob", "delete")]:
        of_one = [
            one for one in kept if one["before"] == action and one["session_id"] == before[name].session_id
        ]
        assert of_one, f"{name} is lost"
        assert {one["session"]["session_config"]["prompt"] for one in of_one} == {before[name].prompt}  # type: ignore[index]
    assert all(len(one["messages"]) == 2 for one in kept if one["before"] == "delete")  # type: ignore[arg-type]


def step(controller: Controller, here: World) -> None:
    here.clock.seconds += controller.step()
