"""The count of scenarios and of their failures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields


@dataclass(slots=True)
class Tally:
    """How many scenarios were run, and what they did that an apply must never do."""

    scenarios: int = 0
    duplicates: int = 0
    lost_sessions: int = 0
    lost_messages: int = 0
    wrong_writes: int = 0
    silent_failures: int = 0

    def counts(self) -> dict[str, int]:
        """The counts by name."""
        return asdict(self)

    def add(self, counts: Mapping[str, int]) -> None:
        """Add the counts of another tally."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + counts.get(one.name, 0))

    def __str__(self) -> str:
        parts = [f"{count} {name.replace('_', ' ')}" for name, count in self.counts().items()]
        return f"faults: {', '.join(parts)}"
