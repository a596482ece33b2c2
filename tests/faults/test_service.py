"""Services that keep to the contract in awkward ways, and users who write while an apply runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.server import LoggedRequest, Quirks
from tests.faults.conftest import FLAGS
from tests.faults.tally import Tally
from tests.faults.world import BEFORE, GONE, PAGE, WANTED, Run, World, open_world, session, write_catalog


def plan_is_empty(world: World) -> bool:
    return not world.plan().actions


@pytest.mark.parametrize(
    "quirks",
    [
        pytest.param(Quirks(trim_prompts=True, max_page_size=PAGE), id="trimmed-prompts"),
        pytest.param(Quirks(line_endings="crlf", max_page_size=PAGE), id="line-endings"),
        pytest.param(Quirks(numbers_as_text=True, max_page_size=PAGE), id="numbers-as-text"),
        pytest.param(Quirks(delete_204=True, name_filter="partial", max_page_size=PAGE), id="bare-deletes"),
        pytest.param(Quirks(late_calls=4, max_page_size=PAGE), id="late-by-calls"),
        pytest.param(Quirks(late_seconds=0.5, max_page_size=PAGE), id="late-by-seconds"),
    ],
)
def test_an_awkward_service_ends_where_any_other_does(tmp_path: Path, tally: Tally, quirks: Quirks) -> None:
    with open_world(tmp_path, tally, quirks=quirks, flags=[*FLAGS, "--settle", "20"]) as world:
        world.seed()
        run = world.apply()
        world.close(run)
        again = world.apply()
        assert (again.code, again.writes) == (0, []), again


def test_a_rewritten_prompt_is_reported_once_and_converges(tmp_path: Path, tally: Tally) -> None:
    with open_world(tmp_path, tally, quirks=Quirks(trim_prompts=True), flags=FLAGS) as world:
        world.want([session("alice", prompt="\n\n  You are Alice.")])
        run = world.apply()
        assert "stored differently: alice (#1) prompt:" in run.out and run.code == 0, run
        assert plan_is_empty(world)
        again = world.apply()
        assert "stored differently" not in again.out and not again.writes, again


def test_a_value_that_somebody_sets_while_the_run_verifies_is_not_taken_for_the_services_form(
    world: World,
) -> None:
    """What was changed by hand in between would else be remembered as what the service makes of it, and stay."""
    changed = False

    def somebody(entry: LoggedRequest) -> None:
        nonlocal changed
        lists = entry.operation == "list_sessions"
        if lists and not changed and any(one.operation == "delete_session" for one in world.server.log):
            changed = True
            row = next(one for one in world.store.sessions() if one.name == BEFORE[2].name)
            world.store.update_session(row.session_id, parameters={**row.parameters, "temperature": 1.5})

    world.server.before.append(somebody)
    run = world.apply("--parallelism", "1")
    assert changed
    world.close(run)
    assert world.left() == []


def test_what_another_version_of_the_catalog_writes_meanwhile_is_not_remembered_either(
    tmp_path: Path, tally: Tally
) -> None:
    """Two versions of one catalog, applied at once: who comes second wins, and who comes first says that it lost."""
    with (
        open_world(tmp_path, tally, flags=FLAGS, db=tmp_path / "live.db") as world,
        world.other_server() as other,
    ):
        world.seed()
        theirs = tmp_path / "theirs"
        write_catalog(theirs, [replace(one, prompt=f"{one.prompt} (theirs)") for one in WANTED])
        second: list[Run] = []

        def meanwhile(entry: LoggedRequest) -> None:
            written = [one for one in world.server.log if one.operation == "delete_session" and one.worked]
            if entry.operation == "list_sessions" and len(written) == len(GONE) and not second:
                second.append(world.run(*world.applying(what=theirs, server=other)))

        world.server.before.append(meanwhile)
        first = world.apply()
        assert [run.code for run in (first, *second)] == [4, 0], first
        assert "NOT AS WRITTEN new1 (#" in first.out
        assert "prompt was written by another run since" in first.out
        assert len(world.left()) == len(WANTED)
        world.close(world.apply())
