"""``python -m tests.fuzz``: many inputs, or one again."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.fuzz.run import Finding, hunt, keep, show


def main() -> int:
    """Run what the arguments ask for. Returns 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="how many (default: 100,000)")
    parser.add_argument(
        "--seed", type=int, default=0, help="the seed of the first; the next ones count upwards"
    )
    parser.add_argument("--one", type=int, metavar="SEED", help="show this one alone")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="with --one: write its files into this folder"
    )
    asked = parser.parse_args()
    if asked.one is not None:
        if asked.keep:
            keep(asked.one, asked.keep)
        show(asked.one)
        return 0
    return 1 if _search(asked.seed, asked.inputs) else 0


def _search(first: int, inputs: int) -> int:
    print(
        f"seeds {first} to {first + inputs - 1}; `python -m tests.fuzz --one SEED` shows one of them again",
        flush=True,
    )
    start, findings = time.monotonic(), 0
    for number, one in enumerate(hunt(range(first, first + inputs)), 1):
        if isinstance(one, Finding):
            findings += 1
            print(f"seed {one.seed}: {one.what}", flush=True)
        if number % 5000 == 0:
            print(f"{number} inputs, {findings} findings, {time.monotonic() - start:.0f} s", flush=True)
    print(f"{inputs} inputs from seed {first}: {findings} findings, {time.monotonic() - start:.0f} s")
    return findings


if __name__ == "__main__":
    sys.exit(main())
