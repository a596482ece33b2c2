"""The flags that several commands share, each defined once."""

from __future__ import annotations

import dataclasses
import gc
import math
import re
import shlex
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from reconciler.cli.keys import did_you_mean, live_keys
from reconciler.cli.sections import option_in
from reconciler.cli.suggestions import FOLDER
from reconciler.domain import Catalog, Limit, OnConflict, Snapshot, Written
from reconciler.errors import Problem, UsageError
from reconciler.text.paste import command

if TYPE_CHECKING:
    from reconciler.catalog.budget import Budget
    from reconciler.catalog.files import Root
    from reconciler.catalog.loaded import Loaded
    from reconciler.plan.types import Plan, Selection

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_connection = option_in("Connection and state")
_guard = option_in("Guards")


class Seconds(click.FloatRange):
    """A duration in seconds, at most a year: no clock can wait for infinity or NaN."""

    _LONGEST = 365 * 86400

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds) or seconds > self._LONGEST:
            self.fail(f"{value} is not a number of seconds up to a year ({self._LONGEST}).", param, ctx)
        return seconds


class OutPath(click.Path):
    """A file to write. `-` is not accepted: --format decides what goes to stdout."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if str(value) == "-":
            self.fail(
                "'-' is not a file. Use /dev/stdout for stdout, or ./- for a file of that name.", param, ctx
            )
        path = super().convert(value, param, ctx)
        assert isinstance(path, Path)
        return path


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


#: Where the context keeps the folder of --catalog, and whether it was typed rather than set as a variable.
_FOLDER = "reconciler.folder"


def _keep_folder(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    typed = ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE
    ctx.meta[_FOLDER] = value, typed


def catalog_flag(function: F, *, exists: bool = True) -> F:
    """--catalog, for a command that finds the folder with :func:`chosen_folder`."""
    return click.option(
        "--catalog",
        "catalog_flag",
        type=click.Path(path_type=Path, exists=exists, file_okay=False),
        is_eager=True,
        expose_value=False,
        callback=_keep_folder,
        help="The catalog's folder, in place of the argument CATALOG.",
    )(function)


def chosen_folder(given: Path | None) -> Path | None:
    """The catalog's folder: the argument if that is ``given``, else that of --catalog; None if there is neither.

    Raises:
        UsageError: both were typed, and they are not the same.
    """
    meta = click.get_current_context().meta
    flag, typed = meta[_FOLDER]
    meta[FOLDER] = given if given is not None else flag if typed else None
    if given is None:
        found: Path | None = flag
        return found
    if typed and given.resolve() != flag.resolve():
        raise UsageError(
            f"the catalog's folder is given twice: {given}, and --catalog={flag}", "leave out one of the two"
        )
    return given


def _resolve_folder(ctx: click.Context, param: click.Parameter, value: Path) -> Path:
    typed = ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE
    return chosen_folder(value if typed else None) or value


def catalog_argument(function: F) -> F:
    """CATALOG: a folder with a catalog.yaml; or the same as --catalog."""
    return click.argument(
        "catalog",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        default=".",
        required=False,
        callback=_resolve_folder,
    )(catalog_flag(function))


def new_catalog_argument(function: F) -> F:
    """CATALOG: a folder to write a catalog to, which need not exist; or the same as --catalog."""
    return click.argument(
        "folder",
        metavar="[CATALOG]",
        type=click.Path(path_type=Path, file_okay=False),
        default=".",
        required=False,
        callback=_resolve_folder,
    )(catalog_flag(function, exists=False))


def last_is_folder(words: tuple[str, ...], is_word: Callable[[str], object]) -> tuple[tuple[str, ...], Path]:
    """The words before a CATALOG at their end, and the catalog's folder. The last word is the folder if it is one that
    exists and can't be anything else.

    Raises:
        UsageError: the folder stands before the words.
    """
    if len(words) > 1 and not is_word(words[0]) and Path(words[0]).is_dir():
        in_order = shlex.join([*words[1:], words[0]])
        raise UsageError(f"the catalog's folder, {words[0]}, comes last", f"write {in_order}")
    if words and not is_word(words[-1]) and Path(words[-1]).is_dir():
        return words[:-1], chosen_folder(Path(words[-1])) or Path()
    return words, chosen_folder(None) or Path()


@dataclasses.dataclass(frozen=True, slots=True)
class CatalogFlags:
    """The flags of :func:`catalog_options`."""

    env: str | None
    var: tuple[tuple[str, str], ...]

    def load(self, folder: Path | Root, budget: Budget | None = None) -> Catalog:
        """The catalog, in the selected environment. Environments that one command looks at share a ``folder`` and a
        ``budget``.

        Raises:
            CatalogError: with all problems.
        """
        return self.load_with_origins(folder, budget).catalog

    def load_with_origins(self, folder: Path | Root, budget: Budget | None = None) -> Loaded:
        """The catalog, with the origin of each value.

        Raises:
            CatalogError: with all problems.
        """
        from reconciler.catalog.load import load

        return load(folder, self.env, dict(self.var), budget)


class _Variable(click.ParamType[tuple[str, str]]):
    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not equals or not name:
            self.fail(f"{value!r} is not NAME=VALUE.", param, ctx)
        return name, text


def variables_option(function: F) -> F:
    """--var."""
    return click.option(
        "--var",
        metavar="NAME=VALUE",
        type=_Variable(),
        multiple=True,
        help="Set a variable of the templates in prompts; it overrides the catalog's value. Repeatable.",
    )(function)


def environment_option(function: F) -> F:
    """--env."""
    return click.option("--env", metavar="NAME", help="The environment of the catalog.")(function)


def catalog_options(function: F) -> F:
    """Which variant of the catalog to read."""
    return environment_option(variables_option(function))


contract_option = _connection(
    "--contract",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A contract file that describes the API, in place of the built-in one.",
)


def connection_options(function: F) -> F:
    """How to reach the service."""
    for option in reversed(
        [
            click.option(
                "--endpoint",
                metavar="URL|local",
                help="The service's address. `local` runs the embedded server on CATALOG/.reconciler/local.db. "
                "Default: $MINDCRAFT_ENDPOINT, then the service's own address.",
            ),
            _connection(
                "--api-key-file",
                type=click.Path(path_type=Path, dir_okay=False),
                help="Read the API key from this file. Default: $MINDCRAFT_API_KEY.",
            ),
            contract_option,
            _connection(
                "--parallelism",
                type=click.IntRange(1, 64),
                default=8,
                show_default=True,
                help="How many requests may be in flight at once.",
            ),
            _connection(
                "--connect-timeout",
                type=Seconds(0.01),
                default=10.0,
                show_default=True,
                help="Seconds to wait for a connection.",
            ),
            _connection(
                "--read-timeout",
                type=Seconds(0.01),
                default=60.0,
                show_default=True,
                help="Seconds to wait for a response. A call that takes twice as long in all is given up.",
            ),
            _connection(
                "--retries",
                type=click.IntRange(0, 50),
                default=5,
                show_default=True,
                help="How often to retry a request after a transient error.",
            ),
        ]
    ):
        function = option(function)
    return function


def policy_options(function: F) -> F:
    """Flags that restrict a plan, and override the catalog's policy for one run."""
    for option in reversed(
        [
            click.option(
                "--only",
                metavar="KEY",
                multiple=True,
                help="Look only at the session with this key, or at all whose keys match: `*` stands for any "
                "characters, `?` for one. No other session is changed or deleted. Repeatable.",
            ),
            limit_options,
            _guard(
                "--allow-empty",
                is_flag=True,
                help="Allow an empty catalog to delete every session that it manages.",
            ),
            _guard(
                "--renew",
                is_flag=True,
                help="Send fields again that the service kept in another form, or not at all. It may keep them now.",
            ),
            _guard(
                "--allow-recreate",
                is_flag=True,
                help="Allow most of the catalog to be created although as many of its sessions are live under another "
                "catalog's or environment's name, and any session although it is live without its tag.",
            ),
            _guard(
                "--shared-account",
                is_flag=True,
                help="Allow an environment to be created in an account that another environment of the catalog uses. "
                "Default: the catalog's policy, else no.",
            ),
            _guard(
                "--allow-destroy",
                metavar="KEY",
                multiple=True,
                help="Allow this session to be deleted although lifecycle.prevent_destroy protects it. Repeatable.",
            ),
        ]
    ):
        function = option(function)
    return function


