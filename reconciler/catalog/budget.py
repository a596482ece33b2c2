"""What a catalog may cost, all of it together: one budget, counted as it is spent.

A catalog may come from a stranger, and a few lines of it can stand for gigabytes: aliases, templates, parts that
are shared, matrices and tables. What it makes is therefore counted, and not only what it is on disk. Each limit has a
fixed part, which any catalog may use, and grows with the bytes that were read, so that a large catalog that is
written out is never refused for its size alone.

The fixed parts are chosen so that each command takes at most 1 GiB and 30 s of CPU time for a catalog of at most 20
MiB. A plan that is printed as JSON or HTML holds the text of every session about three times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from reconciler.values import JSON

#: Bytes of all files that are read.
MAX_DISK: Final = 2 * 2**30
#: Bytes that are read for all environments together. What is on disk may always be read once.
MAX_READ: Final = 100 * 2**20
#: Seconds that all templates together may take to render.
MAX_RENDERING: Final = 15.0
#: Bytes of the prompts of all sessions, each counted as often as it is used; and how much a byte on disk adds.
MAX_TEXT: Final = 128 * 2**20
TEXT_A_BYTE: Final = 4
#: Values of all sessions, with aliases, defaults and templates written out; and how many bytes on disk add one.
MAX_VALUES: Final = 1_000_000
BYTES_A_VALUE: Final = 20
#: Sessions; and how many bytes on disk add one.
MAX_SESSIONS: Final = 100_000
BYTES_A_SESSION: Final = 200
#: Comparisons and cells while matrices and tables are expanded, excluded combinations included.
MAX_STEPS: Final = 30_000_000
#: Entries of folders that are looked at, once for each pattern that reaches them.
MAX_ENTRIES: Final = 10_000_000
#: How many entries a folder counts for, as opening it takes as long as that.
ENTRIES_A_FOLDER: Final = 10

#: How many characters of a string count as one value more.
_CHARACTERS_A_VALUE: Final = 50

#: What is exceeded, as a message and a hint.
Excess = tuple[str, str]


#: What helps if a command takes ``--env``, and too much is in all environments together.
ONE_BY_ONE: Final = "check each environment on its own, with --env"


class Budget:
    """Counts what is spent. Environments that a command looks at share one, which a file adds to only once.

    ``alternative`` is what else than a smaller catalog would help, as a hint.
    """

    def __init__(self, alternative: str = "") -> None:
        self._alternative = alternative
        self._disk = self._read = self._text = self._values = self._sessions = self._steps = 0
        self._files: set[str] = set()
        self._rendering = 0.0
        #: Whether something was exceeded.
        self.is_spent = False

    def read(self, file: str, size: int) -> Excess | None:
        """Count the bytes of a file that is read."""
        self._read += size
        if file not in self._files:
            self._files.add(file)
            self._disk += size
        if self._disk > MAX_DISK:
            return self._exceeded(f"the catalog is larger than {MAX_DISK // 2**30} GiB", "split the catalog")
        if self._read > max(MAX_READ, self._disk):
            return self._exceeded(
                f"all environments together read more than {MAX_READ // 2**20} MiB",
                "split the catalog",
            )
        return None

    def render(self, seconds: float) -> Excess | None:
        """Count the time that a template took; what is exceeded, if anything."""
        self._rendering += seconds
        if self._rendering > MAX_RENDERING:
            return self._exceeded(f"the templates take more than {MAX_RENDERING:g} s", "simplify them")
        return None

    def add(self, *, text: int = 0, values: int = 0, sessions: int = 0, steps: int = 0) -> Excess | None:
        """Count what the catalog makes; what is exceeded, if anything."""
        self._text += text
        self._values += values
        self._sessions += sessions
        self._steps += steps
        most = max(MAX_TEXT, TEXT_A_BYTE * self._disk)
        if self._text > most:
            return self._exceeded(
                f"the sessions' prompts come to more than {most / 2**20:,.0f} MiB",
                "shorten what many sessions share, or split the catalog",
            )
        most = max(MAX_VALUES, self._disk // BYTES_A_VALUE)
        if self._values > most:
            return self._exceeded(
                f"the sessions hold more than {most:,} values, with aliases, defaults and templates"
                " written out",
                "shorten what many sessions inherit, or split the catalog",
            )
        most = max(MAX_SESSIONS, self._disk // BYTES_A_SESSION)
        if self._sessions > most:
            return self._exceeded(f"the catalog makes more than {most:,} sessions", "split the catalog")
        if self._steps > MAX_STEPS:
            return self._exceeded(
                f"expanding matrices and tables takes more than {MAX_STEPS:,} comparisons",
                "use fewer `exclude` entries, or write the combinations into a table",
            )
        return None

    def _exceeded(self, message: str, hint: str) -> Excess:
        self.is_spent = True
        return f"up to here, {message}", f"{hint}, or {self._alternative}" if self._alternative else hint


def memory(texts: Sequence[str]) -> int:
    """At most how many bytes a text takes that is made of these: 4 for each character unless all are ASCII."""
    return sum(map(len, texts)) * (1 if all(map(str.isascii, texts)) else 4)


def size(value: JSON) -> int:
    """How many values a value counts for: itself and those in it; a long string counts for several."""
    if isinstance(value, dict):
        return 1 + _sum(value.values())
    if isinstance(value, list):
        return 1 + _sum(value)
    return 1 + len(value) // _CHARACTERS_A_VALUE if isinstance(value, str) else 1


def _sum(values: Iterable[JSON]) -> int:
    return sum(map(size, values))
