"""A probe writes to its own session and to no other; a survey writes to none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from reconciler.api.addressing import Address
from reconciler.contract import load_contract
from reconciler.doctor.context import SurveyContext
from reconciler.doctor.learned import LearnedFacts
from reconciler.doctor.session import ProbeSession
from reconciler.server import RunningServer, running_server
from tests.support import calling

CONTRACT = load_contract()

ID = "1f2e3d4c5b6a"


UPDATE = CONTRACT.operation("update_session")


@contextmanager
def _probe_session() -> Iterator[tuple[ProbeSession, RunningServer]]:
    with running_server(None) as server, calling(server.url) as client:
        server.store.insert_session(name="other")
        yield ProbeSession(client, ID, [1], settle=1), server


def test_nothing_is_written_before_the_session_is_seen() -> None:
    with _probe_session() as (session, server):
        with pytest.raises(ValueError, match="own session only"):
            session.write(UPDATE, {"name": "x"})
        for number in (1, 2):
            session.id = number
            with pytest.raises(ValueError, match="own session only"):
                session.write(UPDATE, {"name": "x"})
        session.ids.add(1)  # even so: it was there before
        session.id = 1
        with pytest.raises(ValueError, match="own session only"):
            session.write(UPDATE, {"name": "x"})
        assert server.log == []


def test_nothing_is_created_under_another_name() -> None:
    with _probe_session() as (session, server):
        for fields in ({}, {"name": "other"}, {"name": session.name + " "}):
            with pytest.raises(ValueError, match="own name only"):
                session.create(CONTRACT.operation("create_session"), fields)
        assert server.log == []


def test_a_write_names_its_own_session_whatever_it_is_given() -> None:
    with _probe_session() as (session, server):
        session.create(CONTRACT.operation("create_session"), {"name": session.name, "model": "m"})
        assert session.wait_until_listed() == 0.0
        session.write(UPDATE, {"session_id": 1, "prompt": "x"})
        assert server.log[-1].body == {"prompt": "x"}
        assert server.log[-1].path == "/v1/session/2/"
        unsafe = replace(UPDATE, path="/v1/session/update/")
        with pytest.raises(ValueError, match="own session only"):
            session.write(unsafe, {"prompt": "x"})


def test_every_call_about_the_session_carries_its_id_and_its_token() -> None:
    with _probe_session() as (session, server):
        session.create(CONTRACT.operation("create_session"), {"name": session.name, "model": "m"})
        session.wait_until_listed()
        (token,) = [row.session_token for row in server.store.sessions() if row.session_id == 2]
        assert session.address == Address(2, token)
        fields = {**UPDATE.fields, "session_id": "session_id", "session_token": "session_token"}
        both = replace(UPDATE, fields=fields)
        session.write(both, {"session_token": "another's", "prompt": "x"})
        assert server.log[-1].body == {"session_id": 2, "session_token": token, "prompt": "x"}


def test_a_call_that_can_not_name_the_session_is_not_sent() -> None:
    with _probe_session() as (session, server):
        session.create(CONTRACT.operation("create_session"), {"name": session.name, "model": "m"})
        session.wait_until_listed()
        session.tokens[2] = None  # the list does not show it
        sent = len(server.log)
        by_token = replace(UPDATE, path="/v1/session/{session_token}/")
        with pytest.raises(ValueError, match="own session only"):
            session.write(by_token, {"prompt": "x"})
        assert len(server.log) == sent


def test_a_survey_never_writes() -> None:
    with running_server(None) as server, calling(server.url) as client:
        context = SurveyContext(client, LearnedFacts(CONTRACT))
        for name in ("create_session", "update_session", "delete_session", "create_message"):
            with pytest.raises(ValueError, match="is not a GET"):
                context.get(CONTRACT.operation(name), {"session_id": 1})
        assert server.log == []