def limit_options(function: F) -> F:
    """The limits on a plan, in place of those of the catalog's policy."""
    for option in (canary_option, conflict_option, change_limits, _limit("--max-deletes", "deletes", "10")):
        function = option(function)
    return function


def change_limits(function: F) -> F:
    """--max-updates and --max-changes: the limits on a plan that deletes nothing."""
    function = _limit("--max-changes", "changes of any kind", "no limit")(function)
    return _limit("--max-updates", "updates", "no limit")(function)


conflict_option = _guard(
    "--on-conflict",
    type=click.Choice(["overwrite", "keep-live", "fail"]),
    help="What to do with a field that was changed both in git and outside it. "
    "Default: the catalog's policy, else overwrite.",
)


canary_option = _guard(
    "--canary",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Send the first N writes of each kind alone, and continue only if the list shows exactly their effect. "
    "Default: the catalog's policy, else 1 of each kind that the contract does not prove.",
)


def _limit(flag: str, what: str, default: str) -> Callable[[F], F]:
    return _guard(
        flag,
        type=LimitType(),
        help=f"Refuse a plan with more {what} than this, a count or a percentage of the managed sessions. "
        f"Default: the catalog's policy, else {default}.",
    )


def state_option(function: F) -> F:
    """--state-dir."""
    return _connection(
        "--state-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="The folder for the archive, the journal and the embedded server's data. "
        "Default: CATALOG/.reconciler, or ./.reconciler with a saved plan.",
    )(function)


