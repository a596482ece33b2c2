"""``reconciler comment``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("plan", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option(
    "--author",
    default="",
    metavar="ACCOUNT",
    help="On GitHub, Forgejo and Gitea, the account that the token belongs to. Only its comments are replaced. "
    "Default: the account of a job's own token.",
)
@click.option(
    "--key",
    default="",
    metavar="TEXT",
    help="Tells the plans of one request apart: each key has its own comment. Default: catalog and environment.",
)
@click.option(
    "--not-planned",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="In place of PLAN: say above the plan in the comment of this --key that this commit could not be planned. "
    "FILE is what the command printed.",
)
@click.option("--only-if-changes", is_flag=True, help="Post no new comment for a plan without changes.")
@click.option(
    "--no-comment",
    is_flag=True,
    help="Post nothing: put the plan, or why there is none, into the job's summary alone.",
)
def command(
    plan: Path | None,
    author: str,
    key: str,
    not_planned: Path | None,
    only_if_changes: bool,
    no_comment: bool,
) -> None:
    """Post a plan to the pull or merge request that this CI job runs for.

    PLAN is a file that `reconciler plan --out-file=markdown=PLAN` wrote. It becomes one comment, which the plans of
    later runs replace. The token comes from GITHUB_TOKEN or GITLAB_TOKEN, everything else from the variables that
    GitHub, GitLab, Forgejo and Gitea set for their jobs.

    If there is no request to comment on, or the token may not comment (as in a pull request from a fork), the plan
    goes to the job's summary and the exit code is 0. A job for an older commit does not replace the plan of a newer
    one.
    """
    from reconciler.ci.api import NotPostedError
    from reconciler.ci.comment import mark_not_planned, put_comment
    from reconciler.ci.forge import job_commit, this_request, without_comments
    from reconciler.ci.summary import no_plan, write_summary
    from reconciler.errors import ReconcilerError
    from reconciler.text.escape import markdown_text, terminal

    text, why_not = _input(plan, not_planned, key or no_comment)
    shown = text or no_plan(why_not, job_commit())
    why, in_summary = "", ""
    try:
        forge = None if no_comment else this_request(author=author)
        if forge is not None:
            if text is None:
                put = mark_not_planned(forge, why_not, key=key)
            else:
                put = put_comment(forge, text, key=key, only_if_changes=only_if_changes)
            click.echo(terminal(_done(put.done, put.address)))
            if put.note:
                click.echo(terminal(put.note), err=True)
            if text is None or put.shortened or put.done in ("kept", "not needed"):
                write_summary(shown)
            return
        if not no_comment:
            system = without_comments()
            why = f"No comment was posted: there are none on {system}." if system else _NO_REQUEST
    except NotPostedError as error:
        why = f"No comment was posted ({error})" + (f": {error.advice}." if error.advice else ".")
        why += f" {error.earlier}" if error.earlier else ""
        in_summary = markdown_text(why)
    except ReconcilerError:
        write_summary(shown)
        raise
    where = f"The plan is in {plan}." if plan else ""
    if write_summary(shown, in_summary):
        where = "The plan is in the job's summary." if plan else ""
    if why or where:
        click.echo(terminal(f"{why} {where}".strip()), err=True)


_NO_REQUEST = "This job does not run for a pull or merge request."


def _input(plan: Path | None, not_planned: Path | None, has_key: str | bool) -> tuple[str | None, str]:
    """The plan, or nothing and why there is none."""
    from reconciler.ci.comment import read_marker
    from reconciler.disk import MAX_FILE, read_named
    from reconciler.errors import ReconcilerError, UsageError

    if (plan is None) == (not_planned is None):
        raise UsageError("give a PLAN, or --not-planned=FILE where there is none")
    try:
        if plan is not None:
            text = read_named(plan, MAX_FILE).decode()
            read_marker(text)
            return text, ""
    except (OSError, UnicodeDecodeError) as error:
        raise ReconcilerError(f"the plan {plan} can't be read: {error}") from None
    if not has_key:
        raise UsageError("--not-planned needs a --key: it says which comment it is about")
    assert not_planned is not None
    try:
        return None, read_named(not_planned, MAX_FILE).decode(errors="replace")
    except OSError:  # such as that of a job that was cancelled before the command began
        return None, ""


def _done(done: str, address: str) -> str:
    return {
        "kept": f"Comment kept: {address} shows a newer commit.",
        "not needed": "No comment is needed.",
    }.get(done, f"Comment {done}: {address}")
