"""Catalogs of at most 20 MiB that cost as much as they can: what does each command take?

``python -m benchmarks.budget [SHAPE …]`` runs every offline command, and a plan against the embedded server, on each of
them, and prints the CPU time and the peak memory of the process. It exits with 1 if one takes over 30 s or 1 GiB, or
ends in a traceback. :mod:`benchmarks.worst` asks how time grows; this asks whether the limits in ``docs/catalog.md``
keep what they promise.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks.worst import HEAD, MEMORY, SECONDS, Files

_MIB: Final = 2**20
_NUMBERS: Final = ", ".join(map(str, range(316)))
_SLOW: Final = (
    "{% for a in range(2000) %}{% for b in range(400) %}{% if b == 999 %}x{% endif %}{% endfor %}{% endfor %}"
)

COMMANDS: Final = (
    "validate",
    "lint",
    "fmt --check",
    "graph",
    "explain s1",
    "plan --endpoint=local",
    "plan --endpoint=local --format=json",
    "plan --endpoint=local --format=html",
)
#: Also run if a catalog has environments.
_BETWEEN: Final = "diff-env e0 e1"


def _sessions(lines: str, head: str = "", **files: str) -> Files:
    return {"catalog.yaml": HEAD + head, "sessions/a.yaml": "sessions:\n" + lines, **files}


def _each(number: int, line: str) -> str:
    """A line for each number, which stands for ``#`` in it."""
    return "".join(line.replace("#", str(n)) for n in range(number))


def _environments(number: int) -> str:
    return "environments:\n" + _each(number, "  e#: {}\n")