archive_option = _connection(
    "--archive-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder for copies of what is changed or deleted. Default: archive in the state folder.",
)

approve_option = click.option("--auto-approve", is_flag=True, help="Do not ask for approval. For CI.")

exitcode_option = click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes."
)


@dataclasses.dataclass(frozen=True, slots=True)
class PolicyFlags:
    """The flags of :func:`policy_options`; a command that has only some of them leaves the rest at their defaults."""

    max_deletes: Limit | None = None
    max_updates: Limit | None = None
    max_changes: Limit | None = None
    on_conflict: OnConflict | None = None
    canary: int | None = None
    allow_empty: bool = False
    allow_recreate: bool = False
    shared_account: bool = False
    allow_destroy: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    renew: bool = False

    def plan(
        self, catalog: Catalog, snapshot: Snapshot, only: Selection | None = None, *, state: Path
    ) -> Plan:
        """The plan under the catalog's policy and the flags that override it. ``state`` is the folder of the journal.

        Raises:
            ReconcilerError: the journal exists and can't be read.
        """
        from reconciler.plan import make_plan

        given = {
            name: value
            for name in ("max_deletes", "max_updates", "max_changes", "on_conflict", "canary")
            if (value := getattr(self, name)) is not None
        }
        if given:
            catalog = dataclasses.replace(catalog, policy=dataclasses.replace(catalog.policy, **given))
        # Catalog and snapshot live until the program ends. Scanning them for garbage again and again during the
        # comparison would take longer than the comparison.
        gc.freeze()
        if self.only:
            only = _named(self.only, catalog, snapshot)
        plan = make_plan(
            catalog,
            snapshot,
            allow_empty=self.allow_empty,
            allow_recreate=self.allow_recreate,
            allow_destroy=self.allow_destroy,
            only=only,
            renew=self.renew,
            written=_written(state, catalog, snapshot.endpoint),
        )
        deleted = {action.key for action in plan.actions if action.kind == "delete"}
        for key in self.allow_destroy:
            if key not in deleted:
                hint = did_you_mean(key, deleted, "the flag has no effect here")
                click.echo(
                    f"--allow-destroy={key}: the plan deletes no session with this key; {hint}", err=True
                )
        return plan


def _named(patterns: tuple[str, ...], catalog: Catalog, snapshot: Snapshot) -> Selection:
    """The sessions that --only names: keys of the catalog, and of its live sessions. The former key of a session that
    is about to move stands for its new one.

    Raises:
        UsageError: a pattern matches no key.
    """
    from reconciler.plan.types import Selection

    live = {tag.identity for one in snapshot if (tag := one.own_tag)}
    moving = {identity.key: key for identity, key in catalog.moved.items() if identity in live}
    known = catalog.sessions.keys() | live_keys(snapshot, catalog.name, catalog.environment) | moving.keys()
    keys: set[str] = set()
    unknown = []
    for pattern in patterns:
        found = {key for key in known if fnmatchcase(key, pattern)}
        keys |= {key if key in catalog.sessions else moving.get(key, key) for key in found}
        if not found:
            shows = f"{command('list', environment=catalog.environment)} shows the keys that are live"
            hint = did_you_mean(pattern, known, shows)
            unknown.append(
                Problem(f"--only={pattern}: neither the catalog nor the live list has such a key", hint)
            )
    if unknown:
        raise UsageError(unknown)
    return Selection(None, frozenset(keys))


def _written(state: Path, catalog: Catalog, endpoint: str) -> Written:
    from reconciler.apply.journal import FILE, read_journal, written

    scope = {"catalog": catalog.name, "environment": catalog.environment, "endpoint": endpoint}
    return written(read_journal(state / FILE), scope)


def split(flags: Mapping[str, Any], kind: type[T]) -> T:
    """The flags of a command that belong to one group, as that group's value."""
    return kind(
        **{
            field.name: flags[field.name]
            for field in dataclasses.fields(kind)  # type: ignore[arg-type]
            if field.name in flags or field.default is dataclasses.MISSING
        }
    )
