"""Runs a script under node, with the packages that `make javascript` installs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

MODULES = Path(__file__).parents[1] / ".venv" / "javascript" / "node_modules"
_MAIN = """
const input = require('fs').readFileSync(0, 'utf8');
process.stdout.write(JSON.stringify(module.exports(JSON.parse(input))));
"""


def javascript(module: str, argument: Any) -> Any:
    """What a CommonJS module that exports a function returns for a JSON value.

    Without the packages, the test is skipped, or fails under CI.
    """
    node = shutil.which("node")
    if node is None or not MODULES.is_dir():
        pytest.skip("needs node and: make javascript")
    script = f"const module = {{}};\n{module}\n{_MAIN}"
    done = subprocess.run(
        [node, "-e", script],
        input=json.dumps(argument).encode(),
        capture_output=True,
        env={**os.environ, "NODE_PATH": str(MODULES)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)
