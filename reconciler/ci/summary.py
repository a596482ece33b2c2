"""The page of a CI job: the result first, then what went wrong, then the plan, within what the page may hold."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from reconciler.text.escape import fence, guard, visible

#: Lines, and characters of a line, of what a failed command printed.
REASON = 20, 300
#: Bytes of a job's summary. GitHub drops one of more than 1 MiB.
SUMMARY = 1_000_000
#: Bytes that are kept free for what went wrong, and for saying that something is left out.
_SPARE = 20_000

_FENCE = re.compile(r"[ >]*(`{3,}|~{3,})([^`]*)")
_TAG = re.compile(r"<(/?)details\b")
_LEFT_OUT = "The rest of this plan is too long for this page: see the log of the job."


def write_summary(text: str, said: str = "", environ: Mapping[str, str] = os.environ) -> bool:
    """Put a plan, or what stands in for it, on the job's page. False where the CI has no such thing.

    ``said`` is what went wrong, in Markdown: it follows the totals, and comes before what may be long.
    """
    path = environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return False
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{_arranged(text, said)}\n\n")
    return True


def _arranged(text: str, said: str) -> str:
    """The beginning of a plan, what went wrong, and the rest of the plan."""
    head, heading, rest = text.partition("\n#### ")
    head = excerpt(head, SUMMARY - _SPARE, _LEFT_OUT)
    top = "\n\n".join(filter(None, (head.rstrip(), said)))
    room = SUMMARY - len(top.encode()) - 200
    rest = excerpt(f"#### {rest}".rstrip(), room, _LEFT_OUT) if heading else ""
    return "\n\n".join(filter(None, (top, rest)))


def no_plan(why: str, commit: str = "") -> str:
    """What is shown in place of a plan that could not be made, in Markdown. ``why`` is what the command printed."""
    lines = reason(why) or ["The job ended before there was one."]
    ticks = fence("\n".join(lines))
    of = f" for commit `{commit[:12]}`" if commit else ""
    return "\n".join([f"### No plan{of}", "", f"{ticks}text", *lines, ticks])


def reason(why: str) -> list[str]:
    """The first lines of what a command printed, none of which is markup of a terminal or a command of a log."""
    lines = [visible(line[: REASON[1]]) for line in why.splitlines() if line.strip()]
    shown = [guard(line) for line in lines[: REASON[0]]]
    return [*shown, f"… and {len(lines) - len(shown):,} more lines"] if len(lines) > len(shown) else shown


def excerpt(plan: str, room: int, left_out: str) -> str:
    """The beginning of a plan, in at most about this many bytes of UTF-8: whole blocks, and that the rest is elsewhere.

    At least its first line is kept. A plan that fits is returned as it is.
    """
    if len(plan.encode("utf-8", "surrogatepass")) <= room:
        return plan
    kept: list[str] = []
    for block in _blocks(plan):
        room -= len(block.encode("utf-8", "surrogatepass")) + 2
        if room < 0:
            break
        kept.append(block)
    while len(kept) > 1 and kept[-1].startswith("#"):
        kept.pop()  # a heading with nothing below it
    return "\n\n".join([*(kept or [plan.split("\n", 1)[0]]), left_out])


def _blocks(plan: str) -> Iterator[str]:
    """What may be separated: paragraphs, lists, fenced blocks, and folds with all that is in them."""
    block: list[str] = []
    ticks, folds = "", 0
    for line in plan.rstrip("\n").split("\n"):
        mark = _FENCE.fullmatch(line)
        if ticks:
            if mark and mark[1].startswith(ticks) and not mark[2].strip():
                ticks = ""
        elif mark:
            ticks = mark[1]
        else:
            folds += sum(-1 if tag[1] else 1 for tag in _TAG.finditer(line))
        if line or ticks or folds > 0:
            block.append(line)
        elif block:
            yield "\n".join(block)
            block = []
    if block:
        yield "\n".join(block)
