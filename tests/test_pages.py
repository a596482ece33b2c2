"""All pages: links lead somewhere, the index is complete, and the prose follows ``docs/style.md``."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from reconciler import __version__
from reconciler.cli import COMMANDS

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
PAGES: Final = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])
NAMES: Final = [str(page.relative_to(ROOT)) for page in PAGES]

#: In characters: about six lines.
LONGEST_PARAGRAPH: Final = 680


def without_code(text: str) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", without_code(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def paragraphs(text: str) -> Iterator[str]:
    """Paragraphs and single points of lists; tables and headings are neither."""
    for block in re.split(r"\n\s*\n", without_code(text)):
        for part in re.split(r"^\s*(?:[-*]|\d+\.) ", block, flags=re.MULTILINE):
            if not part.lstrip().startswith(("|", "#")):
                yield part


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_paragraphs_are_short(page: Path) -> None:
    too_long = [one for one in paragraphs(page.read_text(encoding="utf-8")) if len(one) > LONGEST_PARAGRAPH]
    assert not too_long, "make it a list or a table"


def test_the_index_names_every_page() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    linked = {link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", index)}
    assert {page.name for page in DOCS.glob("*.md")} - {"README.md"} <= linked


def test_the_readme_lists_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = readme.partition("## Commands")[2].partition("Exit codes")[0]
    assert set(re.findall(r"`([a-z-]+)`", re.sub(r"\|[^|\n]*\|$", "|", rows, flags=re.MULTILINE))) == set(
        COMMANDS
    )


def test_the_distribution_is_named_alike_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"reconciler": "reconciler.__main__:main"}
    for page in ("README.md", "docs/ci.md"):
        installed = re.findall(
            r"(?:pip|pipx|uv tool) install ([a-z][\w-]*)", (ROOT / page).read_text(encoding="utf-8")
        )
        assert installed
        assert set(installed) == {project["name"]}, page


def test_the_changelog_knows_this_version() -> None:
    versions = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert versions[0] == __version__


def test_the_image_is_built_from_all_that_the_wheel_holds() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    parts = {*wheel["targets"]["wheel"]["packages"], *wheel["targets"]["wheel"]["force-include"]}
    copied = set(
        re.findall(r"^COPY (\w+) \1$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    sent = set(re.findall(r"^!(\w+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE))
    assert parts <= copied
    assert parts <= sent
