"""Templates in prompts: what they can do, and what they can't."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.catalog import load_catalog, template_worker
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


DATA = {
    "menu": {"items": ["tea"], "get": "one"},
    "mixed": [1, 2.5, True, None, "é", {"a": []}],
    "yes": True,
    "nothing": None,
    "half": "\ud83d",
}

WRITTEN = {
    "a key of a mapping wins over its method": ("{{ menu.items }} {{ menu.get }}", '["tea"] one'),
    "a boolean and null": ("{{ yes }} {{ nothing }} {{ not yes }}", "true null false"),
    "a list": ("{{ mixed }}", '[1, 2.5, true, null, "é", {"a": []}]'),
    "a mapping": ("{{ menu }}", '{"items": ["tea"], "get": "one"}'),
    "pairs": ("{{ {'a': 1}.items() | list }}", '[["a", 1]]'),
    "joined by an operator": ("{{ 'a' ~ yes ~ mixed[:1] }}", "atrue[1]"),
    "joined by a filter": ("{{ mixed[:4] | join(yes) }}", "1true2.5truetruetruenull"),
    "joined by an attribute": ("{{ [{'a': yes}, {'a': 2}] | join('-', attribute='a') }}", "true-2"),
    "through a filter for text": ("{{ yes | upper }} {{ nothing | string | length }}", "TRUE 4"),
    "replaced": ("{{ 'a-b' | replace('-', yes) }}{{ 'a' | replace(old='a', new=nothing) }}", "atruebnull"),
    "where a loop is": (
        "{% for one in [1, 2] %}{{ loop.index }}/{{ loop.length }}{{ ', ' if not loop.last }}{% endfor %}",
        "1/2, 2/2",
    ),
    "by turns": (
        "{% for one in [1, 2] %}{{ loop.cycle('a', 'b') }}{{ loop.changed(1) }}{% endfor %}",
        "atruebfalse",
    ),
    "through a block": ("{% filter upper %}{{ yes }}{% endfilter %}", "TRUE"),
}


@pytest.mark.parametrize(("template", "text"), WRITTEN.values(), ids=WRITTEN.keys())
def test_values_are_written_as_in_yaml_and_json(render: Renderer, template: str, text: str) -> None:
    assert render(template, DATA) == text


_FUNCTION = ("the template writes a function, not a value", "add `()` to call it")
_ITERATOR = ("the template writes an iterator, which has no text", "add `| list`, or `| join(', ')`")
_OTHER = (
    "the template writes something that is not a string, number, boolean, null, list or mapping",
    "write one of its values",
)
_HALF = (
    "the template writes a lone surrogate, half of a character",
    "remove it from the template or its variables",
)

NOT_WRITTEN = {
    "a method": ("{{ menu.keys }}", *_FUNCTION),
    "a method in a list": ("{{ [menu.keys] }}", *_FUNCTION),
    "a method joined by an operator": ("{{ 'a' ~ menu.keys }}", *_FUNCTION),
    "a method joined by a filter": ("{{ [menu.keys] | join }}", *_FUNCTION),
    "a method through a filter for text": ("{{ menu.keys | string }}", *_FUNCTION),
    "a method as a replacement": ("{{ 'a' | replace('a', menu.keys) }}", *_FUNCTION),
    "a method through a block": ("{% set x %}{{ menu.keys }}{% endset %}", *_FUNCTION),
    "a function": ("{{ range }}", *_FUNCTION),
    "a range": ("{{ range(3) }}", *_ITERATOR),
    "a generator": ("{{ mixed | map('string') }}", *_ITERATOR),
    "a view of a mapping": ("{{ menu.keys() }}", *_ITERATOR),
    "the loop": ("{% for one in mixed %}{{ loop }}{% endfor %}", *_OTHER),
    "the template itself": ("{{ self }}", *_OTHER),
    "what a key hides": (
        "{{ menu.items() }}",
        "the template calls a value that is not a function",
        "a mapping's own keys take precedence over its methods; for its pairs, write `| dictsort`",
    ),
    "infinity": (
        "{{ 1e308 * 10 }}",
        "the template writes a number that is infinite or undefined",
        "limit the number",
    ),
    "a number as a key": (
        "{{ {1: 2} }}",
        "the template writes a mapping with a key that is not a string",
        "quote the key",
    ),
    "NUL": (
        r"{{ '\0' }}",
        "the template writes a NUL character",
        "remove it from the template or its variables",
    ),
    "a lone surrogate": ("{{ half }}", *_HALF),
    "a lone surrogate in a list": ("{{ [half] }}", *_HALF),
    "a lone surrogate by its escape": (r"{{ '\udc00' }}", *_HALF),
}


@pytest.mark.parametrize(("template", "message", "hint"), NOT_WRITTEN.values(), ids=NOT_WRITTEN.keys())
def test_nothing_else_is_written(render: Renderer, template: str, message: str, hint: str) -> None:
    with pytest.raises(RenderError) as caught:
        render(f"A line.\n{template}\n", DATA)
    assert (caught.value.message, caught.value.hint, caught.value.line) == (message, hint, 2)


def test_a_text_that_differs_between_two_renderings_is_refused() -> None:
    environment = template_worker._Environment()
    numbers = itertools.count()
    environment.globals["tick"] = lambda: next(
        numbers
    )  # nothing like it is there: this stands for a mistake of ours
    assert template_worker.render(environment, "{{ [tick() // 2] }}", {}) == {"text": "[0]"}
    assert template_worker.render(environment, "{{ tick() }}", {}) == {
        "message": "the template renders to a different text each time",
        "hint": "remove what differs: a prompt has to stay the same until its sources change",
    }


def test_another_process_renders_the_same_text(render: Renderer) -> None:
    templates = [template for template, _ in WRITTEN.values()]
    with Renderer() as other:
        assert [render(one, DATA) for one in templates] == [other(one, DATA) for one in templates]


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
