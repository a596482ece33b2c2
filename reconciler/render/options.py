"""How a plan is to be rendered: what a person may choose, the same for every form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

#: How much is shown: one line a session; what a reviewer needs; everything.
Detail: TypeAlias = Literal["concise", "normal", "full"]


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """What a rendering depends on beside the plan. Forms take what concerns them and ignore the rest.

    ``color`` is for text. ``width`` is in terminal cells and kept within 40 and 200. ``max_bytes`` bounds Markdown, in
    bytes of UTF-8. ``whole`` says, in Markdown that had to leave something out, where the whole plan is: a
    sentence part such as ``the artifact plan.html of this job``; it is ours or the caller's, and is escaped
    all the same.
    """

    color: bool = False
    width: int = 100
    detail: Detail = "normal"
    max_bytes: int = 65_000
    whole: str = ""
