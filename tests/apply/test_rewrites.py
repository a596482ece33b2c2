"""A field that the server stores in another form is reported once, and the next plan is empty."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from reconciler.api.listing import list_sessions
from reconciler.apply.report import Rewrite
from reconciler.domain import Session
from reconciler.errors import ExitCode
from reconciler.ownership.remark import parse_remark, remark_of_another_session
from reconciler.plan import make_plan
from reconciler.server import Fault, Quirks, RunningServer, Store, running_server
from reconciler.server.log import LoggedRequest
from tests.support import Direct, calling, catalog, reconcile, wanted

ALICE = wanted("alice", prompt="  Be kind.", parameters={"temperature": 0.2})


def writes(server: RunningServer) -> list[str]:
    return [one.operation for one in server.log if one.method != "GET"]


@pytest.mark.parametrize(
    ("quirks", "prompt", "stored"),
    [
        (Quirks(trim_prompts=True), "  Be kind.", "Be kind."),
        (Quirks(trim_prompts=True), "\n\nBe kind.\nAlways.", "Be kind.\nAlways."),
        (Quirks(trim_prompts=True), "\u3000顾掌柜", "顾掌柜"),
    ],
)
def test_a_trimmed_prompt_converges_and_is_said_once(
    tmp_path: Path, quirks: Quirks, prompt: str, stored: str
) -> None:
    now = catalog(dataclasses.replace(ALICE, prompt=prompt))
    with running_server(None, quirks=quirks) as server, calling(server.url) as client:
        _, report = reconcile(client, now, tmp_path)
        assert report.rewrites == (Rewrite("alice", 1, "prompt", prompt, stored),)
        assert (report.verification, report.exit_code) == ("verified", ExitCode.OK)
        assert writes(server) == ["create_session", "update_session"]  # the second for the tag
        plan, report = reconcile(client, now, tmp_path)
        assert plan.empty
        assert report.rewrites == ()
        # A change of another field does not bring it up again.
        later = catalog(dataclasses.replace(ALICE, prompt=prompt, name="Al"))
        plan, report = reconcile(client, later, tmp_path)
        assert [change.path for change in plan.actions[0].fields] == ["name"]
        assert report.rewrites == ()
        assert make_plan(later, list_sessions(client)).empty


@pytest.mark.parametrize("endings", ["lf", "crlf"])
def test_line_endings_are_no_rewrite(tmp_path: Path, endings: Any) -> None:
    now = catalog(wanted("alice", prompt="A\nB"))
    quirks = Quirks(line_endings=endings, numbers_as_text=True)
    with running_server(None, quirks=quirks) as server, calling(server.url) as client:
        _, report = reconcile(client, now, tmp_path)
        assert report.rewrites == ()
        assert writes(server) == ["create_session"]


def test_numbers_that_come_back_as_text_are_no_rewrite(tmp_path: Path) -> None:
    parameters = {"temperature": 0.7, "max_tokens": 4000, "history_length": 0}
    now = catalog(wanted("alice", parameters=parameters))
    with running_server(None, quirks=Quirks(numbers_as_text=True)) as server, calling(server.url) as client:
        _, report = reconcile(client, now, tmp_path)
        assert (report.rewrites, report.verification) == ((), "verified")
        (one,) = list_sessions(client)
        assert one.config["temperature"] == "0.7"
        assert one.parameters == parameters
        assert make_plan(now, list_sessions(client)).empty
        changed = catalog(wanted("alice", parameters={**parameters, "temperature": 0.70000001}))
        assert not make_plan(changed, list_sessions(client)).empty


def test_a_change_in_git_and_drift_are_told_apart_over_a_rewrite(tmp_path: Path) -> None:
    with running_server(None, quirks=Quirks(trim_prompts=True)) as server, calling(server.url) as client:
        reconcile(client, catalog(ALICE), tmp_path)

        def reason(prompt: str) -> list[str]:
            now = catalog(dataclasses.replace(ALICE, prompt=prompt))
            return [one.reason for one in make_plan(now, list_sessions(client)).actions]

        assert reason("  Be kind.") == []
        assert reason("Be kind.") == []
        assert reason("  Be brief.") == ["changed in git"]
        server.store.update_session(1, prompt="Be bold.")
        assert reason("  Be kind.") == ["changed outside git"]
        assert reason("  Be brief.") == ["changed in git and outside of it"]


def test_a_field_that_is_equal_again_is_vouched_for_anew(tmp_path: Path) -> None:
    with running_server(None, quirks=Quirks(trim_prompts=True)) as server, calling(server.url) as client:
        reconcile(client, catalog(ALICE), tmp_path)
        trimmed = dataclasses.replace(ALICE, prompt="Be kind.", name="Al")
        reconcile(client, catalog(trimmed), tmp_path)
        server.store.update_session(1, prompt="Be bold.")
        (action,) = make_plan(catalog(trimmed), list_sessions(client)).actions
        assert action.reason == "changed outside git"


def test_a_rewrite_beside_a_second_session_with_the_identity(tmp_path: Path) -> None:
    """The delete of the second one has nothing to say of the tag of the first."""
    with running_server(None, quirks=Quirks(trim_prompts=True)) as server, calling(server.url) as client:
        server.store.insert_session(name="Alice", remark="by lery")
        adopting = catalog(dataclasses.replace(ALICE, prompt="A"), adopt={"alice": 1})
        reconcile(client, adopting, tmp_path)
        first = server.store.session(1)
        assert first is not None
        double = remark_of_another_session(first.remark, parse_remark(first.remark))
        server.store.insert_session(name="Alice", remark=double)
        plan, report = reconcile(client, catalog(ALICE), tmp_path)
        assert [one.kind for one in plan.actions] == ["delete", "update"]
        assert report.rewrites == (Rewrite("alice", 1, "prompt", "  Be kind.", "Be kind."),)
        (row,) = server.store.sessions()
        tag = parse_remark(row.remark).tag
        assert tag is not None
        assert tag.was == "by lery"
        assert tag.base is not None
        assert all(tag.base.knows(path) for path in ALICE.fields())
        assert make_plan(catalog(ALICE), list_sessions(client)).empty


def test_a_form_that_could_not_be_remembered_is_said(tmp_path: Path) -> None:
    with running_server(None, quirks=Quirks(trim_prompts=True)) as server, calling(server.url) as client:
        server.faults.add(Fault("status", operation="update_session", status=422, message="no"))
        _, report = reconcile(client, catalog(ALICE), tmp_path)
    assert (report.verification, report.rewrites) == ("differs", ())
    assert report.differences == (
        "alice (#1): the tag does not record the form that the server stored: "
        "updating the session alice (#1): HTTP 422: no",
    )
    assert report.exit_code == ExitCode.PARTIAL


def test_what_others_change_while_it_is_verified_is_not_the_servers_form(tmp_path: Path) -> None:
    """Between the write and the look at it somebody edits the prompt: it is written again, and then it stays."""
    with running_server(None) as server, calling(server.url) as client:
        meddled = []

        def meddle(entry: LoggedRequest) -> None:
            rows = server.store.sessions()
            if rows and not meddled and entry.operation == "list_sessions":
                meddled.append(server.store.update_session(1, prompt="edited in a console"))

        server.before.append(meddle)
        _, report = reconcile(client, catalog(ALICE), tmp_path)
        assert meddled == [True]
        assert report.rewrites == ()
        assert make_plan(catalog(ALICE), list_sessions(client)).empty
        assert [one.prompt for one in server.store.sessions()] == ["  Be kind."]


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (
            ALICE,
            "alice (#1): prompt was sent twice, but neither it nor the tag changed: "
            "the update call may have no effect",
        ),
        (
            dataclasses.replace(ALICE, prompt="Be brief."),
            "alice (#1): prompt was written by another run since",
        ),
    ],
)
def test_an_update_call_that_says_yes_and_does_nothing(tmp_path: Path, now: Session, said: str) -> None:
    """Its path is assumed: something else may stand there that is happy with anything."""

    class Happy(Direct):
        def write(self, name: str, fields: Any, **more: Any) -> Any:
            if name == "update_session":
                return {"message": "", "status": 200}
            return super().write(name, fields, **more)

    with Happy(store := Store()) as client:
        reconcile(client, catalog(ALICE), tmp_path)
        store.update_session(1, prompt="edited")
        _, report = reconcile(client, catalog(now), tmp_path)
    store.close()
    assert report.verification == "differs"
    assert (report.differences, report.rewrites) == ((said,), ())
    assert report.exit_code == ExitCode.PARTIAL
