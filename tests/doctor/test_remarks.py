"""The lines of a probe about services with limits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.doctor.services import SERVICES
from tests.doctor.support import playing

BY_NAME = {service.name: service for service in SERVICES}
NO_PLACE = (
    "the tag does not fit, so nothing can be managed here: plans that create or change sessions are refused"
)
SHORT_NAMES = (
    "the tag fits only without digests and ids, and with short catalog names and keys; what does not fit is "
    "refused"
)
IN_TWO_CALLS = "an update right after the create sets the others"


@pytest.mark.parametrize(
    ("service", "name", "verdict", "seen", "follows"),
    [
        (
            "no update, and a remark of 64 bytes",
            "remark",
            "differs",
            "64 bytes are kept, 65 are refused",
            SHORT_NAMES,
        ),
        (
            "no update, and a remark of 255 bytes",
            "remark",
            "ok",
            "255 bytes are kept, 256 are refused",
            "the tag fits (up to 170 bytes)",
        ),
        (
            "no update, and a remark of 90 bytes",
            "remark",
            "differs",
            "at least 81 bytes are kept, 100 are refused",
            "the tag fits only without digests and ids (170 bytes with them): plans can't tell who changed what, "
            "nor a copy from its original, nor two catalogs of the same name",
        ),
        (
            "no update, and a remark of 39 bytes",
            "remark",
            "differs",
            "39 bytes are kept, 40 are refused",
            NO_PLACE,
        ),
        ("a create that takes no prompt", "create stores", "differs", "all but prompt", IN_TWO_CALLS),
        ("a create that refuses data", "create stores", "differs", "all but data", IN_TWO_CALLS),
        (
            "a create that takes shorter remarks than an update",
            "remark in a create",
            "differs",
            "100 bytes are kept, 101 are refused",
            "an update keeps more: sessions are created in two calls",
        ),
    ],
)
def test_the_line(
    service: str,
    name: str,
    verdict: str,
    seen: str,
    follows: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with playing(BY_NAME[service], tmp_path, capsys) as doctor:
        _, out, _ = doctor.probe("--format", "json")
        (check,) = [one for one in json.loads(out)["checks"] if one["name"] == name]
        assert (check["verdict"], check["seen"], check["follows"]) == (verdict, seen, follows)


def test_the_fields_of_the_only_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On an account with no sessions there is nothing to look at before the probe has made one."""
    service = replace(SERVICES[0], quirks=("numbers-as-text",))
    for sessions in (False, True):
        with playing(service, tmp_path, capsys, sessions=sessions) as doctor:
            _, out, _ = doctor.probe("--format", "json")
            found = [
                (one["part"], one["verdict"], one["seen"])
                for one in json.loads(out)["checks"]
                if one["name"] in ("fields", "field session_config.temperature")
            ]
        if sessions:
            assert {part for part, _, _ in found} == {"The list of sessions"}
        else:
            assert found == [
                ("The list of sessions", "unknown", "there are no sessions to look at"),
                ("By writing to one session", "ok", "a string in 1 of 1 row"),
                (
                    "By writing to one session",
                    "ok",
                    "8 of 11 are present and of the right type, in 1 row",
                ),
            ]
