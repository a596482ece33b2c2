"""``drift --accept``: which live values are asked for, where they go, and what is said about it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from reconciler.cli.approve import approve
from reconciler.cli.keys import did_you_mean
from reconciler.cli.options import CatalogFlags
from reconciler.cli.problems import print_problems
from reconciler.domain import Catalog
from reconciler.errors import ExitCode, Problem, Refused, UsageError
from reconciler.plan.types import Action, Plan
from reconciler.text.paste import command as command_line
from reconciler.values import MISSING

if TYPE_CHECKING:
    from reconciler.catalog.accept import Acceptance, Line
    from reconciler.catalog.accept_places import Accepted, Into

#: What ``--accept`` without a value stands for.
EVERYTHING: Final = "*"

_SHOWN: Final = 60  # characters of a value


@dataclass(frozen=True, slots=True)
class Asked:
    """The flags of ``--accept``. ``keys`` are keys, fields of keys, or patterns of keys; ``form`` is text or json."""

    keys: tuple[str, ...]
    into: Into | None
    auto_approve: bool
    form: str

    @property
    def everything(self) -> bool:
        """Whether all drift is to be accepted, as far as it can be."""
        return EVERYTHING in self.keys


def accept_drift(asked: Asked, folder: Path, which: CatalogFlags, catalog: Catalog, plan: Plan) -> int:
    """Write live values into the catalog. ``plan`` holds the drift. Returns the exit code.

    Raises:
        Refused: a value that was asked for by name can't be accepted, or the question was not answered with yes.
        UsageError: there is no such session, or --into makes no sense here.
    """
    from reconciler.catalog.accept import prepare

    into = _into(asked, catalog)
    values = _values(asked, catalog, plan)
    acceptance = prepare(folder, values, environment=which.env, variables=dict(which.var), into=into)
    if asked.everything:
        gone = [action for action in plan.actions if action.outside is not None]
        acceptance.impossible += [_gone(action, which.env) for action in gone]
    elif acceptance.impossible:
        raise Refused(acceptance.impossible)
    if asked.form == "text":
        for line in _table(acceptance.lines):
            click.echo(line)
    if asked.everything:
        print_problems(acceptance.impossible)
        if acceptance.lines and not asked.auto_approve:
            approve(f"Write {_values_in_files(acceptance)}?")
    others = acceptance.write()
    _say(acceptance, others, asked.form)
    if not acceptance.impossible:
        return ExitCode.OK
    return ExitCode.PARTIAL if acceptance.lines else ExitCode.REFUSED


def _into(asked: Asked, catalog: Catalog) -> Into:
    """Where values go, asked where it matters and there is somebody to ask."""
    if not catalog.environments:
        if asked.into == "environment":
            raise UsageError("--into=environment: this catalog has no environments", "leave the flag out")
        return "file"
    if asked.into is not None:
        return asked.into
    if asked.auto_approve or not sys.stdin.isatty():
        return "environment"
    question = (
        f"Write into the patch of the environment {catalog.environment}, or into the file of the session, for all "
        "environments? environment/file: "
    )
    click.echo(question, nl=False, err=True)
    answer = sys.stdin.readline().strip()
    if answer == "environment":
        return "environment"
    if answer == "file":
        return "file"
    raise Refused("neither environment nor file: nothing was written")


def _values(asked: Asked, catalog: Catalog, plan: Plan) -> list[Accepted]:
    """The live values that are asked for, each once."""
    from reconciler.catalog.accept_places import Accepted

    accepted: dict[tuple[str, str], Accepted] = {}
    for name in asked.keys:
        found = [
            Accepted(action.key, change.path, change.before)
            for action in plan.actions
            for change in action.fields
            if name == f"{action.key}.{change.path}" or fnmatchcase(action.key, name)
        ]
        if not found and name != EVERYTHING:
            raise _nothing(name, catalog, plan)
        accepted |= {(one.key, one.path): one for one in found}
    return list(accepted.values())


def _nothing(name: str, catalog: Catalog, plan: Plan) -> Refused | UsageError:
    """The error for a name that stands for no drift that can be accepted."""
    gone = [action for action in plan.actions if fnmatchcase(action.key, name) and action.outside is not None]
    if gone:
        return Refused([_gone(action, catalog.environment) for action in gone])
    key, _, path = name.partition(".")
    if not any(name == one or name.startswith(f"{one}.") for one in catalog.sessions):
        otherwise = "give KEY or KEY.FIELD; to accept everything, write --accept after the folder"
        hint = did_you_mean(key, catalog.sessions, otherwise)
        return UsageError(f"the catalog has no session for {name!r}", hint)
    what = f"{name}, or there is no such session or field" if path and name not in catalog.sessions else name
    drift = command_line("drift", environment=catalog.environment)
    return Refused(f"nothing was changed outside git in {what}", f"{drift} shows what was changed")


def _gone(action: Action, environment: str | None) -> Problem:
    """That what happened to a session as a whole can't be accepted, and what to do instead."""
    apply, plan, adopt = (
        command_line(*words, environment=environment)
        for words in (("apply",), ("plan",), ("adopt", f"{action.key}=ID"))
    )
    hint = {
        "deleted": f"to accept it, remove {action.key} from the catalog; {apply} creates it again",
        "double": f"{plan} shows which of the two stays, and why",
    }.get(
        str(action.outside),
        f"to accept it, write `forgotten: [{action.key}]` and remove {action.key} from the catalog; to take the "
        f"session over again, run {adopt}",
    )
    reason = action.reason
    if action.outside == "double":
        reason = f"#{action.session_id} is live beside #{action.keeper}, with the same identity"
    return Problem(f"{action.key}: there is no live value to accept: {reason}", hint)


