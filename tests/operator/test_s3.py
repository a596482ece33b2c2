"""The operator with archives in S3: it is killed at a request to S3, its disk is gone, and another one takes over."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Literal

import pytest

from reconciler.s3.bucket import Bucket
from reconciler.s3.fetching import fetch_all
from tests.faults.tally import Tally
from tests.faults.world import Run
from tests.operator.conftest import eventually
from tests.operator.plane import Plane
from tests.operator.replicas import stage
from tests.s3.conftest import S3, Asked, bucket, clients, moto, s3

__all__ = ["bucket", "clients", "moto", "s3"]  # fixtures


@pytest.mark.parametrize(
    ("what", "number", "when"),
    [
        pytest.param("/archive/", 4, "after", id="what-a-delete-destroys"),
        pytest.param("/state/", 1, "after", id="the-take-over", marks=pytest.mark.full),
        pytest.param(".jsonl", 1, "before", id="the-start", marks=pytest.mark.full),
        pytest.param(".jsonl", 2, "after", id="an-intent", marks=pytest.mark.full),
        pytest.param("/archive/", 1, "before", id="what-an-update-destroys", marks=pytest.mark.full),
    ],
)
def test_killed_at_a_request_to_s3_and_taken_over_with_an_empty_disk(
    cluster: Plane,
    tmp_path: Path,
    tally: Tally,
    bucket: Bucket,
    s3: S3,
    what: str,
    number: int,
    when: Literal["before", "after"],
) -> None:
    flags = (f"--archive-s3={bucket.place}", f"--archive-s3-endpoint={s3.url}")
    with stage(cluster, tmp_path, tally) as here:
        first = here.start("first", "", *flags)
        first.says("leading")
        second = here.start("second", "", *flags)
        second.says("standing by")
        struck: list[Asked] = []

        def strike(asked: Asked) -> str | None:
            if asked.method == "PUT" and what in asked.path and len(struck) < number:
                struck.append(asked)
                if len(struck) == number:
                    os.kill(first.process.pid, signal.SIGKILL)
                    return "cut"
            return None

        (s3.before if when == "before" else s3.after).append(strike)
        here.add()
        eventually(lambda: len(struck) == number, here.logs)
        assert first.process.wait(10) == -9
        shutil.rmtree(first.state)
        here.is_done(60)  # the dead one's lock expires
        here.becomes("Synced", "InSync")
        assert second.end() == 0
        shutil.rmtree(second.state)
        fetch_all(bucket, f"{here.namespace}/shop", tmp_path / "fetched")
        here.world.close(Run(0, "", here.logs(), here.world.server.log), tmp_path / "fetched" / "archive")
        assert "a-secret" not in here.logs()
