"""A busy account: while others create, delete and update sessions, plans are right and applies succeed.

``make faults`` runs the stated accounts and counts, and prints a table of what was seen; ``make test`` runs fewer and
smaller ones. The rates are those of a process of its own (:mod:`tests.faults.load`), which says what it reached.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

from tests.faults.busy import Account, Planned, open_account
from tests.faults.conftest import FLAGS
from tests.faults.tally import Tally
from tests.faults.world import CATALOG, Run, session, tag_of, write_catalog

Table: TypeAlias = list[tuple[str, str, str]]

#: Runs a command and prints the most memory that it took (KiB) as the last line of stderr.
PEAK = """\
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def full(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("--full"))


def plan(account: Account, **more: Any) -> tuple[dict[str, Any], Run]:
    world = account.world
    arguments = ["plan", str(world.folder), "--endpoint", world.server.url, "--format", "json"]
    run = world.run(*arguments, "--max-deletes", "100%", **more)
    assert run.code in (0, 2), run
    return json.loads(run.out), run


def planned(document: dict[str, Any]) -> list[Planned]:
    return [(one["action"], one["key"], one.get("session_id") or 0) for one in document["actions"]]


def right(document: dict[str, Any], wanted: set[Planned]) -> None:
    """Exactly the actions that the catalog needs by what is in the store, each once."""
    assert sorted(planned(document)) == sorted(wanted)


def test_creates_and_updates_of_others_cost_nothing(
    tmp_path: Path, tally: Tally, busy_table: Table, full: bool
) -> None:
    others, times = (20_000, 100) if full else (5_000, 2)
    with open_account(tmp_path, tally, others=others, ours=200, latency=0.02) as account:
        wanted = account.disturb(10, 10, 5)
        document, _ = plan(account)
        right(document, wanted)
        quiet, most = calls_for_each(document), 0.0
        with account.busy(create=50, delete=0, update=50):
            for _ in range(times):
                document, _ = plan(account)
                right(document, wanted)
                assert document["listing"]["passes"] == 1
                most = max(most, calls_for_each(document))
        assert most <= 1.3 * quiet
        seen = f"{times} of {times} right, {most / quiet:.2f} of the calls at most ({account.reached()})"
        row = f"1. plan, {others:,} others, 200 ours, 20 ms a call, 50/0/50 a second"
        busy_table.append((row, "all right, ≤ 1.3 of the quiet calls", seen))


def calls_for_each(document: dict[str, Any]) -> float:
    """How many calls the listing took for each session: while others create, the account grows from plan to plan."""
    calls: int = document["listing"]["calls"]
    return calls / (document["summary"]["managed"] + document["summary"]["unmanaged"])


def test_deletes_of_others_hide_nothing(tmp_path: Path, tally: Tally, busy_table: Table, full: bool) -> None:
    others, times = (20_000, 50) if full else (3_000, 2)
    with open_account(tmp_path, tally, others=others, ours=200, latency=0.1 if full else 0.02) as account:
        wanted = account.disturb(10, 10, 5)
        ways: set[str] = set()
        most = 0
        with account.busy(create=50, delete=20, update=50):
            for _ in range(times):
                document, _ = plan(account)
                right(document, wanted)
                ways.add(document["listing"]["way"])
                most = max(most, document["listing"]["calls"])
        seen = (
            f"{times} of {times} right, {most} calls at most, {'/'.join(sorted(ways))} ({account.reached()})"
        )
        row = f"2. plan, {others:,} others, 200 ours, {100 if full else 20} ms a call, 50/20/50 a second"
        busy_table.append((row, "all right, no error", seen))


def test_a_snapshot_holds_every_session_that_was_there_throughout(tmp_path: Path, tally: Tally) -> None:
    with (
        open_account(tmp_path, tally, others=2_000, ours=20, latency=0.02) as account,
        account.busy(create=20, delete=20, update=20),
    ):
        world, out = account.world, tmp_path / "snapshot.json"
        before = {row.session_id for row in world.store.sessions()}
        run = world.run("snapshot", str(out), "--endpoint", world.server.url)
        assert run.code == 0, run
        throughout = before & {row.session_id for row in world.store.sessions()}
        rows = json.loads(out.read_text())["sessions"]
        ids = [row["session_id"] for row in rows]
        assert len(ids) == len(set(ids))
        assert throughout <= set(ids)


