"""``reconciler comment``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("plan", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--author",
    default="github-actions[bot]",
    show_default=True,
    help="On GitHub, the account that GITHUB_TOKEN belongs to. Only its comments are replaced.",
)
def command(plan: Path, author: str) -> None:
    """Show a plan on the pull or merge request that this CI job runs for.

    PLAN is a file that `reconciler plan --out-file markdown=PLAN` wrote. It becomes one comment, and the plans of
    later runs replace it. The token comes from GITHUB_TOKEN or GITLAB_TOKEN, the rest from what GitHub and GitLab
    tell their jobs.

    Where there is no request to comment on, or the token may not comment, as in a fork's pull request, the plan
    goes to the job's summary, and the exit code is 0.
    """
    from reconciler.ci.comment import put_comment, read_marker, write_summary
    from reconciler.ci.forge import ForbiddenError, PassingError, this_request
    from reconciler.errors import ReconcilerError
    from reconciler.text.escape import terminal

    try:
        text = plan.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReconcilerError(f"the plan {plan} can't be read: {error}") from None
    read_marker(text)
    try:
        forge = this_request(author=author)
        if forge is not None:
            put = put_comment(forge, text)
            click.echo(terminal(f"Comment {put.done}: {put.address}"))
            if put.shortened:
                write_summary(text)
            return
        why = "This job runs for no pull or merge request."
    except ForbiddenError as error:
        why = f"No comment, since it is not allowed here ({error})."
    except PassingError as error:
        why = f"No comment, since the forge could not take it ({error})."
    except ReconcilerError:
        write_summary(text)
        raise
    where = "is in the job's summary" if write_summary(text) else "is in the job's artifacts"
    click.echo(terminal(f"{why} The plan {where}."), err=True)
