"""Templates in prompts: what they can do, and what they can't."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.catalog import load_catalog
from reconciler.catalog.prompts import RenderError
from reconciler.catalog.templating import Renderer
from reconciler.errors import CatalogError
from tests.catalog.sandbox_corpus import BOMBS, ESCAPES

VARIABLES = {"name": "Alice", "x": {"a": 1}, "xs": [1, 2]}


@pytest.fixture(scope="module")
def render() -> Iterator[Renderer]:
    with Renderer() as renderer:
        yield renderer


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Hello {{ name }}.", "Hello Alice."),
        ("{% for one in xs %}- {{ one }}\n{% endfor %}", "- 1\n- 2\n"),
        ("{% if x.a == 1 %}yes{% else %}no{% endif %}", "yes"),
        ("{{ name | upper }} {{ xs | join(', ') }}", "ALICE 1, 2"),
        ("{{ nope | default('nobody') }}", "nobody"),
        ("{{ 6 * 7 }} {{ 7 % 4 }}", "42 3"),
        ("{% raw %}{{ char }}{% endraw %}", "{{ char }}"),
        ("{# a remark #}你好，{{ name }}\n", "你好，Alice\n"),
        ("{% set greeting = 'Hi' %}{{ greeting }}", "Hi"),
    ],
)
def test_what_a_template_may_do(render: Renderer, template: str, text: str) -> None:
    assert render(template, VARIABLES) == text


@pytest.mark.parametrize("template", ESCAPES)
def test_no_way_out(render: Renderer, template: str) -> None:
    with pytest.raises(RenderError):
        render(template, VARIABLES)


@pytest.mark.parametrize("template", BOMBS, ids=lambda template: template[:40])
def test_no_way_to_use_up_the_machine(render: Renderer, template: str) -> None:
    # The renderer itself gives up on a template after a second, and on 512 MiB.
    with pytest.raises(RenderError):
        render(template, VARIABLES)


def test_there_are_enough_of_them() -> None:
    assert len(ESCAPES) + len(BOMBS) >= 40


def test_after_a_bomb_the_next_template_is_rendered(render: Renderer) -> None:
    with pytest.raises(RenderError):
        render(BOMBS[5], VARIABLES)
    assert render("Hello {{ name }}.", VARIABLES) == "Hello Alice."


@pytest.mark.parametrize("template", [*ESCAPES[:5], *BOMBS[:3]])
def test_each_is_refused_with_its_file_and_line(tmp_path: Path, template: str) -> None:
    (tmp_path / "catalog.yaml").write_text(
        "version: 1\ncatalog: shop\nsessions:\n  a:\n    name: A\n    model: m\n"
        "    prompt: [{file: a.md, template: jinja}]\n",
        encoding="utf-8",
    )
    (tmp_path / "a.md").write_text(f"One line.\nAnother line.\n{template}\n", encoding="utf-8")
    with pytest.raises(CatalogError) as caught:
        load_catalog(tmp_path)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == ("a.md", 3)


@pytest.mark.parametrize(
    "text", ["{{ char }}", "{% if %}", "${name}", "$$", "```\n---\n```", "{# x #}", "{{ 1/0 }}"]
)
def test_nothing_is_interpreted_by_default(tmp_path: Path, text: str) -> None:
    (tmp_path / "catalog.yaml").write_text(
        "version: 1\ncatalog: shop\nfragments: {f: {file: f.md}}\nsessions:\n  a:\n    name: A\n    model: m\n"
        "    prompt: [{file: a.md}, {fragment: f}]\n",
        encoding="utf-8",
    )
    for name in ("a.md", "f.md"):
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert load_catalog(tmp_path).sessions["a"].prompt == f"{text}\n\n{text}"
