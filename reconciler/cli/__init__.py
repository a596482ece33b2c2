"""The command line. Commands are imported when they are called, so that ``reconciler --version`` is quick."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from copy import copy
from importlib import import_module
from typing import Any, NoReturn

import click

from reconciler import __version__
from reconciler.cli.streams import forgiving_streams
from reconciler.cli.suggestions import RUNNING, RunningContext, completed_problems
from reconciler.errors import ExitCode, Problem, ReconcilerError

#: The commands by what they are for, each with its line in the list. A command's module is named after it and holds
#: it as ``command``.
GROUPS = {
    "Write a catalog": {
        "init": "Create a catalog that validates and plans.",
        "new": "Add a session to a manifest.",
        "validate": "Check a catalog without contacting the service.",
        "lint": "Report what is valid and probably a mistake.",
        "fmt": "Format manifests.",
        "explain": "Show where each field of a session comes from.",
        "graph": "Show which sessions use which fragments and templates.",
        "diff-env": "Compare two environments of a catalog.",
        "schema": "Print the JSON Schema of a file format.",
    },
    "Plan and apply": {
        "plan": "Show what an apply would change.",
        "apply": "Make the live sessions match the catalog.",
        "show": "Show a saved plan.",
        "list": "List the live sessions, and who manages each.",
        "drift": "Show what was changed outside git.",
        "test": "Ask the personas, and check their answers.",
        "snapshot": "Save the live list to a file to plan against.",
        "comment": "Post a plan to the pull request that a CI job runs for.",
        "watch": "Look at catalogs again and again, and repair drift if asked to.",
        "approve": "Approve a plan that a watcher shows.",
        "operator": "Follow the PersonaCatalog resources of a Kubernetes cluster.",
    },
    "Ownership": {
        "export": "Write live sessions as a catalog.",
        "adopt": "Start managing live sessions, with their messages.",
        "forget": "Stop managing sessions without deleting them.",
        "mv": "Change a live session's key, catalog or environment.",
    },
    "Recover": {
        "archive": "List and restore what was deleted or overwritten.",
        "history": "Show what was applied from this machine.",
        "unlock": "Break the lock of a dead run.",
    },
    "Service": {
        "doctor": "Find out how a real account behaves, and write it down.",
        "models": "List the models that the account offers.",
        "server": "Run the embedded server.",
    },
    "Set up": {
        "completion": "Print a shell completion script.",
    },
}

EXIT_CODES = {
    0: "Done, or nothing to do.",
    1: "Error.",
    2: "There are changes (drift, and with --detailed-exitcode).",
    3: "Refused: a guard, a stale plan, or no approval.",
    4: "Done in part; the output says what was not done.",
    5: "Some behaviour test fails.",
    64: "Usage error.",
    130: "Interrupted.",
}

VARIABLES = (
    "Every flag can also be set as RECONCILER_<FLAG>, in capitals and with _ for -. If a flag means something "
    "else in a command, its variable has another name there, which the command's --help shows. A repeatable flag takes "
    "one value a line."
)

COMMANDS = tuple(name for group in GROUPS.values() for name in group)


def _name_variables(command: click.Command) -> None:
    """Let every flag also be set as RECONCILER_<FLAG>, unless it names another variable."""
    command.context_class = RunningContext
    for option in command.params:
        if isinstance(option, click.Option) and option.envvar is None:
            flag = max(option.opts, key=len)
            option.envvar = "RECONCILER_" + flag.lstrip("-").replace("-", "_").upper()
            if option.multiple:  # click would split at spaces, and paths at colons
                option.type = copy(option.type)
                option.type.split_envvar_value = _lines  # type: ignore[method-assign, assignment]
    for inner in getattr(command, "commands", {}).values():
        _name_variables(inner)


def _lines(text: str) -> list[str]:
    """The values of a repeatable flag in its variable, one a line. A block in YAML ends with an empty line."""
    return [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]


class _Commands(click.Group):
    """A group that imports a command only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = f"reconciler.cli.commands.{cmd_name.replace('-', '_')}"
        command: click.Command = import_module(module).command
        _name_variables(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            from reconciler.cli.habits import instead

            ctx.fail(f"there is no command {name!r}. {instead(name, COMMANDS)}".rstrip())
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))  # so that the columns of all groups line up
        for title, group in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in group.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), text) for code, text in EXIT_CODES.items()])
        with formatter.section("Variables"):
            formatter.write_text(VARIABLES)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="reconciler", message="%(prog)s %(version)s")
def cli() -> None:
    """Infrastructure-as-code for AI personas.

    A catalog in git declares which sessions should be live. plan shows what differs, and apply changes it.
    """


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    sys.exit(run(argv))


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    with forgiving_streams():
        code = int(ExitCode.OK)
        try:
            code = _outcome(argv)
            sys.stdout.flush()
        except OSError as error:
            if error.filename is not None:
                raise  # about a file: the code that reads it should have caught this
            sys.stdout = None  # otherwise the interpreter complains when it flushes
            click.echo(f"the output can't be written: {error.strerror}", err=True)
            return code or int(ExitCode.ERROR)
        return code


def _outcome(argv: Sequence[str] | None) -> int:
    """Run the command line, report errors, and return the exit code."""
    asked: dict[str, Any] = {}  # the output format, and the context of the command, as far as it was read
    try:
        outcome = cli.main(args=argv, prog_name="reconciler", standalone_mode=False, obj=asked)
        return int(outcome or ExitCode.OK)
    except click.exceptions.Exit as error:
        return int(error.exit_code)
    except ReconcilerError as error:
        from reconciler.cli.problems import print_problems

        problems = completed_problems(error.problems, asked.get(RUNNING))
        print_problems(problems)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        problems = [Problem(error.format_message())]
        code = ExitCode.USAGE if isinstance(error, click.UsageError) else ExitCode.ERROR
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        problems, code = [Problem("interrupted")], ExitCode.INTERRUPTED
    if asked.get("form") == "json":
        from reconciler.cli.output import print_errors

        print_errors(problems, code)
    return int(code)
