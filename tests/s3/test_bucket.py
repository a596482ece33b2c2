"""A bucket: what is stored, what is refused, and what a person is told."""

from __future__ import annotations

import subprocess
import sys

import pytest

from reconciler.errors import ReconcilerError, UsageError
from reconciler.s3 import bucket as buckets
from reconciler.s3.bucket import Bucket, Place, open_bucket, parse_place
from tests.s3.conftest import S3


def test_what_is_stored_can_be_listed_and_read(bucket: Bucket) -> None:
    assert bucket.put("archive/a/1.json", b"one", new=True)
    assert bucket.put("archive/a/2.json", b"two", new=True)
    assert bucket.put("archive/ab/3.json", b"three", new=True)
    assert list(bucket.list("archive/a")) == ["1.json", "2.json"]
    assert bucket.get("archive/a/2.json") == b"two"
    keys = bucket.client.list_objects_v2(Bucket=bucket.place.bucket)["Contents"]
    assert next(one["Key"] for one in keys) == "team/one/archive/a/1.json"


def test_what_must_be_new_overwrites_nothing(bucket: Bucket) -> None:
    assert bucket.put("one", b"first", new=True)
    assert not bucket.put("one", b"second", new=True)
    assert bucket.get("one") == b"first"
    assert bucket.put("one", b"third", new=False)
    assert bucket.get("one") == b"third"


def test_a_service_without_conditional_writes_is_used_all_the_same(s3: S3, bucket: Bucket) -> None:
    s3.before.append(lambda asked: (501, "NotImplemented") if len(s3.log) == 1 else None)
    assert bucket.put("one", b"first", new=True)
    assert bucket.get("one") == b"first"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("s3://shop", Place("shop", "")),
        ("s3://shop/", Place("shop", "")),
        ("s3://shop/a/b.c/", Place("shop", "a/b.c/")),
    ],
)
def test_places(text: str, place: Place) -> None:
    assert parse_place(text) == place
    assert parse_place(str(place)) == place


@pytest.mark.parametrize(
    "text", ["shop", "s3://", "https://shop/a", "s3://Shop", "s3://shop//a", "s3://shop/a/../b"]
)
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_place(text)
    assert str(error.value) == f"{text!r} is not a place in S3"


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        (
            "http://s3.example.com",
            "the endpoint for S3 would send prompts and messages unencrypted over a network",
        ),
        ("https://me:secret@s3.example.com", "the endpoint for S3 contains a user name"),
        ("s3.example.com", "the client for S3 can't be made: Invalid endpoint: s3.example.com"),
    ],
)
@pytest.mark.parametrize("by", ["flag", "variable"])
def test_endpoints_that_are_refused(
    s3: S3, monkeypatch: pytest.MonkeyPatch, endpoint: str, why: str, by: str
) -> None:
    if by == "variable":
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(UsageError) as error:
        open_bucket(Place("shop", ""), endpoint if by == "flag" else None)
    assert str(error.value) == why
    assert "secret" not in str(error.value)


def test_the_endpoint_may_come_from_the_variable_of_boto3(
    s3: S3, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
    assert open_bucket(bucket.place).put("one", b"1", new=True)
    assert bucket.get("one") == b"1"


RIGHTS = "check that the credentials allow s3:PutObject and s3:GetObject below the prefix, and s3:ListBucket"
WAIT = "what it would keep is not written before it answers: check the endpoint and the network"


@pytest.mark.parametrize(
    ("fate", "reason", "hint"),
    [
        ((403, "AccessDenied"), "AccessDenied (PutObject, 403)", RIGHTS),
        ((503, "SlowDown"), "SlowDown (PutObject, 503)", WAIT),
        (
            (404, "NoSuchBucket"),
            "NoSuchBucket (PutObject, 404)",
            "create the bucket, or correct --archive-s3",
        ),
        ((500, "::error::"), "ClientError (PutObject, 500)", WAIT),
    ],
)
def test_a_refused_write_is_told(
    s3: S3, bucket: Bucket, fate: tuple[int, str], reason: str, hint: str
) -> None:
    s3.before.append(lambda _: fate)
    with pytest.raises(ReconcilerError) as error:
        bucket.put("a/1.json", b"one", new=True)
    (problem,) = error.value.problems
    assert problem.message == f"{bucket.name('a/1.json')} can't be written: {reason}"
    assert problem.hint == hint


def test_each_call_says_what_it_could_not_do(s3: S3, bucket: Bucket) -> None:
    s3.before.append(lambda _: "cut")
    for call, words in [
        (lambda: bucket.put("a/1", b"", new=False), "a/1 can't be written: "),
        (lambda: bucket.get("a/1"), "a/1 can't be read: "),
        (lambda: bucket.list("a"), "a can't be listed: "),
    ]:
        with pytest.raises(ReconcilerError, match=words):
            call()


def test_an_answer_that_ends_early_is_an_error(s3: S3, bucket: Bucket) -> None:
    bucket.put("a/1", b"x" * 100, new=True)
    s3.after.append(lambda _: "short")
    with pytest.raises(ReconcilerError, match="a/1 can't be read: "):
        bucket.get("a/1")


def test_without_credentials(s3: S3, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/")
    with pytest.raises(ReconcilerError) as error:
        open_bucket(bucket.place, s3.url).list("a")
    (problem,) = error.value.problems
    assert problem.message.endswith("a can't be listed: Unable to locate credentials")
    assert problem.hint == RIGHTS
    assert not s3.log


def test_a_passing_fault_is_tried_again(s3: S3, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "_TRIES", 2)
    patient = open_bucket(bucket.place, s3.url)
    s3.before.append(lambda _: (503, "SlowDown") if len(s3.log) == 1 else None)
    assert patient.put("one", b"1", new=True)
    assert len(s3.log) == 2


def test_the_extra_is_named_if_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ReconcilerError) as error:
        open_bucket(Place("shop", ""))
    (problem,) = error.value.problems
    assert (problem.message, problem.hint) == (
        "archives in S3 need the extra `s3`, which is not installed",
        "pip install 'persona-reconciler[s3]'",
    )


def test_boto3_is_not_imported_without_a_bucket() -> None:
    code = (
        "import sys, reconciler.operator.run; sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
