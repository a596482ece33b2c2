"""One input, what may come of it, and many of them one after the other.

The commands run in this process, or in forks of it: starting the installed one takes a hundred times as long as most
inputs. What is measured is the processor's time, since a busy machine makes everything slow.
"""

from __future__ import annotations

import io
import json
import os
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from reconciler import cli
from reconciler.catalog.templating import Renderer
from reconciler.errors import REPORT
from tests.fuzz.mutate import mutated
from tests.fuzz.worlds import ANSWER, Command, World, make_worlds
from tests.support import Answer, answering

#: What one input may take: seconds of the processor, and bytes.
MOST_SECONDS = 5.0
MOST_MEMORY = 512 * 2**20
#: An input that takes longer than this (seconds, by the clock) is ended.
GIVEN_UP = 60.0
#: A fork runs as many inputs, so that what one leaves behind does not add up for ever.
_BATCH = 250

_ENVIRONMENT = {"HOME": "/nonexistent", "RECONCILER_PATIENCE": "600", "LANG": "C.UTF-8", "COLUMNS": "100"}


@dataclass(frozen=True)
class Input:
    """A seed, and what it makes: the files of a folder, and a command."""

    seed: int
    world: str
    command: Command
    files: dict[str, bytes]
    changed: str


@dataclass(frozen=True)
class Outcome:
    """What a command did. ``raised`` is the traceback of an exception that it let through."""

    code: int
    out: str
    err: str
    raised: str = ""


@dataclass(frozen=True)
class Finding:
    """An input that ended badly, and how."""

    seed: int
    what: str


def make_input(seed: int) -> Input:
    """The input of a seed: always the same one."""
    random = Random(seed)
    worlds = _worlds()
    (world,) = random.choices(worlds, [one.weight for one in worlds])
    name = random.choice(world.spoilt)
    others = [data for one in worlds[:8] for data in one.files.values()]
    data = world.files[name]
    if world.name == "databases":
        data = world.refit(random, data) if world.refit and random.random() < 0.7 else data
        if random.random() < 0.4:
            data = mutated(random, name, data, others)
    else:
        data = mutated(random, name, data, others)
        if world.refit and random.random() < 0.8:
            data = world.refit(random, data)
    return Input(seed, world.name, random.choice(world.commands), {**world.files, name: data}, name)


@cache
def _worlds() -> list[World]:
    def run(command: Command) -> int:
        outcome = execute(command)
        assert outcome.code in (0, 2), outcome
        return outcome.code

    return make_worlds(run)


def execute(words: Command) -> Outcome:
    """Run a command in this process, as ``reconciler`` does."""
    out, err = (
        io.TextIOWrapper(io.BytesIO(), "utf-8", errors=kind) for kind in ("strict", "backslashreplace")
    )
    before = sys.stdin, sys.stdout, sys.stderr, dict(os.environ)
    code, raised = -1, ""
    with open(os.devnull, encoding="utf-8") as nothing:
        sys.stdin, sys.stdout, sys.stderr = nothing, out, err
        os.environ.clear()
        os.environ.update(_ENVIRONMENT, PATH=before[3].get("PATH", ""))
        try:
            code = cli.run(words)
        except BaseException as error:
            raised = "".join(traceback.format_exception(error))
        finally:
            sys.stdin, sys.stdout, sys.stderr = before[:3]
            os.environ.clear()
            os.environ.update(before[3])
    said = []
    for stream in (out, err):
        with suppress(ValueError, UnicodeError):
            stream.flush()
        said.append(stream.buffer.getvalue().decode("utf-8", "replace"))  # type: ignore[attr-defined]
    return Outcome(code, *said, raised)


def run_input(given: Input) -> tuple[Outcome, str]:
    """Run an input. Returns what came of it and what is wrong with that; empty if nothing is."""
    with tempfile.TemporaryDirectory(dir=_fast()) as folder:
        for name, data in given.files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        with _service(given) as url:
            words = (word.replace("{root}", folder).replace("{url}", url) for word in given.command)
            start, held = _seconds(), _memory()
            outcome = execute(tuple(words))
            took, more = _seconds() - start, _memory() - held
    if took > MOST_SECONDS:
        return outcome, f"took {took:.1f} s"
    if more > MOST_MEMORY:
        return outcome, f"took {more // 2**20} MiB"
    return outcome, fault(given.command, outcome)