def test_an_apply_is_verified(tmp_path: Path, tally: Tally, busy_table: Table, full: bool) -> None:
    others, times, parts = (20_000, 20, (40, 40, 20)) if full else (2_000, 1, (8, 8, 4))
    flags = (*FLAGS, "--max-deletes", "100%")
    with open_account(tmp_path, tally, others=others, ours=200, latency=0.02, flags=flags) as account:
        world = account.world
        with account.busy(create=10, delete=10, update=10):
            for number in range(times):
                wanted = account.disturb(*parts, seed=number)
                account.remember()
                run = world.apply("--format", "json")
                assert run.code == 0, run
                report = json.loads(run.out)
                assert report["verification"] == "verified", run
                done = {(one["action"], one["key"]) for one in report["results"]}
                assert done == {(kind, key) for kind, key, _ in wanted}
                assert {one["outcome"] for one in report["results"]} == {"applied"}
                account.blame_for_others()
                world.check(run, 0)
        seen = f"{times} of {times} applied, verified, exit 0, no other session touched ({account.reached()})"
        row = f"3. apply of {sum(parts)} changes, {others:,} others, 20 ms a call, 10/10/10 a second"
        busy_table.append((row, "all applied, verified, exit 0, no other touched", seen))


def test_sessions_of_others_take_no_memory(
    tmp_path: Path, tally: Tally, busy_table: Table, full: bool
) -> None:
    others = 300_000 if full else 20_000
    prefix = [sys.executable, "-c", PEAK]
    with open_account(tmp_path / "quiet", tally, others=1, ours=50) as account:
        _, alone = plan(account, prefix=prefix)
    with open_account(tmp_path / "busy", tally, others=others, ours=50) as account:
        wanted = account.disturb(3, 3, 3)
        with account.busy(create=20, delete=5, update=20):
            document, run = plan(account, prefix=prefix, patience=1200)
        right(document, wanted)
        taken = peak(run) - peak(alone)
        way = "{way}, {passes} passes, {calls} calls".format(**document["listing"])
        row = f"4. plan, {others:,} others, 50 ours, 20/5/20 a second"
        memory = f"{taken / others:.0f} bytes for each, {taken / 2**20:.1f} MiB in all"
        seen = f"right, {memory} ({way}; {account.reached()})"
        bound = "200 bytes for each of others" if full else "16 MiB in all"
        busy_table.append((row, f"right, ≤ {bound}", seen))
        # The pages in flight take 3 to 12 MiB, on an account of 5,000 sessions as on one of 60,000: too much to tell on
        # a small one what a session takes. Kept whole, as 2,000 bytes each, 20,000 of them would take 40.
        assert taken <= (200 * others if full else 16 * 2**20)


def peak(run: Run) -> int:
    """The most memory that a run took (bytes)."""
    return int(run.err.splitlines()[-1]) * 1024


def test_two_applies_with_a_lock(tmp_path: Path, tally: Tally, busy_table: Table, full: bool) -> None:
    """Each has something to write, and all that one writes comes before all that the other one does."""
    others, times = (20_000, 20) if full else (2_000, 1)
    flags = (*FLAGS, "--lock", "--lock-timeout", "100")
    with open_account(tmp_path, tally, others=others, ours=20, flags=flags) as account:
        world = account.world
        with account.busy(create=20, delete=5, update=0):
            for number in range(times):
                for who in ("one", "two"):
                    wanted = [session(f"s{at}", prompt=f"You obey {who}, {number}.") for at in range(20)]
                    write_catalog(tmp_path / who, wanted)
                account.remember()
                began = len(world.server.log)
                runs = both(account, tmp_path)
                assert [run.code for run in runs] == [0, 0], runs
                assert not [row for row in world.store.sessions() if row.name.startswith("reconciler lock")]
                order = [
                    entry.headers["authorization"]
                    for entry in world.server.log[began:]
                    if entry.operation == "update_session" and "prompt" in (entry.body or {})
                ]
                assert len(set(order)) == 2
                assert sum(one != other for one, other in pairwise(order)) == 1
                account.blame_for_others()
        seen = f"{times} of {times}: one after the other, both exit 0, no lock left ({account.reached()})"
        row = f"5. two applies with --lock, {others:,} others, 20/5/0 a second"
        busy_table.append((row, "never two holders, both end well, no lock left", seen))


def both(account: Account, folder: Path) -> list[Run]:
    world = account.world
    one = world.applying(what=folder / "one")
    two = world.applying(what=folder / "two")
    with (
        world.start(*one, MINDCRAFT_API_KEY="sk-one") as first,
        world.start(*two, MINDCRAFT_API_KEY="sk-two") as second,
    ):
        outs = [process.communicate(timeout=300) for process in (first, second)]
        codes = [process.returncode for process in (first, second)]
    return [Run(code, out, err, []) for code, (out, err) in zip(codes, outs, strict=True)]


