"""Output: the formats, stdout, and the files that are written beside it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from reconciler.cli.options import OutPath, split
from reconciler.cli.sections import option_in
from reconciler.cli.suggestions import completed_document
from reconciler.errors import Problem, ReconcilerError, UsageError
from reconciler.render import FORMS, Detail, RenderOptions

F = TypeVar("F", bound=Callable[..., Any])

_output = option_in("Output")
_markdown = option_in("Markdown")
_page = option_in("HTML")


@dataclass(frozen=True, slots=True)
class Output:
    """The flags of :func:`output_options`."""

    form: str
    out_file: tuple[tuple[str, Path], ...]
    detail: Detail
    max_bytes: int
    whole: str
    commit: str | None
    job_url: str | None
    no_color: bool
    wide_signs: bool


class _FormPath(click.ParamType[tuple[str, Path]]):
    name = "form=path"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path]:
        if isinstance(value, tuple):
            return value
        form, equals, path = str(value).partition("=")
        if form not in FORMS or not equals or not path:
            self.fail(f"{value!r} is not FORM=PATH, with FORM one of {', '.join(FORMS)}.", param, ctx)
        return form, OutPath().convert(path, param, ctx)


def _remember(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Tell the code that reports errors which format was asked for."""
    if isinstance(ctx.obj, dict):
        ctx.obj["form"] = value
    return value


