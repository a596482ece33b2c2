"""How long to wait after failures: longer after each one, up to a limit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits in seconds: ``first`` after the first failure, twice as long after each further one, at most ``most``."""

    first: float = 5.0
    most: float = 900.0

    def wait(self, failures: int, *, at_least: float = 0.0, spread: float = 0.0) -> float:
        """The wait after so many failures in a row (from 1). ``spread`` from -1 to 1 moves it by up to a tenth, so that
        many watchers do not return at once. ``at_least`` is what the service asked for (``Retry-After``)."""
        doubled = self.first * 2.0 ** min(failures - 1, 60)
        return max(at_least, min(doubled, self.most) * (1 + spread / 10))