@pytest.mark.parametrize("probe", [False, True], ids=["survey", "probe"])
def test_the_doctor_says_the_same(
    tmp_path: Path, tally: Tally, busy_table: Table, full: bool, probe: bool
) -> None:
    others, times = (20_000, 10) if full else (1_000, 1)
    with open_account(tmp_path, tally, others=others, ours=20) as account:
        _, quiet = doctor(account, probe)
        # Nobody deletes the session next to the probe's own. Of that one, the doctor can't tell who took it.
        with account.busy(create=20, delete=5, update=0, spare_new=True):
            for _ in range(times):
                account.remember()
                code, busy = doctor(account, probe)
                assert code == 0
                assert busy == quiet
                account.acquit_of_new()
                account.blame_for_others()
                left = [row.name for row in account.world.store.sessions() if "reconciler" in row.name]
                assert left == []
        name = "doctor --probe" if probe else "doctor"
        seen = f"{times} of {times} say what they say on a quiet account, nothing left ({account.reached()})"
        busy_table.append(
            (f"6. {name}, {others:,} others, 20/5/0 a second", "ends, right, nothing left", seen)
        )


def doctor(account: Account, probe: bool) -> tuple[int, dict[str, str]]:
    """The exit code, and the verdict of each check."""
    world = account.world
    flags = ["--probe", "--auto-approve", "--settle", "1"] if probe else []
    place = ["--endpoint", world.server.url, "--state-dir", str(world.state), "--format", "json"]
    run = world.run("doctor", *place, *flags)
    assert "Traceback" not in run.text, run
    document = json.loads(run.out)
    return run.code, {one["name"]: one["verdict"] for one in document["checks"]}


# The other commands


@pytest.fixture
def account(tmp_path: Path, tally: Tally) -> Any:
    with (
        open_account(tmp_path, tally, others=1_500, ours=20, latency=0.01, flags=FLAGS) as opened,
        opened.busy(create=20, delete=10, update=20),
    ):
        yield opened


def test_drift(account: Account) -> None:
    wanted = account.disturb(0, 4, 0)
    world = account.world
    run = world.run("drift", str(world.folder), "--endpoint", world.server.url, "--format", "json")
    assert run.code == 2, run
    changed = {("changed", key, session_id) for _, key, session_id in wanted}
    assert sorted(planned(json.loads(run.out))) == sorted(changed)


def test_export(account: Account, tmp_path: Path) -> None:
    world = account.world
    place = ["--endpoint", world.server.url, "--only", "managed", "--layout", "one"]
    run = world.run("export", str(tmp_path / "exported"), *place)
    assert run.code == 0, run
    texts = [path.read_text() for path in (tmp_path / "exported").rglob("*.yaml")]
    keys = {key for text in texts for key in (yaml.safe_load(text).get("sessions") or {})}
    assert keys == {one.key for one in world.wanted}


def test_adopt(account: Account) -> None:
    world = account.world
    session_id = world.store.insert_session(name="By hand", prompt="Made in a console.", remark="a note")
    world.want([*world.wanted, session("adopted", name="By hand")])
    account.remember()
    place = ["--catalog", str(world.folder), "--endpoint", world.server.url, "--auto-approve", *FLAGS]
    run = world.run("adopt", f"adopted={session_id}", *place)
    assert run.code == 0, run
    row = world.store.session(session_id)
    assert row and (tag := tag_of(row)) and (tag.identity.catalog, tag.identity.key) == (CATALOG, "adopted")
    # The one write to what was not ours is the adoption itself.
    assert world.problems.pop("wrong writes") == [f"update_session of #{session_id}, which is not ours"]
    account.touched.add(session_id)
    account.blame_for_others()
    world.check(run, 0)


def test_restore(account: Account) -> None:
    world = account.world
    gone = world.insert(session("gone"))
    for number in range(5):
        world.store.insert_message(gone, content=f"message {number}")
    before = world.store.messages(gone)
    row = world.store.session(gone)
    account.remember()
    assert world.apply().code == 0 and world.store.session(gone) is None
    listed = world.run("archive", "list", str(world.folder), "--format", "json")
    (archive_id,) = [one["id"] for one in json.loads(listed.out) if one["before"] == "delete"]
    place = ["--endpoint", world.server.url, "--auto-approve", *FLAGS]
    run = world.run("archive", "restore", archive_id, str(world.folder), *place)
    assert run.code == 0, run
    (found,) = [one for one in world.store.sessions() if row and one.remark == row.remark]
    contents = [one.content for one in world.store.messages(found.session_id)]
    assert contents == [one.content for one in before]
    account.blame_for_others()
