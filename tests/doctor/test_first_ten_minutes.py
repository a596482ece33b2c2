"""``docs/first-ten-minutes.md``, followed word for word: every command is run in one shell, every answer is typed."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.services.drf.running import needs_drf, running_drf
from tests.support import API_KEY

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "first-ten-minutes.md"
ADDRESS = "https://api.mindcraft.com.cn"
ASKED = "Only 'yes' is accepted: "


@dataclass
class Step:
    """One command, and what the page says that it prints. ``typed`` are the answers that a reader gives."""

    command: str
    output: list[str] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)


def steps(page: str) -> list[Step]:
    """The commands of all console blocks, in order."""
    found: list[Step] = []
    for block in re.findall(r"^```console\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Step(line[2:]))
            elif line.startswith("> "):
                found[-1].command += "\n" + line[2:]
            else:
                found[-1].output.append(line)
    for step in found:
        if step.command.startswith("read "):
            step.typed.append(API_KEY)
        for number, line in enumerate(step.output):
            if line.endswith(ASKED + "yes"):
                step.typed.append("yes")
                # What is typed is not printed, nor is the end of its line.
                step.output[number : number + 2] = [line.removesuffix("yes") + step.output[number + 1]]
    return found


def follow(found: list[Step], folder: Path, address: str) -> list[str]:
    """Run the commands in one shell, typing the answers at a terminal; gives what each of them printed."""
    binaries = folder / "bin"
    binaries.mkdir()
    command = binaries / "reconciler"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m reconciler "$@"\n')
    command.chmod(0o755)
    work = folder / "work"
    work.mkdir()
    script = "\n".join(f"{step.command}\necho '@@@'" for step in found)
    environment = {
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(work),
        "LANG": "C.UTF-8",
        "MINDCRAFT_ENDPOINT": address,
    }
    ours, theirs = pty.openpty()
    try:
        os.write(ours, "".join(f"{answer}\n" for step in found for answer in step.typed).encode())
        done = subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=work,
            env=environment,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    printed = done.stdout.decode()
    assert done.returncode == 0, printed
    return printed.replace(address, ADDRESS).split("@@@\n")[:-1]


def pattern(lines: list[str]) -> str:
    """A page's output as a pattern: ``…`` stands for anything on a line, and alone for any lines."""
    parts = []
    for line in lines:
        if line == "…":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(".*".join(map(re.escape, line.split("…"))) + r"\n")
    return "".join(parts)


@needs_drf
def test_word_for_word(tmp_path: Path) -> None:
    found = steps(PAGE.read_text(encoding="utf-8"))
    with running_drf(keys=(API_KEY,)) as service:
        for name in ("Welcome desk", "Night watch", "test"):
            number = service.put_session(session_name=name, prompt=f"You are {name}.")
            service.put_messages(number, ["hello"])
        numbers = [row["session_id"] for row in service.sessions()]
        before = service.picture(numbers)
        printed = follow(found, tmp_path, service.url)
        assert service.picture(numbers) == before
        assert [row["session_id"] for row in service.sessions()] == numbers
        assert len(service.messages()) == len(numbers)
    assert len(found) == 19
    for step, output in zip(found, printed, strict=True):
        assert re.fullmatch(pattern(step.output), output), f"$ {step.command}\n{output}"