def format_option(*forms: str) -> Callable[[F], F]:
    """--format. With JSON, errors are JSON, too."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(forms or ("text", "json")),
        default="text",
        show_default=True,
        callback=_remember,
        is_eager=True,
        help="The output format. With json, errors are JSON, too.",
    )


def no_color_option(function: F) -> F:
    """--no-color."""
    return _output(
        "--no-color", is_flag=True, help="Print no colours, not even on a terminal. NO_COLOR does the same."
    )(function)


def detail_options(function: F) -> F:
    """--concise and --full."""
    for option in (
        _output("--full", "detail", flag_value="full", help="Show everything in full."),
        _output("--normal", "detail", flag_value="normal", default="normal", hidden=True),
        _output("--concise", "detail", flag_value="concise", help="Show one line per session."),
    ):
        function = option(function)
    return function


def output_options(function: F) -> F:
    """The flags for showing a plan and for writing it to files."""
    for option in reversed(
        [
            format_option(*FORMS),
            _output(
                "--out-file",
                metavar="FORM=PATH",
                type=_FormPath(),
                multiple=True,
                help="Also write the plan to a file in this format, as in markdown=plan.md. Repeatable.",
            ),
            detail_options,
            _markdown(
                "--max-bytes",
                type=click.IntRange(4_000),
                default=65_000,
                show_default=True,
                help="The most bytes of UTF-8 that Markdown may take; details are left out to fit.",
            ),
            _markdown(
                "--whole",
                metavar="TEXT",
                default="",
                help="Where the whole plan can be read. Markdown that leaves something out says so.",
            ),
            _page(
                "--commit",
                metavar="HASH",
                help="The commit that the page names. Default: the CI job's commit, else the folder's.",
            ),
            _page(
                "--job-url",
                metavar="URL",
                help="The job that the page links to. Default: this CI job.",
            ),
            no_color_option,
            _output(
                "--wide-signs",
                is_flag=True,
                help="Count signs such as … and → as two cells wide, as many Chinese, Japanese and Korean terminals "
                "show them.",
            ),
        ]
    ):
        function = option(function)
    return function


def read_output(flags: Mapping[str, Any]) -> Output:
    """The flags of :func:`output_options`, checked against each other.

    Raises:
        UsageError: they do not fit together.
    """
    output = split(flags, Output)
    paths = [path for _, path in output.out_file]
    if len(set(paths)) < len(paths):
        raise UsageError("--out-file names one file twice")
    source = click.get_current_context().get_parameter_source
    forms = (output.form, *(form for form, _ in output.out_file))
    for form, called, names in (
        ("markdown", "Markdown", ("max_bytes", "whole")),
        ("html", "HTML", ("commit", "job_url")),
    ):
        for name in names:
            # A variable is set for many commands, so it may have no effect here.
            if form not in forms and source(name) is ParameterSource.COMMANDLINE:
                raise UsageError(
                    f"--{name.replace('_', '-')} is for {called}, and this command writes none",
                    f"add --format={form}, or --out-file={form}=FILE",
                )
    return output


def render_options(*, no_color: bool, output: Output | None = None) -> RenderOptions:
    """How to render for stdout (see https://no-color.org for NO_COLOR)."""
    terminal = sys.stdout.isatty()
    color = (_log_has_color() or (terminal and os.environ.get("TERM") != "dumb")) and not (
        no_color or os.environ.get("NO_COLOR")
    )
    width = 100
    if terminal:
        from shutil import get_terminal_size

        width = get_terminal_size((width, 24)).columns
    if output is None:
        return RenderOptions(color=color, width=width)
    return RenderOptions(
        color=color,
        width=width,
        wide_signs=output.wide_signs,
        detail=output.detail,
        max_bytes=output.max_bytes,
        whole=output.whole,
    )


def _log_has_color() -> bool:
    """Whether stdout is the log of a CI system that shows colours: GitHub, GitLab, Forgejo and Gitea."""
    variables = ("GITHUB_ACTIONS", "GITLAB_CI", "FORGEJO_ACTIONS", "GITEA_ACTIONS")
    return any(os.environ.get(name) == "true" for name in variables)


def show(document: Mapping[str, Any], form: str, options: RenderOptions) -> None:
    """Print a plan to stdout in one of its formats."""
    from reconciler.render import render_plan

    click.echo(
        render_plan(completed_document(document), form, options=options), nl=False, color=options.color
    )


def put_out(document: Mapping[str, Any], output: Output, root: Path | None = None) -> None:
    """Print a plan, and write it to the files of --out-file.

    ``root`` is the folder in git that the plan was made from just now. Without it the plan is a saved one, which says
    itself when and where it was made.

    Raises:
        ReconcilerError: a file can't be written.
    """
    from dataclasses import replace

    from reconciler.disk import write_out
    from reconciler.render import render_plan

    document = completed_document(document)
    options = render_options(no_color=output.no_color, output=output)
    if "html" in (output.form, *(form for form, _ in output.out_file)):
        options = _with_origin(options, output, root)
    plain = replace(options, color=False, width=100)
    for form, path in output.out_file:
        try:
            write_out(path, render_plan(document, form, options=plain))
        except OSError as error:
            raise ReconcilerError(f"the plan can't be written to {path}: {error.strerror}") from None
    show(document, output.form, options)


def _with_origin(options: RenderOptions, output: Output, root: Path | None) -> RenderOptions:
    """The options with what the page says of where it comes from."""
    from dataclasses import replace
    from datetime import UTC, datetime

    from reconciler.apply.who import who
    from reconciler.text.timestamps import write_timestamp

    found = {} if root is None else who(root)
    commit = str(found.get("commit", ""))
    if commit and found.get("dirty"):
        commit += "-dirty"
    return replace(
        options,
        commit=commit if output.commit is None else output.commit,
        job=str(found.get("job", "")) if output.job_url is None else output.job_url,
        time="" if root is None else write_timestamp(datetime.now(UTC)),
    )


def print_errors(problems: Iterable[Problem], exit_code: int) -> None:
    """Print errors as JSON on stdout, for programs."""
    errors = [
        {"message": p.message, "hint": p.hint, "file": p.file, "line": p.line, "column": p.column}
        for p in problems
    ]
    document = {"format_version": "1.0", "exit_code": exit_code, "errors": errors}
    click.echo(json.dumps(document, indent=2))
