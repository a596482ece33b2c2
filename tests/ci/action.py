"""A runner for a composite action, with what ours needs: expressions, inputs, outputs, conditions, the log.

What stands in ``run:`` is run, by bash with the options that GitHub gives it. What stands in ``uses:`` is written down,
and of an upload the files are kept. The log is read as the runner reads it, so that what was a workflow command and
what was text can be told apart.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests import warm

ROOT = Path(__file__).parents[2]

_TOKENS = re.compile(r"\s*(?:('(?:[^']|'')*')|(==|!=|&&|\|\||[!()])|([A-Za-z_][\w.-]*))")


class Expression:
    """GitHub's expressions: contexts, texts, comparison, logic, and the status functions."""

    def __init__(self, text: str, contexts: Mapping[str, Any]) -> None:
        self.contexts = contexts
        self.tokens: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKENS.match(text, at)
            assert found, f"not understood: {text[at:]!r}"
            self.tokens.append(found[0].strip())
            at = found.end()

    def value(self) -> Any:
        result = self._or()
        assert not self.tokens, f"not understood: {self.tokens}"
        return result

    def _next(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def _or(self) -> Any:
        left = self._and()
        while self._next() == "||":
            self.tokens.pop(0)
            right = self._and()
            left = left or right
        return left

    def _and(self) -> Any:
        left = self._equal()
        while self._next() == "&&":
            self.tokens.pop(0)
            right = self._equal()
            left = left and right
        return left

    def _equal(self) -> Any:
        left = self._one()
        while self._next() in ("==", "!="):
            operator = self.tokens.pop(0)
            same = as_text(left).lower() == as_text(self._one()).lower()
            left = same if operator == "==" else not same
        return left

    def _one(self) -> Any:
        token = self.tokens.pop(0)
        if token == "!":
            return not self._one()
        if token == "(":
            inside = self._or()
            assert self.tokens.pop(0) == ")"
            return inside
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if self._next() == "(":
            self.tokens[:2] = []
            return self.contexts["status"][token]
        found: Any = self.contexts
        for part in token.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found


def as_text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def fill_in(text: str, contexts: Mapping[str, Any]) -> str:
    """A text with its expressions replaced by their values."""
    return re.sub(r"\$\{\{(.*?)\}\}", lambda m: as_text(Expression(m[1], contexts).value()), text)


@dataclass
class Result:
    """What came of a run: of the action as a whole, and of each step that ran, by its name."""

    outcomes: dict[str, str]
    log: str
    commands: list[str]
    summary: str
    outputs: dict[str, str]
    used: dict[str, dict[str, str]]
    artifacts: dict[str, dict[str, bytes]]

    @property
    def failed(self) -> str:
        """The first step that failed, or an empty text."""
        return next((name for name, outcome in self.outcomes.items() if outcome == "failure"), "")

    @property
    def ran(self) -> list[str]:
        return [name for name, outcome in self.outcomes.items() if outcome != "skipped"]


@dataclass
class Runner:
    """A machine with a checkout (``workspace``) that runs ``action.yml``."""

    folder: Path
    github: dict[str, Any]
    event: dict[str, Any]
    env: dict[str, str] = field(default_factory=dict)
    #: Called with the process of the step of this name, while it runs, from another thread.
    meanwhile: tuple[str, Callable[[subprocess.Popen[bytes]], object]] | None = None

    def __post_init__(self) -> None:
        self.workspace = self.folder / "workspace"
        self.workspace.mkdir(parents=True, exist_ok=True)
        self.tools = self.folder / "tools"
        self.tools.mkdir(exist_ok=True)
        stub_tools(self.tools)
        self.runs = 0

    def run(self, **inputs: str) -> Result:
        """Run the action with these inputs, with ``_`` in their names for ``-``."""
        self.runs += 1
        work = self.folder / f"run{self.runs}"
        temp = work / "temp"
        temp.mkdir(parents=True)
        (work / "event.json").write_text(json.dumps(self.event))
        action = yaml.safe_load((ROOT / "action.yml").read_text())
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        assert given.keys() <= action["inputs"].keys()
        github = {**self.github, "event": self.event}
        contexts: dict[str, Any] = {"github": github, "steps": {}, "env": self.env, "status": {}}
        contexts["inputs"] = {
            name: given.get(name, fill_in(as_text(one.get("default")), contexts))
            for name, one in action["inputs"].items()
        }
        base = {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "RUNNER_OS": "Linux",
            "RUNNER_TEMP": str(temp),
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_EVENT_PATH": str(work / "event.json"),
            "GITHUB_STEP_SUMMARY": str(work / "summary.md"),
            **{
                f"GITHUB_{name.upper()}": str(value) for name, value in self.github.items() if name != "token"
            },
            **self.env,
        }
        (work / "summary.md").touch()
        result = Result({}, "", [], "", {}, {}, {})
        failed = cancelled = False
        for number, step in enumerate(action["runs"]["steps"]):
            name = step["name"]
            condition = str(step.get("if", "success()"))
            if not re.search(r"\b(success|failure|always|cancelled)\(\)", condition):
                condition = f"success() && ({condition})"
            contexts["status"] = {
                "success": not failed and not cancelled,
                "failure": failed,
                "cancelled": cancelled,
                "always": True,
            }
            outputs: dict[str, str] = {}
            if not Expression(condition, contexts).value():
                outcome = "skipped"
            elif "uses" in step:
                with_ = {key: fill_in(as_text(value), contexts) for key, value in step["with"].items()}
                result.used[name] = with_
                if "upload-artifact" in step["uses"]:
                    result.artifacts[with_["name"]] = _files(Path(with_["path"]))
                outcome = "success"
            else:
                output = work / f"output{number}"
                output.touch()
                env = {key: fill_in(as_text(value), contexts) for key, value in step.get("env", {}).items()}
                code, log = self._bash(step["run"], {**base, **env, "GITHUB_OUTPUT": str(output)}, name)
                result.log += log
                outcome = "success" if code == 0 else "failure"
                outputs = _outputs(output.read_text())
                failed = failed or code != 0
            result.outcomes[name] = outcome
            if "id" in step:
                contexts["steps"][step["id"]] = {"outcome": outcome, "outputs": outputs}
        result.commands = commands_in(result.log)
        result.summary = (work / "summary.md").read_text()
        result.outputs = {name: fill_in(one["value"], contexts) for name, one in action["outputs"].items()}
        return result

    def _bash(self, script: str, env: Mapping[str, str], name: str) -> tuple[int, str]:
        file = self.folder / "step.sh"
        file.write_text(script)
        with subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(file)],
            cwd=self.workspace,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            if self.meanwhile and self.meanwhile[0] == name:
                threading.Thread(target=self.meanwhile[1], args=(process,), daemon=True).start()
            log, _ = process.communicate()
            return process.returncode, log.decode()


