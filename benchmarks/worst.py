"""Inputs of the worst shapes known, at n, 2n and 4n: does the time of a command grow faster than the input?

``python -m benchmarks.worst [SHAPE …]`` runs each command in a process of its own, limited to 1 GiB of memory, and
prints its CPU time at each size and the ratio of the largest to the smallest, without what a small catalog takes. Time
that grows like n log n gives about 4.5. It exits with 1 if a ratio is over 6, or if a command takes over 30 s, runs out
of memory or ends in a traceback.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

MEMORY: Final = 2**30
SECONDS: Final = 30
RATIO: Final = 6.0

HEAD: Final = "version: 1\ncatalog: worst\ndefaults: {model: deepseek-chat}\n"
_KEY: Final = "sk-a8Fk29dLm3Qz7Xv1Bn5Ty6Ur0"

Files = Mapping[str, str]


def _prompt(text: str) -> Files:
    return {"sessions/a.yaml": "sessions:\n  a: {name: A, prompt: {file: p.md}}\n", "p.md": text}


def _sessions(lines: str) -> Files:
    return {"sessions/a.yaml": "sessions:\n" + lines}


#: Each shape with the commands that it is bad for, its smallest size, and the files for a size.
SHAPES: Final[Mapping[str, tuple[list[str], int, Callable[[int], Files]]]] = {
    "spaces": (["lint"], 50_000, lambda n: _prompt("a" + " " * n + "b")),
    "comments in a row": (
        ["lint"],
        2_000,
        lambda n: _sessions("# reconciler: ignore todo -- later\n" * n + "  a: {name: A, prompt: p}\n"),
    ),
    "secrets on a line": (["lint"], 500, lambda n: _prompt(f"{_KEY} " * n)),
    "unknown models": (
        ["validate", "lint"],
        500,
        lambda n: _sessions("".join(f"  s{i}: {{name: A, prompt: p{i}, model: x{i}}}\n" for i in range(n))),
    ),
    "patches of unknown sessions": (
        ["validate --env e"],
        200,
        lambda n: {
            "catalog.yaml": HEAD
            + "environments: {e: {sessions: {"
            + ", ".join(f"t{i}: {{skip: true}}" for i in range(n))
            + "}}}\n",
            **_sessions("".join(f"  s{i}: {{name: A, prompt: p}}\n" for i in range(20 * n))),
        },
    ),
    "many keys": (
        ["fmt --check", "lint"],
        5_000,
        lambda n: _sessions("".join(f"  s{i}: {{name: A, prompt: p}}\n" for i in range(n))),
    ),
    "many keys on a line": (
        ["fmt --check", "lint"],
        20_000,
        lambda n: _sessions(
            "  a: {name: A, prompt: p, data: {" + ", ".join(f"k{i}: 1" for i in range(n)) + "}}\n"
        ),
    ),
    "white space at line ends": (
        ["fmt --check"],
        5_000,
        lambda n: _sessions("".join(f"  s{i}: {{name: A, prompt: p}} \n" for i in range(n))),
    ),
    "short lines": (["validate", "lint"], 200_000, lambda n: _prompt("a\n" * n)),
    "excluded combinations": (
        ["validate"],
        500,
        lambda n: _sessions(
            f"  m: {{matrix: {{axes: {{x: [{', '.join(map(str, range(1_000)))}]}}, key: 'k{{x}}', "
            f"exclude: [{', '.join(f'{{x: {i + 1000}}}' for i in range(n))}]}}, name: A, prompt: p}}\n"
        ),
    ),
}


def _time(command: str, files: Files) -> tuple[float, int]:
    """The CPU seconds of a command for a catalog, and its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {"catalog.yaml": HEAD, **files}.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", *command.split(), folder],
            capture_output=True,
            preexec_fn=_limit,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            check=False,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if b"Traceback" in done.stderr:
            return SECONDS + 1.0, done.returncode
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.returncode


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def main(chosen: list[str]) -> int:
    """Measure, and print. Returns the exit code."""
    start = _time("validate", _sessions("  a: {name: A, prompt: p}\n"))[0]
    bad = 0
    for name in chosen or SHAPES:
        commands, size, files = SHAPES[name]
        for command in commands:
            runs = [_time(command, files(size * times)) for times in (1, 2, 4)]
            seconds = [max(run[0] - start, 0.01) for run in runs]
            ratio = seconds[2] / seconds[0]
            # Below a tenth of a second, the ratio is noise.
            fails = (ratio > RATIO and seconds[2] > 0.1) or any(code < 0 or s > SECONDS for s, code in runs)
            bad += fails
            figures = "  ".join(f"{one:6.2f} s" for one in seconds)
            print(f"{name:28} {command:16} n = {size:>7,}  {figures}  ratio {ratio:4.1f}{'  BAD' * fails}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