# --- what is said --------------------------------------------------------------------------------------------


def _table(lines: list[Line]) -> list[str]:
    """One row for each value: the field, what it was and is, and where it stands."""
    from reconciler.text.escape import terminal
    from reconciler.text.width import cells

    rows = [(str(line.accepted), _change(line), _place(line)) for line in lines]
    width = max((cells(terminal(field)) for field, _, _ in rows), default=0)
    return [
        f"{terminal(field)}{' ' * (width - cells(terminal(field)))}   {terminal(change)}   {terminal(place)}"
        for field, change, place in rows
    ]


def _change(line: Line) -> str:
    from reconciler.render.in_short import size_of
    from reconciler.render.prompt_diff import diff

    before, after = line.before, line.accepted.written
    if line.accepted.path == "prompt":
        difference = diff(str(before), str(after))
        return size_of(difference, [difference.tokens])
    return f"{_shown(before)} → {_shown(after)}"


def _shown(value: Any) -> str:
    from reconciler.text.escape import quoted

    if value is MISSING:
        return "(none)"
    text = quoted(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _place(line: Line) -> str:
    return f"{line.file}:{line.line}" + (f" ({line.place})" if line.place else "")


def _values_in_files(acceptance: Acceptance) -> str:
    from reconciler.render.view import count

    return f"{count(len(acceptance.lines), 'value')} into {count(len(acceptance.files), 'file')}"


def _say(acceptance: Acceptance, others: list[str], form: str) -> None:
    if form == "json":
        click.echo(json.dumps(_document(acceptance, others), indent=2))
        return
    if acceptance.lines:
        click.echo(f"Wrote {_values_in_files(acceptance)}.")
    elif not acceptance.impossible:
        click.echo("Nothing to accept: no field was changed outside git.")
    if others:
        click.echo(f"This changes other environments, too: {', '.join(others)}.")


def _document(acceptance: Acceptance, others: list[str]) -> dict[str, Any]:
    return {
        "format_version": "1.0",
        "accepted": [
            {
                "key": line.accepted.key,
                "path": line.accepted.path,
                **({} if line.before is MISSING else {"before": line.before}),
                **({} if line.accepted.value is MISSING else {"after": line.accepted.written}),
                "file": line.file,
                "line": line.line,
            }
            for line in acceptance.lines
        ],
        "not_accepted": [{"message": one.message, "hint": one.hint} for one in acceptance.impossible],
        "other_environments": others,
    }
