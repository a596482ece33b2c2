"""``reconciler operator`` with a name for the service's log, and with a shorter term of the lease for tests that wait.

``NAME TERM SETTLE WORDS…``: the name becomes part of the User-Agent. TERM is in whole seconds and SETTLE in seconds; 0
leaves them as they are. The other times of the lease shrink with its term.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command."""
    name, term, settle, *words = sys.argv[1:]
    shorten(int(term), float(settle))
    from reconciler.api import transport

    transport.__version__ = f"{transport.__version__} ({name})"
    sys.argv[1:] = words
    from reconciler.cli import main as run

    run()


def shorten(term: int, settle: float) -> None:
    """Let the lease and the list's lag take less time."""
    from reconciler.contract import types
    from reconciler.operator import lease, watching

    if term:
        part = term / lease.TERM
        vars(watching)["SILENCE"] *= part
        for constant in ("RENEWED_EVERY", "LOOKED_AT_EVERY", "WRITES_FOR"):
            setattr(lease, constant, getattr(lease, constant) * part)
        vars(lease)["TERM"] = term
    if settle:
        vars(types)["LEAST_SETTLE"] = settle


if __name__ == "__main__":
    main()
