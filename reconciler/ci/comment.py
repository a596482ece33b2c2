"""Put a plan where its reviewers look: one comment on the pull or merge request, replaced by each later plan.

The earlier comment is found by the marker in the plan's first line, and only among the comments that the same account
wrote: anybody can write a marker, and a plan in a stranger's comment could be edited by that stranger.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from reconciler.ci.forge import ForbiddenError, Forge, GoneError, PassingError, TooLargeError
from reconciler.errors import ReconcilerError

#: A plan's first line: catalog and environment in a form that is no markup.
MARKER = re.compile(r"<!-- reconciler[ -]plan [^<>\n]* -->")
#: How often the whole of looking, then writing, is tried.
TRIES = 4
#: A forge that asks for a longer pause than this (seconds) is not waited for.
LONGEST_PAUSE = 60.0
#: Characters of the text that stands in for one that is too large.
SHORT = 4_000
#: Bytes that go into a job's summary. GitHub drops a summary of more than 1 MiB.
SUMMARY = 1_000_000


def read_marker(plan: str) -> str:
    """The plan's first line.

    Raises:
        ReconcilerError: it is no marker.
    """
    line = plan.split("\n", 1)[0]
    if not MARKER.fullmatch(line):
        raise ReconcilerError(
            "this is no plan in Markdown: its first line is no marker",
            "make one with `reconciler plan --out-file markdown=plan.md`",
        )
    return line


class Put(NamedTuple):
    """A comment that was ``created`` or ``updated``, and whether it is only the plan's beginning."""

    done: str
    address: str
    shortened: bool


def put_comment(forge: Forge, plan: str, *, sleep: Callable[[float], object] = time.sleep) -> Put:
    """Create or replace the plan's comment.

    Raises:
        ForbiddenError, PassingError: there is no comment, and that is not the plan's fault.
        ReconcilerError: there is none, and somebody has to do something about it.
    """
    marker = read_marker(plan)
    body = plan.rstrip("\n") + _footer(forge)
    short = excerpt(plan) + _footer(forge)
    if _length(body) > forge.limit:
        body = short
    for left in reversed(range(TRIES)):
        try:
            try:
                done, address = _put(forge, marker, body)
            except TooLargeError:
                if body == short:
                    raise
                body = short
                done, address = _put(forge, marker, body)
            return Put(done, address, body == short)
        except TooLargeError as error:
            raise ReconcilerError(f"the forge does not take the comment: {error}") from None
        except GoneError as error:
            if not left:
                raise PassingError(str(error)) from None
        except PassingError as error:
            wait = error.wait if error.wait is not None else 2.0 ** (TRIES - 1 - left)
            if not left or wait > LONGEST_PAUSE:
                raise
            sleep(wait)
    raise AssertionError("the last try returns or raises")


def _put(forge: Forge, marker: str, body: str) -> tuple[str, str]:
    # Looked for anew in each try: a write whose answer was lost may have happened.
    found = [one for one in forge.comments() if one.ours and one.body.split("\n", 1)[0].rstrip() == marker]
    if not found:
        return "created", forge.create(body)
    done = "updated", forge.update(found[0], body)
    for extra in found[1:]:  # of two jobs at once: an outdated plan must not stay beside this one
        with suppress(ForbiddenError, GoneError):
            forge.delete(extra)
    return done


def excerpt(plan: str) -> str:
    """The beginning of a plan, as far as it is plain paragraphs and lists, and that the rest is elsewhere."""
    kept: list[str] = []
    room = SHORT
    for block in plan.rstrip("\n").split("\n\n"):
        room -= _length(block) + 2
        if room < 0 or re.search(r"```|~~~|<details|<summary", block):
            break
        kept.append(block)
    if not kept:
        kept = [read_marker(plan)]
    kept.append("The rest of this plan is too long for a comment: it is in the job, see below.")
    return "\n\n".join(kept)


def _footer(forge: Forge) -> str:
    commit = forge.commit if re.fullmatch(r"[0-9a-f]{7,64}", forge.commit) else ""
    parts = [f"for commit `{commit[:12]}`"] if commit else []
    if re.fullmatch(r"https?://[\w.:/@%+-]+", forge.job):
        parts.append(f"made by [this job]({forge.job})")
    line = ", ".join(parts)
    return f"\n\n---\n\n{line[0].upper()}{line[1:]}.\n" if line else "\n"


def _length(text: str) -> int:
    """In UTF-16 units, which are at least as many as characters."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def write_summary(plan: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Put the plan on the job's page. False where the CI has no such thing."""
    path = environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return False
    text = plan if len(plan.encode()) <= SUMMARY else excerpt(plan)
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{text.rstrip()}\n\n")
    return True
