"""What the image could give away or run: what lies in the checkout that it is built in, or what a build argument says.

Nothing here builds it: that needs a builder and a registry. ``hadolint`` reads it in ``tests/ci/test_files.py``.
"""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text()).splitlines()
STEPS = [line.split(maxsplit=1) for line in LINES if line.strip() and not line.startswith("#")]


def sent(path: str) -> bool:
    """Whether a file of the checkout goes to the builder, by the rules of .dockerignore: the last that matches wins."""
    found = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern, keeps = line.removeprefix("!"), line.startswith("!")
        parents = [path, *map(str, Path(path).parents)][:-1]
        if any(fnmatch(one, pattern) or fnmatch(f"/{one}", pattern.replace("**", "*")) for one in parents):
            found = keeps
    return found


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".git/config",
        ".reconciler/local.db",
        "before-1.json",
        "plan.json",
        "key",
        "reconciler/.reconciler/archive/a.json",
        "examples/bookshop/.reconciler/local.db",
        "examples/bookshop/.reconciler/archive/x.json",
    ],
)
def test_the_image_cannot_carry_what_lies_in_the_checkout(path: str) -> None:
    assert not sent(path)
    assert sent("reconciler/__init__.py")
    assert sent("examples/bookshop/catalog.yaml")


def test_no_step_takes_a_secret_or_runs_what_it_downloads() -> None:
    for step, rest in STEPS:
        assert step != "ADD"  # it unpacks archives and fetches addresses
        if step in ("ARG", "ENV"):
            assert not re.search("key|token|secret|passw", rest, re.IGNORECASE)
        if step == "RUN":
            assert not re.search(r"curl|wget|\|\s*(ba|da)?sh|--trusted-host|http://", rest)
        if step == "COPY":
            assert rest.split()[-2] not in (".", "./", "*")


def test_the_image_runs_one_program_and_not_as_root() -> None:
    last = [step for step, _ in STEPS][len(STEPS) - [s for s, _ in STEPS][::-1].index("FROM") :]
    rest = dict(STEPS)
    assert rest["ENTRYPOINT"] == '["reconciler"]'  # no shell reads its arguments
    assert last.index("USER") < last.index("ENTRYPOINT")
    assert "USER" not in last[last.index("ENTRYPOINT") :]
    assert rest["USER"] == "65534:65534"
    assert "EXPOSE" not in rest
    assert "VOLUME" not in rest
