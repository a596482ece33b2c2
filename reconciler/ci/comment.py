"""Put a plan where its reviewers look: one comment on the pull or merge request, replaced by each later plan.

A comment's first line is its *stamp*: the key that tells the plans of one request apart, and the commit and run that it
is from. The earlier comment is found by that key, and only among the comments that the same account wrote: anybody
can write a stamp, and a plan in a stranger's comment could be edited by that stranger. A job that runs again for an
older commit does not replace the plan of a newer one, and a commit that can't be planned is said above the plan that
is there.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

from reconciler.ci.api import ForbiddenError, GoneError, NotPostedError, PassingError, TooLargeError
from reconciler.ci.forge import Comment, Forge
from reconciler.ci.summary import excerpt, reason
from reconciler.errors import ReconcilerError
from reconciler.text.escape import fence

#: A plan's first line: catalog and environment in a form that is no markup.
MARKER = re.compile(r"<!-- reconciler[ -](?:plan|drift) [^<>\n]* -->")
_STAMP = re.compile(
    r"<!-- reconciler comment key=(?P<key>[\w.%+-]{1,200}) commit=(?P<commit>[0-9a-f]*) plan=(?P<plan>[0-9a-f]*) "
    r"run=(?P<run>[0-9]+)\.(?P<attempt>[0-9]+) -->"
)
_BANNER = "<!-- reconciler banner -->", "<!-- end of banner -->"
#: How a plan without changes says so, below its heading.
NO_CHANGES = "\n**No changes.** "
#: How often the whole of looking, then writing, is tried.
TRIES = 4
#: A forge that asks for a longer pause than this (seconds) is not waited for.
LONGEST_PAUSE = 60.0
#: Bytes of the text that stands in for one that is too large, and what it says in place of the rest.
_SHORT = 4_000
_LEFT_OUT = "The rest of this plan is too long for a comment: it is in the job, see below."


def read_marker(plan: str) -> str:
    """The plan's first line.

    Raises:
        ReconcilerError: it is no marker.
    """
    line = plan.split("\n", 1)[0]
    if not MARKER.fullmatch(line):
        raise ReconcilerError(
            "this is no plan in Markdown: its first line is no marker",
            "make one with `reconciler plan --out-file=markdown=plan.md`",
        )
    return line


class Put(NamedTuple):
    """What became of a comment.

    ``done`` is ``created``, ``updated``, ``kept`` (it shows a newer commit) or ``not needed`` (nothing changes).
    ``shortened``: it is only the plan's beginning. ``note``: what whoever set this up should know, as a sentence.
    """

    done: str
    address: str
    shortened: bool = False
    note: str = ""


class Stamp(NamedTuple):
    """A comment's first line: its key, the commit and the run that it was last updated for, the plan's commit."""

    key: str
    commit: str = ""
    plan: str = ""
    run: tuple[int, int] = (0, 0)

    def line(self) -> str:
        """The stamp as a comment in Markdown."""
        run = f"{self.run[0]}.{self.run[1]}"
        return f"<!-- reconciler comment key={self.key} commit={self.commit} plan={self.plan} run={run} -->"


def read_stamp(body: str) -> Stamp | None:
    """The stamp of a comment, if it has one. Comments of version 0.1 begin with the plan's marker."""
    found = _STAMP.fullmatch(_first_line(body))
    if found is None:
        return None
    return Stamp(found["key"], found["commit"], found["plan"], (int(found["run"]), int(found["attempt"])))


def _first_line(body: str) -> str:
    return body.split("\n", 1)[0].rstrip()


class _Earlier(NamedTuple):
    """A comment of the key that is looked for, and its stamp."""

    comment: Comment
    stamp: Stamp


