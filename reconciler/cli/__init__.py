"""The command line. Commands are imported when they are called, so that ``reconciler --version`` is quick."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from copy import copy
from importlib import import_module
from typing import NoReturn

import click

from reconciler import __version__
from reconciler.errors import ExitCode, Problem, ReconcilerError

#: Each command's module (with the attribute ``command`` in it) and its line in the list of commands.
COMMANDS = {
    "init": ("reconciler.cli.init", "Make a catalog that validates and plans."),
    "new": ("reconciler.cli.new", "Add a session to a manifest."),
    "validate": ("reconciler.cli.validate", "Check a catalog without speaking to anybody."),
    "lint": ("reconciler.cli.lint", "Look for what is allowed, and most likely not meant."),
    "fmt": ("reconciler.cli.fmt", "Write manifests in one way."),
    "plan": ("reconciler.cli.plan", "Show what an apply would change."),
    "apply": ("reconciler.cli.apply", "Make the live sessions what the catalog says."),
    "show": ("reconciler.cli.show", "Show a saved plan."),
    "drift": ("reconciler.cli.drift", "Show what was changed outside git."),
    "explain": ("reconciler.cli.explain", "Show where each field of a session comes from."),
    "graph": ("reconciler.cli.graph", "Show which fragments and templates reach which sessions."),
    "diff-env": ("reconciler.cli.diff_env", "Compare what two environments would be."),
    "export": ("reconciler.cli.export", "Write live sessions as a catalog."),
    "adopt": ("reconciler.cli.adopt", "Take live sessions over into the catalog."),
    "forget": ("reconciler.cli.forget", "Let sessions go without deleting them."),
    "mv": ("reconciler.cli.mv", "Give a live session another key, catalog or environment."),
    "archive": ("reconciler.cli.archive", "What was deleted or overwritten, and how to get it back."),
    "history": ("reconciler.cli.history", "Show what was applied from this machine."),
    "unlock": ("reconciler.cli.unlock", "Break the lock of a run that is dead."),
    "snapshot": ("reconciler.cli.snapshot", "Write the live list to a file, to plan against."),
    "models": ("reconciler.cli.models", "List the models that the account offers."),
    "comment": ("reconciler.cli.comment", "Show a plan on the pull request that a CI job runs for."),
    "doctor": ("reconciler.cli.doctor", "Find out how a real account behaves, and write it down."),
    "schema": ("reconciler.cli.schema", "Print a JSON Schema of a file format."),
    "server": ("reconciler.cli.server", "Run the embedded server."),
    "completion": ("reconciler.cli.completion", "Print the set-up of shell completion."),
}


def _name_variables(command: click.Command) -> None:
    """Every flag also as RECONCILER_<FLAG>, whichever command it belongs to and whatever its function calls it."""
    for option in command.params:
        if isinstance(option, click.Option) and option.envvar is None:
            flag = max(option.opts, key=len)
            option.envvar = "RECONCILER_" + flag.lstrip("-").replace("-", "_").upper()
            if option.multiple:  # click would split at every space, or at colons where it is a path
                option.type = copy(option.type)
                option.type.split_envvar_value = _lines  # type: ignore[method-assign, assignment]
    for inner in getattr(command, "commands", {}).values():
        _name_variables(inner)


def _lines(text: str) -> list[str]:
    """The values of a repeatable flag in its variable, one a line. YAML's blocks end with an empty one."""
    return [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]


class _Commands(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        _name_variables(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            from reconciler.text.nearest import nearest

            near = nearest(name, COMMANDS)
            ctx.fail(f"there is no command {name!r}." + (f" Did you mean {near!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done or nothing to do, 1 error, 2 changes (with --detailed-exitcode), 3 refused by a "
    "guard, 4 applied in part, 64 wrong usage, 130 interrupted. Every flag can also be set as RECONCILER_<FLAG>, "
    "with one value a line where it is repeatable.",
)
@click.version_option(__version__, prog_name="reconciler", message="%(prog)s %(version)s")
def cli() -> None:
    """Infrastructure-as-code for AI personas.

    A catalog in git says which sessions are to be live; plan shows the difference, apply makes it so.
    """


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    sys.exit(run(argv))


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    from reconciler.cli.streams import forgiving_streams

    with forgiving_streams():
        code = int(ExitCode.OK)
        try:
            code = _outcome(argv)
            sys.stdout.flush()
        except OSError as error:
            if error.filename is not None:
                raise  # a file of somebody's, which its reader should have said something about
            sys.stdout = None  # lest the interpreter complain when it flushes
            click.echo(f"the output can't be written: {error.strerror}", err=True)
            return code or int(ExitCode.ERROR)
        return code


def _outcome(argv: Sequence[str] | None) -> int:
    """Run the command line, say what went wrong, and give the exit code."""
    asked: dict[str, str] = {}  # the form of output, as far as the flags were read
    try:
        outcome = cli.main(args=argv, prog_name="reconciler", standalone_mode=False, obj=asked)
        return int(outcome or ExitCode.OK)
    except click.exceptions.Exit as error:
        return int(error.exit_code)
    except ReconcilerError as error:
        from reconciler.cli.problems import print_problems

        print_problems(error.problems)
        problems, code = error.problems, error.exit_code
    except click.ClickException as error:
        error.show()
        problems = (Problem(error.format_message()),)
        code = ExitCode.USAGE if isinstance(error, click.UsageError) else ExitCode.ERROR
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        problems, code = (Problem("interrupted"),), ExitCode.INTERRUPTED
    if asked.get("form") == "json":
        from reconciler.cli.output import print_errors

        print_errors(problems, code)
    return int(code)