def _prompt(text: str, sessions: int = 1) -> Files:
    text = text * ((10 * _MIB - 1) // len(text.encode()))
    return _sessions(_each(sessions, "  s#: {name: A, prompt: {file: p.md}}\n"), **{"p.md": text})


def _matrix(more: str, head: str = "") -> Files:
    axes = f"axes: {{a: [{_NUMBERS}], b: [{_NUMBERS}]}}"
    return _sessions(f"  s: {{matrix: {{{axes}, key: 's{{a}}-{{b}}'}}, name: 'S{{a}}', {more}}}\n", head)


def _table(fields: str, rows: str, prompt: str = "prompt: p", **more: str) -> Files:
    source = f"from: {{file: t.csv, key: 's{{id}}', fields: {{{fields}}}}}"
    return _sessions(f"  s: {{{source}, name: 'S{{id}}', {prompt}}}\n", **{"t.csv": rows}, **more)


#: Each makes the files of a catalog.
SHAPES: Final[Mapping[str, Callable[[], Files]]] = {
    "a large shared prompt": lambda: _prompt("You sell books.\n", 12),
    "short lines": lambda: _prompt("a\n", 12),
    "one long line": lambda: _prompt("word "),
    "secrets": lambda: _prompt("sk-a8Fk29dLm3Qz7Xv1Bn5Ty6Ur0 "),
    "a table of 100,000 rows": lambda: _table("data.a: id", "id\n" + _each(99_999, "#\n")),
    "wide rows": lambda: _table(
        "data.a: id", "id," + _each(5000, "c#,") + "z\n" + _each(1900, "#," + "," * 5000 + "\n")
    ),
    "rows of templates": lambda: _table(
        "data.a: id", "id\n" + _each(50_000, "#\n"), "prompt: [{text: 'x{{ id }}', template: jinja}]"
    ),
    "slow templates": lambda: _sessions(
        _each(100, f"  s#: {{name: A, prompt: [{{text: '{_SLOW}#', template: jinja}}]}}\n"), _environments(10)
    ),
    "a matrix": lambda: _matrix("prompt: p"),
    "a matrix of parts": lambda: _matrix(
        f"prompt: {{separator: '', parts: [{', '.join(['{fragment: f}'] * 100)}]}}", "fragments: {f: x}\n"
    ),
    "a matrix with variables": lambda: _matrix("prompt: p", f"variables: {{{_each(5000, 'v#: 1, ')}}}\n"),
    "a matrix with data": lambda: _matrix(f"prompt: p, data: {{{_each(50, 'v#: 1, ')}}}"),
    "one value after the other": lambda: _sessions(
        f"  s1: {{name: A, prompt: p, data: {{x: [{'1,' * 990_000}]}}}}\n"
    ),
    "too many values": lambda: _sessions(
        f"  s1: {{name: A, prompt: p, data: {{x: [{'1,' * 5_000_000}]}}}}\n"
    ),
    "deep values": lambda: _sessions(
        f"  s1: {{name: A, prompt: p, data: {{x: [{('[' * 90 + ']' * 90 + ',') * 10_000}]}}}}\n"
    ),
    "written out": lambda: {
        "catalog.yaml": HEAD,
        **{
            f"sessions/{part}.yaml": "sessions:\n"
            + _each(49_000, f"  s{part}#: {{name: A, prompt: '# {'x' * 165}'}}\n")
            for part in range(2)
        },
    },
    "names with white space": lambda: _sessions(_each(90_000, "  s#: {name: 'A\u200b ', prompt: 'TODO'}\n")),
    "environments": lambda: _sessions(_each(5000, "  s#: {name: A, prompt: p}\n"), _environments(100)),
    "environments of a large file": lambda: _sessions(
        "  s1: {name: A, prompt: p}\n" + "# c\n" * 2_000_000, _environments(100)
    ),
    "patches": lambda: _sessions(
        _each(50_000, "  s#: {name: A, prompt: p}\n"),
        f"environments: {{e0: {{sessions: {{{_each(50_000, 's#: {model: m}, ')}}}}}, e1: {{}}}}\n",
    ),
    "templates": lambda: _sessions(
        _each(1000, "  s#: {extends: t#, name: A, prompt: p}\n"),
        f"templates:\n  base: {{data: {{{_each(400, 'v#: 1, ')}}}}}\n"
        + _each(1000, "  t#: {extends: base}\n"),
    ),
    "unknown fragments": lambda: _sessions(
        _each(5000, "  s#: {name: A, prompt: [{fragment: g#}]}\n"),
        "fragments:\n" + _each(200_000, "  f#: x\n"),
    ),
    "wrong fields": lambda: _sessions(_each(90_000, "  s#: {name: 5, prompt: p, modle: x#}\n")),
    "files that are not read": lambda: {
        **_sessions("  s1: {name: A, prompt: p}\n"),
        **{f"drafts/{n}.yaml": f"sessions: {{x: [{'1,' * 400_000}]}}\n" for n in range(20)},
    },
    "patterns": lambda: {
        **_sessions(
            "  s1: {name: A, prompt: p}\n",
            f"exclude: [{_each(100, chr(39) + '**/**/**/*a*b*c#' + chr(39) + ', ')}]\n",
        ),
        **{f"d/{'a' * 20}/{n}/aaaaaaaaaaaaaaaaaaaa.yaml": "" for n in range(1000)},
    },
}


def _run(command: str, folder: str) -> tuple[str, bool]:
    """What a command took, and whether that is within the limits."""
    words = command.split()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", *words],
            cwd=folder,
            stdout=out,
            stderr=out,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = code = os.waitstatus_to_exitcode(status)
        out.seek(0)
        said = out.read()
    seconds, memory = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024
    kept = seconds <= SECONDS and memory <= MEMORY and code >= 0 and b"Traceback" not in said
    first = said.split(b"\n")[0][:60].decode(errors="replace")
    return f"{seconds:6.1f} s {memory / _MIB:6.0f} MiB  exit {code:3}  {first}", kept


def main(chosen: list[str]) -> int:
    """Measure, and print. Returns the exit code."""
    bad = 0
    for name in chosen or SHAPES:
        with tempfile.TemporaryDirectory() as folder:
            size = 0
            for path, text in SHAPES[name]().items():
                file = Path(folder, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                size += file.write_bytes(text.encode())
            head = Path(folder, "catalog.yaml").read_text(encoding="utf-8")
            several = "environments:" in head
            print(f"{name}: {size / _MIB:.1f} MiB")
            for command in (*COMMANDS, *([_BETWEEN] if several else [])):
                chooses = several and command.split()[0] in ("graph", "explain", "plan")
                line, kept = _run(f"{command} --env=e0" if chooses else command, folder)
                bad += not kept
                print(f"  {command:36} {line}{'' if kept else '  BAD'}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