def comment_key(text: str) -> str:
    """A key from any text that tells plans apart: as it is where it can be, else its digest."""
    text = "\n".join(line.strip() for line in text.splitlines() if line.strip())
    if re.fullmatch(r"[A-Za-z0-9._-]{1,100}", text) and "--" not in text:
        return text
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def put_comment(
    forge: Forge,
    plan: str,
    *,
    key: str = "",
    only_if_changes: bool = False,
    sleep: Callable[[float], object] = time.sleep,
) -> Put:
    """Create or replace the plan's comment.

    ``key`` tells the plans of one request apart; by default the plan's catalog and environment do.
    ``only_if_changes``: no comment is made for a plan without changes.

    Raises:
        NotPostedError: there is no comment, and that is not the plan's fault.
        ReconcilerError: there is none, and somebody has to do something about it.
    """
    marker = read_marker(plan)
    commit = _commit(forge)
    stamp = Stamp(comment_key(key or marker), commit, commit, forge.run)

    def write() -> Put:
        # Looked for anew in each try: a write whose answer was lost may have happened.
        found = _found(forge, stamp.key, marker)
        if not found and only_if_changes and NO_CHANGES in plan[:2_000]:
            return Put("not needed", "")
        whole, short = (f"{stamp.line()}\n{text.rstrip()}{_footer(forge)}" for text in (plan, _short(plan)))
        return _replace(forge, stamp.key, found, whole, short)

    return _tried(write, sleep)


def mark_not_planned(
    forge: Forge, why: str, *, key: str, sleep: Callable[[float], object] = time.sleep
) -> Put:
    """Say above the plan in the comment of this key, if there is one, that the job's commit could not be planned.

    ``why`` is what the command printed. Raises as :func:`put_comment` does.
    """

    def write() -> Put:
        ours = [one for one in forge.comments() if one.ours]
        if found := _of_key(ours, comment_key(key)):
            stamp = Stamp(found[0].stamp.key, _commit(forge), found[0].stamp.plan, forge.run)
            return _put_banner(forge, stamp.line(), found, why)
        # Without a plan there is no telling whose a comment of version 0.1 is. So all of them say it, and each stays
        # what it is: the next plan of its catalog and environment replaces it.
        put = Put("not needed", "")
        for one in ours:
            if MARKER.fullmatch(line := _first_line(one.body)):
                put = _put_banner(forge, line, [_Earlier(one, Stamp(""))], why)
        return put

    return _tried(write, sleep)


def _put_banner(forge: Forge, line: str, found: list[_Earlier], why: str) -> Put:
    """Say above the plan of the first comment that there is none for this commit. ``line``: its first line then."""
    comment, earlier = found[0]
    _, _, plan = comment.body.replace("\r\n", "\n").partition("\n")
    start, end = (re.escape(mark) for mark in _BANNER)
    plan = re.sub(f"{start}\n.*?\n{end}\n", "", plan, flags=re.DOTALL).strip("\n")
    top = f"{line}\n{_banner(forge, earlier, why)}\n"
    return _replace(forge, earlier.key, found, f"{top}{plan}\n", f"{top}{_short(plan)}\n")


def _tried(write: Callable[[], Put], sleep: Callable[[float], object]) -> Put:
    start = time.monotonic()
    for left in reversed(range(TRIES)):
        try:
            return write()
        except TooLargeError as error:
            raise ReconcilerError(f"the forge does not take the comment: {error}") from None
        except GoneError as error:
            if not left:
                raise PassingError(str(error)) from None
        except PassingError as error:
            wait = error.wait if error.wait is not None else 2.0 ** (TRIES - 1 - left)
            # A call alone may take a minute, if the forge drips.
            if not left or wait > LONGEST_PAUSE or time.monotonic() - start > LONGEST_PAUSE:
                raise
            sleep(wait)
    raise AssertionError("the last try returns or raises")


def _found(forge: Forge, key: str, marker: str = "") -> list[_Earlier]:
    return _of_key((one for one in forge.comments() if one.ours), key, marker)


def _of_key(comments: Iterable[Comment], key: str, marker: str = "") -> list[_Earlier]:
    """Those of a key. Comments of version 0.1 have no stamp, and begin with the marker of their plan."""
    found = []
    for comment in comments:
        stamp = read_stamp(comment.body)
        if stamp is None and marker and _first_line(comment.body) == marker:
            stamp = Stamp(key)
        if stamp and stamp.key == key:
            found.append(_Earlier(comment, stamp))
    return found


