"""The flags for a bucket, of ``reconciler operator`` and ``reconciler archive fetch``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconciler.errors import UsageError

if TYPE_CHECKING:
    from reconciler.s3.bucket import Bucket

F = TypeVar("F", bound=Callable[..., Any])


def bucket_options(function: F) -> F:
    """--archive-s3 and --archive-s3-endpoint."""
    place = click.option(
        "--archive-s3",
        metavar="s3://BUCKET/PREFIX",
        help="The place in S3 where the operator keeps its journals and archives. Needs the extra `s3`; boto3 finds "
        "the credentials. Default: they are in the state folder only.",
    )
    endpoint = click.option(
        "--archive-s3-endpoint",
        metavar="URL",
        help="The address of another service with the protocol of S3. Default: AWS_ENDPOINT_URL, or that of AWS.",
    )
    return place(endpoint(function))


def chosen_bucket(place: str | None, endpoint: str | None) -> Bucket | None:
    """The bucket that the flags name; None if they name none.

    Raises:
        ReconcilerError: it can't be used.
    """
    if place is None:
        if endpoint is not None:
            raise UsageError(
                "--archive-s3-endpoint says where a bucket is, and none is named",
                "add --archive-s3=s3://BUCKET/PREFIX",
            )
        return None
    from reconciler.s3.bucket import open_bucket, parse_place

    return open_bucket(parse_place(place), endpoint)
