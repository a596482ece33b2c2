"""``fmt`` twice is ``fmt`` once, and never changes what a catalog means."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings

from reconciler.catalog.format import format_text, formatted, write_formatted
from reconciler.catalog.load import environments, load_catalog
from reconciler.domain import Catalog
from reconciler.errors import CatalogError
from tests import warm
from tests.catalog.generated_manifests import catalog
from tests.strict_yaml.manifests import Manifest, manifests

REPOSITORY = Path(__file__).parents[2]


def meaning(root: Path) -> list[Catalog]:
    """What a catalog comes to, in each environment."""
    return [load_catalog(root, name) for name in environments(root) or [None]]


def write(root: Path, files: Mapping[str, str]) -> Path:
    """A catalog of these files."""
    for name, text in files.items():
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8", newline="")
    return root


@pytest.mark.parametrize(
    "part", [pytest.param(part, marks=() if part < 3 else (pytest.mark.full,)) for part in range(10)]
)
def test_generated_catalogs(part: int, tmp_path: Path) -> None:
    changed = 0
    for seed in range(part * 50, part * 50 + 50):
        root = write(tmp_path / str(seed), catalog(seed))
        before = meaning(root)
        edits = formatted(root)
        changed += bool(edits)
        for one in edits:
            assert comments(one.before) == comments(one.after), seed
        write_formatted(root, edits)
        assert meaning(root) == before, seed
        assert formatted(root) == [], seed
    assert changed > 40


def comments(text: str) -> list[str]:
    """The lines of a text that hold a comment, or look like it, in no order."""
    return sorted(
        line.strip()
        for line in text.splitlines()
        if line.strip().startswith("#") and "no comment" not in line
    )


@settings(max_examples=2 * settings.default.max_examples)
@given(manifests())
def test_any_document(manifest: Manifest) -> None:
    once = format_text(manifest.text.removeprefix("\ufeff"))
    assert format_text(once) == once


@pytest.mark.parametrize("example", sorted((REPOSITORY / "examples").glob("*/catalog.yaml")), ids=str)
def test_the_examples_are_formatted(example: Path) -> None:
    assert [one.name for one in formatted(example.parent)] == []


HEAD = "version: 1\ncatalog: shop\ndefaults: {model: deepseek-chat}\n"
TABLE = {
    "fields in order, with their comments": (
        """\
        sessions:
          a:
            # How it answers.
            parameters:
              temperature: 1
              # max_tokens: 3

            # Who it is.
            prompt: Hi.  # short
            name: A
            # nothing else
          b: {prompt: Ho., name: B}
        """,
        """\
        sessions:
          a:
            name: A

            # Who it is.
            prompt: Hi.  # short
            # How it answers.
            parameters:
              temperature: 1
              # max_tokens: 3
            # nothing else
          b: {prompt: Ho., name: B}
        """,
    ),
    "prompts as blocks": (
        """\
        sessions:
          a: {name: A, prompt: "One.\\nTwo."}
          b:
            name: B
            prompt: &p "One.\\n\\n  Two.\\n"  # of two
          c:
            name: C
            prompt: >
              folded
              stays
          d:
            name: D
            prompt: "one line stays"
          e:
            name: E
            prompt: "One.\\n\\u200bTwo."
        """,
        """\
        sessions:
          a: {name: A, prompt: "One.\\nTwo."}
          b:
            name: B
            prompt: &p |  # of two
              One.

                Two.
          c:
            name: C
            prompt: >
              folded
              stays
          d:
            name: D
            prompt: "one line stays"
          e:
            name: E
            prompt: |
              One.
              \u200bTwo.
        """,
    ),
    "an alias stays behind its anchor": (
        """\
        sessions:
          a:
            data: {x: &x Hi.}
            prompt: *x
            name: A
        """,
        """\
        sessions:
          a:
            data: {x: &x Hi.}
            prompt: *x
            name: A
        """,
    ),
    "what makes a session comes first": (
        """\
        sessions:
          a:
            name: "{n}"
            prompt: Hi.
            matrix: {axes: {n: [x, y]}, key: "a-{n}"}
            extends: t
        templates:
          t:
            remark: {a: 1}
            model: gpt-4o
        """,
        """\
        sessions:
          a:
            extends: t
            matrix: {axes: {n: [x, y]}, key: "a-{n}"}
            name: "{n}"
            prompt: Hi.
        templates:
          t:
            model: gpt-4o
            remark: {a: 1}
        """,
    ),
}


def dedented(text: str) -> str:
    """A text of the table, without its indentation."""
    return "".join(line.removeprefix("        ") for line in text.splitlines(keepends=True))


@pytest.mark.parametrize("name", TABLE)
def test_the_table(name: str, tmp_path: Path) -> None:
    before, after = map(dedented, TABLE[name])
    root = write(tmp_path, {"catalog.yaml": HEAD, "sessions/a.yaml": before})
    meant = meaning(root)
    write_formatted(root, formatted(root))
    assert (root / "sessions/a.yaml").read_text(encoding="utf-8") == after
    assert meaning(root) == meant


def test_line_ends_and_a_mark_stay(tmp_path: Path) -> None:
    text = "\ufeffsessions:\r\n  a:  \r\n    prompt: Hi.\t\r\n    name: A\r\n\r\n\r\n"
    root = write(tmp_path, {"catalog.yaml": HEAD, "sessions/a.yaml": text})
    write_formatted(root, formatted(root))
    expected = "\ufeffsessions:\r\n  a:\r\n    name: A\r\n    prompt: Hi.\r\n"
    assert (root / "sessions/a.yaml").read_bytes().decode() == expected


def test_a_catalog_that_does_not_load_is_left_alone(tmp_path: Path) -> None:
    root = write(tmp_path, {"catalog.yaml": HEAD, "sessions/a.yaml": "sessions: {a: {prompt: Hi.}}   \n"})
    with pytest.raises(CatalogError):
        formatted(root)


def run(root: Path, *flags: str) -> tuple[int, str]:
    """What ``reconciler fmt`` exits with and prints."""
    done = warm.run(["fmt", str(root), *flags])
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_the_command(tmp_path: Path) -> None:
    text = "sessions:\n  a:\n    prompt: Hi.\n    name: A\n"
    root = write(tmp_path, {"catalog.yaml": HEAD, "sessions/a.yaml": text})
    os.chmod(root / "sessions/a.yaml", 0o640)
    diff = (
        "--- a/sessions/a.yaml\n+++ b/sessions/a.yaml\n@@ -1,4 +1,4 @@\n sessions:\n   a:\n+    name: A\n"
        "     prompt: Hi.\n-    name: A\n"
    )
    assert run(root, "--check") == (1, "sessions/a.yaml\n")
    assert run(root, "--diff") == (0, diff)
    assert run(root, "--diff", "--check") == (1, diff)
    assert (root / "sessions/a.yaml").read_text() == text
    assert run(root) == (0, "sessions/a.yaml\n")
    assert (root / "sessions/a.yaml").stat().st_mode & 0o777 == 0o640
    assert run(root) == (0, "")
    assert run(root, "--check") == (0, "")
    shutil.rmtree(root)