@contextmanager
def _service(given: Input) -> Iterator[str]:
    """The address of the service that an input needs, if it does."""
    if "{url}" not in given.command:
        yield ""
        return
    with answering(Answer(given.files[ANSWER])) as stub:
        yield stub.url


_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_PYTHON = re.compile(r"Traceback \(most|object at 0x|\.py:\d+: \w*Warning|Exception ignored|<class '")


def fault(command: Command, outcome: Outcome) -> str:
    """What is wrong with an outcome; empty if nothing is."""
    text = outcome.out + outcome.err
    found = _PYTHON.search(text)
    control = _CONTROL.search(text)
    wrong = ""
    if outcome.raised:
        wrong = outcome.raised
    elif outcome.code not in cli.EXIT_CODES:
        wrong = f"exits with {outcome.code}, which is not documented"
    elif found or REPORT in text:
        at = found.start() if found else text.index(REPORT)
        wrong = f"shows Python or a bug: {text[max(0, at - 200) :][:2000]}"
    elif control:
        wrong = f"shows U+{ord(control[0]):04X}: {text[max(0, control.start() - 80) : control.end() + 80]!r}"
    elif outcome.code and not text.strip():
        wrong = f"exits with {outcome.code} and says nothing"
    elif "json" in command and outcome.out:
        wrong = _not_json(outcome.out)
    return wrong


def _not_json(text: str) -> str:
    def constant(name: str) -> Any:
        raise ValueError(f"{name} is no JSON")

    try:
        json.loads(text, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        return f"is not JSON: {error}: {text[:300]}"
    return ""


@contextmanager
def shared_worker() -> Iterator[None]:
    """Let all inputs share the process that renders templates. One that was stopped is replaced."""
    kept: list[Any] = []

    def enter(self: Renderer) -> Renderer:
        self._child = kept.pop() if kept else None
        return self

    def leave(self: Renderer, *_: object) -> None:
        if self._child is not None:
            kept.append(self._child)
            self._child = None

    before = Renderer.__enter__, Renderer.__exit__
    Renderer.__enter__, Renderer.__exit__ = enter, leave  # type: ignore[method-assign]
    try:
        yield
    finally:
        Renderer.__enter__, Renderer.__exit__ = before  # type: ignore[method-assign]
        for child in kept:
            last = Renderer()
            last._child = child
            last.close()


def hunt(seeds: Iterable[int]) -> Iterator[Finding | int]:
    """Run inputs. Yields the seed of each that ended well, and a finding of each other."""
    _worlds()
    left = list(seeds)[::-1]
    while left:
        batch = [left.pop() for _ in range(min(_BATCH, len(left)))]
        done = 0
        for one in _forked(batch):
            done += 1
            yield one
        left += batch[done:][::-1]


def _forked(seeds: list[int]) -> Iterator[Finding | int]:
    """Run inputs in a fork, up to the first that ends it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        os.setpgid(0, 0)
        _run_all(seeds, writer)
    os.close(writer)
    ended = 0
    try:
        with os.fdopen(reader, encoding="utf-8") as lines:
            for seed in seeds:
                line = lines.readline() if select.select([lines], [], [], GIVEN_UP)[0] else "late"
                if line in ("", "late"):
                    yield Finding(
                        seed, f"had not ended after {GIVEN_UP:g} s" if line else "ended the process"
                    )
                    return
                ended += 1
                what = json.loads(line)
                yield Finding(seed, what) if what else seed
    finally:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _run_all(seeds: list[int], writer: int) -> None:
    with suppress(BaseException), shared_worker():
        most = 3 * 2**30
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        for seed in seeds:
            _, wrong = run_input(make_input(seed))
            os.write(writer, json.dumps(wrong).encode() + b"\n")
    os._exit(0)


def _seconds() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _fast() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def show(seed: int) -> None:
    """Print an input and what comes of it."""
    given = make_input(seed)
    print(f"seed {seed}: {given.world}, {given.changed}: reconciler {' '.join(given.command)}")
    print(repr(given.files[given.changed])[:20_000])
    with shared_worker():
        outcome, wrong = run_input(given)
    print(
        f"exit code {outcome.code}\n{outcome.out}{outcome.err}{outcome.raised}\n{wrong or 'nothing is wrong'}"
    )


def keep(seed: int, folder: Path) -> None:
    """Write the files of an input into a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in make_input(seed).files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
