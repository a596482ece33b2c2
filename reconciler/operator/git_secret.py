"""Credentials for git from a Secret. It says itself for which repositories it is: the author of a resource that names
it may be somebody else."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from reconciler.controller.git_access import Credentials
from reconciler.errors import ReconcilerError
from reconciler.operator.inputs import Input, Inputs


def git_credentials(one: Input, inputs: Inputs) -> Credentials:
    """The credentials that a Secret has now.

    Raises:
        ReconcilerError: there is no such Secret, or it can't be read.
    """
    body = inputs.read(one)[1]
    if body is None:
        raise ReconcilerError(
            f"there is no Secret {one.namespace}/{one.name} with credentials for git",
            f"kubectl -n {one.namespace} create secret generic {one.name} --from-literal=url=https://HOST/PATH "
            "--from-literal=username=USER --from-file=password=FILE",
        )
    return read_credentials(str(one), body)


def read_credentials(origin: str, body: Mapping[str, Any]) -> Credentials:
    """What a Secret of the API says of git. Line ends around an address, a name or a token are not part of them."""
    data = body.get("data") or {}

    def text(key: str) -> str:
        return base64.b64decode(data.get(key) or "").decode("utf-8", "replace")

    return Credentials(
        origin,
        url=text("url").strip(),
        username=text("username").strip(),
        password=text("password").strip(),
        identity=text("identity"),
        known_hosts=text("known_hosts"),
        ca=text("ca.crt"),
    )
