"""Options of rendering, the same for every form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

#: How much is shown: one line per session, what a reviewer needs, or everything.
Detail: TypeAlias = Literal["concise", "normal", "full"]


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """Options of rendering. Each form uses those that apply to it.

    ``color`` is for text. ``width`` is in terminal cells, limited to 40 to 200; with ``wide_signs``, signs of ambiguous
    width take two. ``max_bytes`` limits Markdown, in
    bytes of UTF-8. ``whole`` says where the complete plan is, in Markdown that had to omit something: a sentence part
    such as ``the artifact plan.html of this job``, which is escaped.

    The last three are for the page: the commit and the time (UTC, ISO 8601) that the plan was made at, and the address
    of the job that made it. Of a saved plan, those that are empty are the plan's own.
    """

    color: bool = False
    width: int = 100
    wide_signs: bool = False
    detail: Detail = "normal"
    max_bytes: int = 65_000
    whole: str = ""
    commit: str = ""
    time: str = ""
    job: str = ""
