"""How a service may differ from the next and still be healthy: what the server plays for ``doctor`` and its tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Quirks:
    """What is peculiar about the service. The defaults are those of the plainest one."""

    max_page_size: int | None = None
    name_filter: Literal["exact", "partial"] = "exact"
    late_seconds: float = 0.0
    late_calls: int = 0
    numbers_as_text: bool = False
    trim_prompts: bool = False
    line_endings: Literal["kept", "lf", "crlf"] = "kept"
    remark_limit: int | None = None
    remark_over: Literal["refuse", "cut"] = "refuse"
    create_ignores: frozenset[str] = frozenset()
    update_resets: bool = False
    no_update: bool = False
    delete_204: bool = False
    ordering_ignored: bool = False
    messages_by_token: bool = False
    strict_encoding: bool = False
