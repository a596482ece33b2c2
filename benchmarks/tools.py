"""What is measured beside the reconciler, and what draws the plot: in a virtual environment of their own."""

from __future__ import annotations

import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

#: Installed by name, in whatever version is current; the results tell which one it was.
PACKAGES = ("octodns", "requests", "ansible-core", "matplotlib")


@dataclass(frozen=True, slots=True)
class Tools:
    """The environment. ``versions`` lacks what could not be installed, and ``missing`` says why."""

    folder: Path
    versions: dict[str, str]
    missing: dict[str, str]

    def program(self, name: str) -> str:
        """The path of one of its programs."""
        return str(self.folder / "bin" / name)


def prepare(folder: Path) -> Tools:
    """Make the environment, as far as it is not there yet."""
    tools = Tools(folder, {}, {})
    if not (folder / "bin" / "python").exists():
        print("setting up the environment of the other tools …", file=sys.stderr)
        venv.create(folder, with_pip=True)
    for package in PACKAGES:
        version = _version(tools, package)
        if not version:
            done = _pip(tools, "install", "--quiet", package)
            version = _version(tools, package)
            if not version:
                tools.missing[package] = (done.stderr.strip().splitlines() or ["pip says nothing"])[-1]
                continue
        tools.versions[package] = version
    return tools


def _version(tools: Tools, package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([tools.program("python"), "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _pip(tools: Tools, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [tools.program("python"), "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