def _replace(forge: Forge, key: str, found: list[_Earlier], whole: str, short: str) -> Put:
    if found and _shows_newer(forge, found[0].stamp):
        return Put("kept", found[0].comment.address)
    texts = [whole, short] if _length(whole) <= forge.limit else [short]
    for text in texts:
        try:
            done, address, note = _written(forge, key, found, text)
        except TooLargeError:
            if text == texts[-1]:
                raise
        else:
            return Put(done, address, text != whole, note)
    raise AssertionError("the last text is written or raises")


def _shows_newer(forge: Forge, stamp: Stamp) -> bool:
    """Whether a comment shows a newer commit than this job's. A branch may be reset to an older commit, so that the
    request itself says which is the newest; where it does not, the newer run wins."""
    if not stamp.commit:
        return False
    if stamp.commit != forge.commit:
        head = forge.head()
        if head in (forge.commit, stamp.commit):
            return head == stamp.commit
    return stamp.run > forge.run


def _written(forge: Forge, key: str, found: list[_Earlier], text: str) -> tuple[str, str, str]:
    if not found:
        made = forge.create(text)
        if not made.ours:
            return _settled(forge, key, made, text)
        outdated = [c.address for c, _ in _of_key((c for c in forge.comments() if c.outdated), key)]
        note = f"An earlier token's plan can't be updated: delete {', '.join(outdated)}." if outdated else ""
        return "created", made.address, note
    (comment, stamp), *others = found
    try:
        forge.update(comment, text)
    except NotPostedError as error:
        of = f"the plan for commit {stamp.plan[:12]}" if stamp.plan else "an older plan"
        error.earlier = f"The comment {comment.address} still shows {of}."
        raise
    # Of two jobs at once: an outdated plan must not stay beside this one.
    _remove(forge, [other.comment for other in others])
    return "updated", comment.address, ""


def _settled(forge: Forge, key: str, made: Comment, text: str) -> tuple[str, str, str]:
    """The one comment of the account that the token turned out to belong to, so that no second one is ever added."""
    note = (
        f"The token belongs to {made.author}, and its comments were not looked for: set comment-author, or "
        f"reconciler comment --author, to {made.author}."
    )
    of_author = (c for c in forge.comments() if c.author == made.author and c.id != made.id)
    earlier = _of_key(of_author, key)
    if not earlier:
        return "created", made.address, note
    (comment, stamp), *others = earlier
    if not _shows_newer(forge, stamp):
        forge.update(comment, text)
    _remove(forge, [made, *(other.comment for other in others)])
    return "updated", comment.address, note


def _remove(forge: Forge, comments: list[Comment]) -> None:
    for comment in comments:
        with suppress(ForbiddenError, GoneError):
            forge.delete(comment)


def _short(plan: str) -> str:
    return excerpt(plan, _SHORT, _LEFT_OUT)


def _banner(forge: Forge, earlier: Stamp, why: str) -> str:
    commit = f"Commit `{_commit(forge)[:12]}`" if _commit(forge) else "A newer commit"
    of = f" is for commit `{earlier.plan[:12]}`" if earlier.plan else " is of an earlier commit"
    if earlier.plan and earlier.plan == _commit(forge):
        of = " is of an earlier run for the same commit"
    job = f" [This job]({forge.job}) says why." if _is_link(forge.job) else ""
    lines = [f"> **{commit} could not be planned.** The plan below{of}.{job}"]
    if lines_of_reason := reason(why):
        ticks = fence("\n".join(lines_of_reason))
        lines += [">", *(f"> {line}" for line in (f"{ticks}text", *lines_of_reason, ticks))]
    return "\n".join([_BANNER[0], "> [!WARNING]", *lines, _BANNER[1], ""])


def _commit(forge: Forge) -> str:
    return forge.commit if re.fullmatch(r"[0-9a-f]{7,64}", forge.commit) else ""


def _footer(forge: Forge) -> str:
    parts = [f"for commit `{_commit(forge)[:12]}`"] if _commit(forge) else []
    if _is_link(forge.job):
        parts.append(f"made by [this job]({forge.job})")
    line = ", ".join(parts)
    return f"\n\n---\n\n{line[0].upper()}{line[1:]}.\n" if line else "\n"


def _is_link(address: str) -> bool:
    return bool(re.fullmatch(r"https?://[\w.:/@%+-]+", address))


def _length(text: str) -> int:
    """In UTF-16 units, which are at least as many as characters."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
