"""The flags that several commands share, each defined once."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from reconciler.model import Catalog, Limit, Policy

F = TypeVar("F", bound=Callable[..., Any])


class LimitType(click.ParamType[Limit]):
    """A count, or a percentage of the managed sessions."""

    name = "count|percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Limit:
        if isinstance(value, Limit):
            return value
        matched = re.fullmatch(r"([0-9]{1,9})|([0-9]{1,3}(?:\.[0-9]{1,3})?)%", str(value).strip())
        if matched is None:
            self.fail(f"{value!r} is neither a count like 10 nor a percentage like 5%.", param, ctx)
        return Limit(count=int(matched[1])) if matched[1] else Limit(percent=float(matched[2]))


def catalog_argument(function: F) -> F:
    """CATALOG: a folder with a catalog.yaml."""
    return click.argument(
        "catalog", type=click.Path(path_type=Path, exists=True, file_okay=False), default=".", required=False
    )(function)


def connection_options(function: F) -> F:
    """How to reach the service."""
    for option in reversed(
        [
            click.option(
                "--endpoint",
                metavar="URL|local",
                help="The service's address; `local` runs the embedded server over CATALOG/.reconciler/local.db. "
                "Default: $MINDCRAFT_ENDPOINT, then the service's own address.",
            ),
            click.option(
                "--api-key-file",
                type=click.Path(path_type=Path, dir_okay=False),
                help="Read the API key from this file. Default: $MINDCRAFT_API_KEY.",
            ),
            click.option(
                "--contract",
                type=click.Path(path_type=Path, exists=True, dir_okay=False),
                help="A file that describes the API, in place of the built-in description.",
            ),
            click.option(
                "--parallelism",
                type=click.IntRange(1, 64),
                default=8,
                show_default=True,
                help="How many calls may be under way at once.",
            ),
            click.option(
                "--connect-timeout",
                type=click.FloatRange(0.01),
                default=10.0,
                show_default=True,
                help="Seconds.",
            ),
            click.option(
                "--read-timeout",
                type=click.FloatRange(0.01),
                default=60.0,
                show_default=True,
                help="Seconds that a call may take to answer.",
            ),
            click.option(
                "--retries",
                type=click.IntRange(0, 50),
                default=5,
                show_default=True,
                help="How often a call is tried again while the trouble may pass.",
            ),
        ]
    ):
        function = option(function)
    return function


def policy_options(function: F) -> F:
    """The catalog's policy, overruled for one run."""
    for option in reversed(
        [
            click.option(
                "--max-deletes",
                type=LimitType(),
                help="Refuse a plan with more deletes, as a count or as a percentage of the managed sessions. "
                "Default: the catalog's policy, else 10.",
            ),
            click.option(
                "--allow-empty", is_flag=True, help="Let a catalog with no sessions delete all it manages."
            ),
        ]
    ):
        function = option(function)
    return function


def no_color_option(function: F) -> F:
    """--no-color."""
    return click.option("--no-color", is_flag=True, help="No colours, also on a terminal. As does NO_COLOR.")(
        function
    )


def with_policy(catalog: Catalog, **flags: Any) -> Catalog:
    """The catalog under the policy that the flags ask for; a flag that is None leaves the catalog's."""
    given = {name: value for name, value in flags.items() if value is not None}
    if not given:
        return catalog
    policy: Policy = dataclasses.replace(catalog.policy, **given)
    return dataclasses.replace(catalog, policy=policy)
