"""A probe that is killed at any of its requests: the next doctor cleans up, on the account and on disk."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.doctor.child import at_request, start
from tests.doctor.services import SERVICES, Service
from tests.doctor.support import Doctor, methods, playing

BY_NAME = {service.name: service for service in SERVICES}

#: Services that are probed in different ways: the plainest; no update; a tag only by update; all at once.
SOME = (
    "as the built-in contract says",
    "no update",
    "a create that takes no remark",
    "no remark at all, without a word",
    "much at once",
)


def _arguments(doctor: Doctor, service: Service) -> list[str]:
    place = [str(doctor.folder), "--state-dir", str(doctor.folder / "state"), "--endpoint", doctor.server.url]
    return ["doctor", *place, "--probe", "--auto-approve", "--settle", "5", *doctor.given(service)]


def _killed(doctor: Doctor, service: Service, number: int, *, worked: bool) -> bool:
    """Kill a probe at a request; whether it got that far."""
    process = start(_arguments(doctor, service))

    def kill() -> None:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()

    with at_request(doctor.server, number, kill, worked=worked) as met:
        process.join()
    return bool(met)


def _until_all_are_listed(doctor: Doctor, service: Service) -> None:
    """What a list does not show yet, no doctor can find."""
    url = doctor.server.url + service.contract().operation("list_sessions").path
    rows = len(doctor.server.store.sessions())
    while requests.get(url, timeout=10).json()["count"] != rows:
        time.sleep(0.05)


def _then_the_next_one_cleans_up(
    doctor: Doctor, service: Service, before: Mapping[str, Sequence[Any]]
) -> None:
    """Looking finds exactly what is left, by GET alone; asked to, the doctor removes exactly that."""
    store = doctor.server.store
    left = {row.session_id for row in store.sessions()} - {row[0] for row in before["session"]}
    _until_all_are_listed(doctor, service)
    asked = len(doctor.server.log)
    code, out, err = doctor("doctor", "--format", "json", *doctor.given(service))
    assert set(methods(doctor.server)[asked:]) == {"GET"}
    assert {one["session_id"] for one in json.loads(out)["leftovers"]} == left, err
    if left:
        assert code == 1
        doctor("doctor", "--auto-approve", *doctor.given(service))
    assert store.dump() == before
    # Nor does the list from before the probe pile up on disk.
    assert not [*(doctor.folder / "state").glob("before-*")]


def _at_each(service: Service, points: Iterator[int], doctor: Doctor, *, worked: bool) -> None:
    before = doctor.server.store.dump()
    for number in points:
        if not _killed(doctor, service, number, worked=worked):
            break
        _then_the_next_one_cleans_up(doctor, service, before)
    assert doctor.server.store.dump() == before


def _undisturbed(service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Sequence[str]:
    """The methods of the requests that a probe of a service makes."""
    with playing(service, tmp_path, capsys) as doctor:
        assert doctor.probe(*doctor.given(service))[0] == 0
        return methods(doctor.server)


@pytest.mark.parametrize("worked", [False, True], ids=["before the work", "after it"])
@pytest.mark.parametrize("name", SOME)
def test_killed_here_and_there(
    name: str, worked: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = BY_NAME[name]
    sent = _undisturbed(service, tmp_path, capsys)
    writes = [number for number, method in enumerate(sent, start=1) if method != "GET"]
    # Around the create, where it is least clear what is there; at the delete; and now and then in between.
    points = {writes[0], writes[0] + 1, writes[-2], *writes[:: max(1, len(writes) // 4)]}
    with playing(service, tmp_path, capsys) as doctor:
        _at_each(service, iter(sorted(points)), doctor, worked=worked)


@pytest.mark.full
@pytest.mark.parametrize("worked", [False, True], ids=["before the work", "after it"])
@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_killed_at_any_request(
    service: Service, worked: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Where each change is waited for, a probe takes as long as thirty others.
    step = 7 if any(quirk.startswith("late-changes") for quirk in service.quirks) else 1
    with playing(service, tmp_path, capsys) as doctor:
        _at_each(service, iter(range(1, 10_000, step)), doctor, worked=worked)
