"""A saved plan does what was reviewed, or nothing: not to a changed session, and not from an altered file."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import Refused
from reconciler.plan import saved
from reconciler.plan.saved import saved_to_plan
from reconciler.server import SessionRow
from tests.faults.world import World, session, tag_of
from tests.suggestions import without_run

AGAIN = "      hint: make the plan again with the version that applies it, and review it\n"
STALE = (
    "the plan is stale: sessions have changed since it was made\n"
    "      hint: nothing was written: plan again and review what changed\n"
)


@pytest.fixture
def plan(world: World, tmp_path: Path) -> Path:
    """A saved plan of what there is to do."""
    out = tmp_path / "plan.json"
    run = world.run("plan", str(world.folder), "--endpoint", world.server.url, "--out", str(out))
    assert run.code == 0, run
    return out


def row_of(world: World, key: str) -> SessionRow:
    (row,) = [
        row for row in world.store.sessions() if (tag := tag_of(row)) and str(tag.identity) == f"shop/{key}"
    ]
    return row


def remark(row: SessionRow, **keys: Any) -> dict[str, Any]:
    assert row.remark is not None
    return {
        "remark": json.dumps({**json.loads(row.remark), **keys}, ensure_ascii=False, separators=(",", ":"))
    }


def dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


#: Each field of a session: how a hand changes it, and what is said of it.
FIELDS: dict[str, tuple[Callable[[SessionRow], dict[str, Any]], Callable[[SessionRow], str]]] = {
    "name": (lambda row: {"name": "改名"}, lambda row: f'{dump(row.name)} when planned, found "改名"'),
    "model": (lambda row: {"model": "other"}, lambda row: '"deepseek-chat" when planned, found "other"'),
    "prompt": (
        lambda row: {"prompt": row.prompt + "!"},
        lambda row: f"{dump(row.prompt)} when planned, found {dump(row.prompt + '!')}",
    ),
    "parameters.temperature": (
        lambda row: {"parameters": {**row.parameters, "temperature": 1.5}},
        lambda row: "0.3 when planned, found 1.5",
    ),
    "parameters.history_length": (
        lambda row: {"parameters": {**row.parameters, "history_length": 9}},
        lambda row: "4 when planned, found 9",
    ),
    "parameters.max_tokens": (
        lambda row: {"parameters": {k: v for k, v in row.parameters.items() if k != "max_tokens"}},
        lambda row: "2000 when planned, found nothing",
    ),
    "data.voice": (lambda row: {"data": {"voice": ["a"]}}, lambda row: '"low" when planned, found ["a"]'),
    "data.more": (
        lambda row: {"data": {**row.data, "more": None}},
        lambda row: "nothing when planned, found null",
    ),
    "session_config.penalty": (
        lambda row: {"extra": {"penalty": 0}},
        lambda row: "0.5 when planned, found 0",
    ),
    "remark.created_user": (
        lambda row: remark(row, created_user="anna"),
        lambda row: '"lery" when planned, found "anna"',
    ),
    "remark.more": (lambda row: remark(row, more=1), lambda row: "nothing when planned, found 1"),
}


@pytest.mark.parametrize("key", ["gone2", "change2"])
def test_each_single_field_of_a_touched_session_is_caught(world: World, plan: Path, key: str) -> None:
    row = row_of(world, key)
    for path, (change, said) in FIELDS.items():
        changed = change(row)
        world.store.update_session(row.session_id, **changed)
        run = world.here(*world.applying(what=plan))
        expected = f"{key} (#{row.session_id}): {path} was {said(row)}\n{STALE}"
        assert (run.code, run.err, run.writes) == (3, expected, []), run
        world.store.update_session(row.session_id, **{name: getattr(row, name) for name in changed})
    world.tally.scenarios += len(FIELDS) - 1
    world.close(world.apply(what=plan))


def test_a_tag_that_moved_a_session_that_went_and_one_that_came(world: World, plan: Path) -> None:
    gone, changed = row_of(world, "gone3"), row_of(world, "change3")
    world.store.delete_session(gone.session_id)
    ours = json.loads(changed.remark or "")["reconciler"]
    world.store.update_session(changed.session_id, **remark(changed, reconciler={**ours, "key": "another"}))
    came = world.insert(session("new5"))
    run = world.apply(what=plan)
    first, second, third, *stale = run.err.splitlines(keepends=True)
    assert first == f"gone3 (#{gone.session_id}): planned to delete, found gone\n"
    assert second.startswith(f"change3 (#{changed.session_id}): session_remark was ")
    assert third == f"new5: planned to be created, found live as #{came}\n"
    assert ("".join(stale), run.code, run.writes) == (STALE, 3, []), run


def test_what_a_plan_does_not_touch_may_change(world: World, plan: Path) -> None:
    kept = row_of(world, "kept1")
    world.store.update_session(kept.session_id, prompt="changed by hand")
    world.store.insert_session(name="another")
    touched = row_of(world, "change2")
    world.store.update_session(touched.session_id, api_use_count=77)  # somebody chats in it
    world.store.insert_message(touched.session_id, content="hello")
    world.store.insert_message(row_of(world, "gone1").session_id, content="one more")
    run = world.apply(what=plan)
    assert run.code == 0 and len(run.writes) == 18, run
    assert [action.key for action in world.plan().actions] == ["kept1"]
    world.close(world.apply())


def test_only_its_owner_may_read_it(plan: Path) -> None:
    assert stat.S_IMODE(plan.stat().st_mode) == 0o600
    assert [one.name for one in plan.parent.iterdir() if "partial" in one.name] == []


def test_a_plan_is_shown_as_it_was_made(world: World, plan: Path) -> None:
    shown = world.here("show", str(plan))
    made = world.here("plan", str(world.folder), "--endpoint", world.server.url)
    # The suggested commands of a run have its flags, so lines break elsewhere.
    assert (shown.code, "".join(shown.out.split())) == (0, "".join(without_run(made.out).split()))
    assert not shown.log


def test_a_plan_that_was_altered(world: World, plan: Path) -> None:
    text = plan.read_text(encoding="utf-8")
    plan.write_text(
        text.replace("You are somebody else now.", "You are somebody else now!"), encoding="utf-8"
    )
    run = world.apply(what=plan)
    said = f"{plan} was altered after it was saved: its digest does not match\n{AGAIN}"
    assert (run.code, run.err, run.log) == (3, said, []), run


def test_a_plan_that_was_cut_off(world: World, plan: Path) -> None:
    plan.write_bytes(plan.read_bytes()[:-100])
    run = world.apply(what=plan)
    said = f"{plan} is not a plan, or was truncated: it is not valid JSON\n{AGAIN}"
    assert (run.code, run.err, run.log) == (3, said, []), run


def test_a_plan_for_another_address(world: World, plan: Path) -> None:
    run = world.here("apply", str(plan), "--endpoint", "http://127.0.0.1:9")
    said = (
        f"the plan was made against {world.server.url}, and this is http://127.0.0.1:9\n"
        f"      hint: apply it with --endpoint={world.server.url}, or make a plan against http://127.0.0.1:9\n"
    )
    assert (run.code, run.err, run.log) == (3, said, []), run


def test_a_plan_of_a_newer_version(world: World, plan: Path) -> None:
    document = json.loads(plan.read_bytes())
    version = document["format_version"]
    plan.write_text(json.dumps({**document, "format_version": "9.0"}))
    run = world.here(*world.applying(what=plan))
    said = (
        f"{plan} is a plan of format 9.0, and this version reads formats up to {version}\n"
        "      hint: it was made by a newer version: apply it with that, or make the plan again\n"
    )
    assert (run.code, run.err, run.log) == (3, said, []), run


def test_a_plan_that_holds_an_action_for_another_catalog(world: World, plan: Path) -> None:
    document = json.loads(plan.read_bytes())
    document["actions"][0]["identity"]["catalog"] = "other"
    document["digest"] = saved._digest(document)
    plan.write_text(json.dumps(document))
    run = world.here(*world.applying(what=plan))
    said = f"{plan} is for shop, and holds an action for other/gone1\n{AGAIN}"
    assert (run.code, run.err, run.log) == (3, said, []), run


def changed(plan: Path, change: Callable[[Any], object]) -> bytes:
    """The saved plan, changed by somebody who knows how its digest is made."""
    document = json.loads(plan.read_bytes())
    change(document)
    return json.dumps({**document, "digest": saved._digest(document)}).encode()


def _first(document: Any, kind: str) -> Any:
    return next(one for one in document["actions"] if one["action"] == kind)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda plan: _first(plan, "create")["fields"].clear(), "is not a complete plan: the create of new1"),
        (
            lambda plan: _first(plan, "update")["fields"][0].pop("after"),
            "is not a complete plan: the update of ",
        ),
        (lambda plan: _first(plan, "create").update(session_id=1), "is not a complete plan"),
        (
            lambda plan: _first(plan, "delete").update(action="double"),
            "is not a complete plan: the double of ",
        ),
        (lambda plan: plan.update(format_version="1." + "9" * 5000), "is a plan of format 1.999"),
        (lambda plan: plan.update(format_version="1.١"), "is a plan of format 1.١"),
        (
            lambda plan: plan.update(created=float("nan")),
            "is not a plan, or was truncated: it is not valid JSON",
        ),
        (lambda plan: plan.update(about={"a": "\ud800"}), "is not a complete plan"),
        (lambda plan: plan.update(actions=[5] * 1000), "is not a complete plan"),
    ],
)
def test_a_plan_with_a_fitting_digest_that_lacks_something(
    plan: Path, change: Callable[[Any], object], why: str
) -> None:
    with pytest.raises(Refused) as caught:
        saved_to_plan(changed(plan, change), "plan.json")
    assert caught.value.problems[0].message.startswith(f"plan.json {why}")
    assert len(caught.value.problems) <= 101


def test_what_a_later_version_adds_to_a_plan_is_ignored(plan: Path) -> None:
    def add(document: Any) -> None:
        document["listing"]["seconds"] = 1.5

    assert (
        saved_to_plan(changed(plan, add), "plan.json")[0] == saved_to_plan(plan.read_bytes(), "plan.json")[0]
    )


def test_a_plan_may_hold_live_texts_that_can_not_be_encoded(plan: Path) -> None:
    def add(document: Any) -> None:
        _first(document, "update")["fields"][0]["before"] = "a\ud800"

    found, _ = saved_to_plan(changed(plan, add), "plan.json")
    assert "a\ud800" in [one.before for action in found.actions for one in action.fields]


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{}", b"\xff\xfe", b"[" * 100_000, b"sessions: {}\n"])
def test_a_file_that_is_not_a_plan(world: World, tmp_path: Path, text: bytes) -> None:
    plan = tmp_path / "plan.json"
    plan.write_bytes(text)
    run = world.here(*world.applying(what=plan))
    assert (run.code, run.log) == (3, []), run
    assert run.err.startswith(f"{plan} is not a plan"), run


def test_a_missing_plan(world: World) -> None:
    for words in (("show", "plan.json"), world.applying(what=Path("plan.json"))):
        run = world.here(*words)
        assert (run.code, run.log) == (64, []), run
        assert run.err.endswith("'plan.json' does not exist.\n")


@pytest.mark.parametrize("step", [53, pytest.param(1, marks=pytest.mark.full)])
def test_any_altered_byte_is_found(world: World, plan: Path, step: int) -> None:
    whole = plan.read_bytes()
    assert saved_to_plan(whole, "plan")
    for at in range(0, len(whole), step):
        altered = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        with pytest.raises(Refused):
            saved_to_plan(altered, "plan")
    for length in range(0, len(whole), 100):
        with pytest.raises(Refused):
            saved_to_plan(whole[:length], "plan")


@pytest.mark.parametrize("made", ["1" * 40, ""])
def test_the_journal_names_the_commit_that_the_plan_was_made_from(
    world: World, tmp_path: Path, made: str
) -> None:
    """Not that of the folder that it is applied in, where it has one."""
    out = tmp_path / "plan.json"
    place = ("--endpoint", world.server.url)
    world.run("plan", str(world.folder), *place, "--out", str(out), CI_COMMIT_SHA=made)
    world.close(world.apply(what=out, CI_COMMIT_SHA="2" * 40))
    (run,) = json.loads(world.here("history", str(world.folder), "--format", "json").out)
    assert run[0]["commit"] == (made or "2" * 40)


#: Each flag that is settled when a plan is made, and a value for it.
SETTLED = {
    "max-deletes": "5",
    "max-updates": "5",
    "max-changes": "50%",
    "on-conflict": "fail",
    "allow-empty": "1",
    "allow-destroy": "gone1",
    "env": "prod",
    "var": "greeting=hello",
}


def test_flags_that_are_fixed_in_the_plan(world: World, plan: Path) -> None:
    """A flag that does nothing is a mistake; a variable is for every command there is."""
    for flag, value in SETTLED.items():
        words = [f"--{flag}"] if flag == "allow-empty" else [f"--{flag}", value]
        run = world.here(*world.applying(*words, what=plan))
        assert (run.code, run.log) == (64, []), run
        assert run.err == (
            f"--{flag} has no effect on a saved plan\n"
            "      hint: the plan already contains it: make the plan again with the flag\n"
        )
    variables = {f"RECONCILER_{flag.upper().replace('-', '_')}": value for flag, value in SETTLED.items()}
    world.close(world.apply(what=plan, **variables))


def test_guards_apply_when_the_plan_is_made(world: World, tmp_path: Path) -> None:
    """A plan that is refused can be saved and shown, and not applied."""
    world.want([replace(one) for one in world.wanted], policy={"max_deletes": 2})
    out = tmp_path / "plan.json"
    made = world.here("plan", str(world.folder), "--endpoint", world.server.url, "--out", str(out))
    assert made.code == 3
    run = world.here(*world.applying(what=out))
    assert (run.code, run.writes) == (3, []), run
    assert "--max-deletes=6" in run.text
