"""A bucket, or what is below a prefix of one: put, get and list, with errors that say what to do.

The client is boto3, the extra ``s3``. It finds credentials by its usual chain: environment, web identity, profile.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from reconciler.disk import MAX_DOCUMENT
from reconciler.errors import ReconcilerError, UsageError
from reconciler.text.hosts import is_loopback

#: How long to wait for a connection, and for an answer (seconds), and how often to try.
_CONNECT: Final = 5
_READ: Final = 15
_TRIES: Final = 3
_CHUNK: Final = 2**20
#: Several accounts are written at the same time, each by several workers.
_CONNECTIONS: Final = 32

_PLACE: Final = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9!_.*'()=-]+)*)/?")
_CODE: Final = re.compile(r"[A-Za-z0-9.]{1,64}")
_LONGEST_REASON: Final = 300

_NO_RIGHTS: Final = (
    "check that the credentials allow s3:PutObject and s3:GetObject below the prefix, and s3:ListBucket"
)
_HINTS: Final[Mapping[str, str]] = {
    "NoSuchBucket": "create the bucket, or correct --archive-s3",
    "AccessDenied": _NO_RIGHTS,
    "ExpiredToken": _NO_RIGHTS,
    "InvalidAccessKeyId": _NO_RIGHTS,
    "SignatureDoesNotMatch": _NO_RIGHTS,
    "NoCredentialsError": _NO_RIGHTS,
    "403": _NO_RIGHTS,
}
_WAIT: Final = "what it would keep is not written before it answers: check the endpoint and the network"


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket, and a prefix in it that is empty or ends with a slash."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def parse_place(text: str) -> Place:
    """A place in the form ``s3://BUCKET[/PREFIX]``.

    Raises:
        UsageError: it has another form.
    """
    found = _PLACE.fullmatch(text)
    if found is None or any(part in (".", "..") for part in found[2].split("/")):
        raise UsageError(f"{text!r} is not a place in S3", "give one like s3://BUCKET/PREFIX")
    prefix = found[2].strip("/")
    return Place(found[1], f"{prefix}/" if prefix else "")


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is below a prefix of a bucket. Keys are relative to it. Safe to use from many threads."""

    place: Place
    client: Any

    def put(self, key: str, data: bytes, *, new: bool) -> bool:
        """Store an object. If it has to be ``new``, an existing one is left as it is; returns whether it was stored.

        A service that does not know the condition overwrites: names of new objects should be unique by themselves.

        Raises:
            ReconcilerError: it is not stored.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        given = {"Bucket": self.place.bucket, "Key": self.place.prefix + key, "Body": data}
        try:
            try:
                self.client.put_object(**given, **({"IfNoneMatch": "*"} if new else {}))
            except ClientError as error:
                if new and _code(error) == "PreconditionFailed":
                    return False
                if not new or _code(error) != "NotImplemented":
                    raise
                self.client.put_object(**given)
        except (BotoCoreError, ClientError) as error:
            raise self._failed(key, "written", error) from None
        return True

    def get(self, key: str) -> bytes:
        """An object.

        Raises:
            ReconcilerError: it can't be read, is not there, or is too large.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self.client.get_object(Bucket=self.place.bucket, Key=self.place.prefix + key)
            data = bytearray()
            with closing(answer["Body"]) as body:  # entered itself, it would not check
                # Only a read that finds the end checks that all has come.
                while len(data) <= MAX_DOCUMENT and (chunk := body.read(_CHUNK)):
                    data += chunk
        except (BotoCoreError, ClientError) as error:
            raise self._failed(key, "read", error) from None
        if len(data) > MAX_DOCUMENT:
            raise ReconcilerError(
                f"{self.name(key)} is larger than {MAX_DOCUMENT // 2**20} MiB",
                "nothing of this program is: look at what else writes to the bucket",
            )
        return bytes(data)

    def list(self, folder: str) -> dict[str, datetime]:
        """The names of the objects below a folder, in order, and when each was last written.

        Raises:
            ReconcilerError: they can't be listed.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        start = f"{self.place.prefix}{folder}/"
        try:
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.place.bucket, Prefix=start
            )
            found = {
                one["Key"].removeprefix(start): one["LastModified"]
                for page in pages
                for one in page.get("Contents", ())
            }
        except (BotoCoreError, ClientError) as error:
            raise self._failed(folder, "listed", error) from None
        return dict(sorted(found.items()))

    def name(self, key: str) -> str:
        """The whole name of an object."""
        return f"s3://{self.place.bucket}/{self.place.prefix}{key}"

    def _failed(self, key: str, done: str, error: Any) -> ReconcilerError:
        code = _code(error) or type(error).__name__
        if response := getattr(error, "response", None):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", "no status")
            reason = f"{code} ({error.operation_name}, {status})"
        else:
            reason = str(error)[:_LONGEST_REASON].rstrip(".")
        return ReconcilerError(f"{self.name(key)} can't be {done}: {reason}", _HINTS.get(code, _WAIT))


def _code(error: Any) -> str:
    """The code of an answer, as far as it looks like one; empty if there was no answer."""
    code = str((getattr(error, "response", None) or {}).get("Error", {}).get("Code", ""))
    return code if _CODE.fullmatch(code) else ""


def open_bucket(place: Place, endpoint: str | None = None) -> Bucket:
    """Make a client. No request is sent. Without an ``endpoint``, boto3 chooses it: AWS_ENDPOINT_URL, or that of AWS.

    Raises:
        ReconcilerError: boto3 is not installed, or the endpoint can't be used.
    """
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ModuleNotFoundError:
        raise ReconcilerError(
            "archives in S3 need the extra `s3`, which is not installed",
            "pip install 'persona-reconciler[s3]'",
        ) from None
    config = Config(
        connect_timeout=_CONNECT,
        read_timeout=_READ,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
        max_pool_connections=_CONNECTIONS,
    )
    try:
        client = boto3.Session().client("s3", endpoint_url=endpoint, config=config)
        address = urlsplit(client.meta.endpoint_url)
        safe = address.scheme == "https" or is_loopback(address.hostname or "")
    except (BotoCoreError, ValueError) as error:
        raise UsageError(
            f"the client for S3 can't be made: {error}", "correct the endpoint or the AWS variables"
        ) from None
    if not safe or address.username is not None:
        raise UsageError(
            "the endpoint for S3 would send prompts and messages unencrypted over a network"
            if not safe
            else "the endpoint for S3 contains a user name",
            "use https and the usual AWS variables; plain http is allowed for this machine only",
        )
    return Bucket(place, client)