def stub_tools(folder: Path) -> None:
    """A ``python3`` whose environments are made in no time: of this checkout, with a pip that notes what it is told."""
    venv = folder / "python3"
    venv.write_text(
        "#!/bin/sh\n"
        'set -eu; for venv in "$@"; do :; done; mkdir -p "$venv/bin"\n'
        f'echo "$*" >>"{folder}/python3.txt"\n'
        f'cp "{folder}/pip" "$venv/bin/python"; cp "{folder}/reconciler" "$venv/bin/reconciler"\n'
    )
    pip = folder / "pip"
    pip.write_text(f'#!/bin/sh\nfor one in "$@"; do echo "$one" >>"{folder}/pip.txt"; done\n')
    for file in (venv, pip):
        file.chmod(0o755)
    warm.script(folder / "reconciler")


def _files(folder: Path) -> dict[str, bytes]:
    """What the upload action takes of a folder: no hidden files."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in found
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def _outputs(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        assert equals and "<<" not in name, f"an output of several lines: {line!r}"
        found[name] = value
    return found


def commands_in(log: str) -> list[str]:
    """What the runner takes for commands: lines that begin with ``::``, unless commands are stopped by a token."""
    found: list[str] = []
    stopped = ""
    for line in log.splitlines():
        text = line.strip()
        command = re.match(r"::([A-Za-z-]+)( [^:]*)?::", text)
        if stopped:
            if text == f"::{stopped}::":
                stopped = ""
        elif text.startswith("::stop-commands::"):
            stopped = text.removeprefix("::stop-commands::")
            assert re.fullmatch(r"[0-9a-f]{32}", stopped)
        elif command or "##[" in text:
            found.append(text)
    assert not stopped, "commands stay stopped"
    return found


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """What a runner does first to a step that is cancelled: a signal to its shell, and to nothing below it."""
    process.send_signal(signal.SIGINT)
