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
    """Post a plan to the pull or merge request that this CI job runs for.

    PLAN is a file that `reconciler plan --out-file markdown=PLAN` wrote. It becomes one comment, which the plans of
    later runs replace. The token comes from GITHUB_TOKEN or GITLAB_TOKEN, everything else from the variables that
    GitHub and GitLab set for their jobs.

    If there is no request to comment on, or the token may not comment (as in a pull request from a fork), the plan
    goes to the job's summary and the exit code is 0.
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
        why = "This job does not run for a pull or merge request."
    except ForbiddenError as error:
        why = f"No comment was posted: this job may not comment ({error})."
    except PassingError as error:
        why = f"No comment was posted: the forge did not accept it ({error})."
    except ReconcilerError:
        write_summary(text)
        raise
    where = "is in the job's summary" if write_summary(text) else "is in the job's artifacts"
    click.echo(terminal(f"{why} The plan {where}."), err=True)
