"""What a plan says of a session that has another key now."""

from __future__ import annotations

import pytest

from reconciler.render import RenderOptions, render_plan
from tests.render.sample import action, plan


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
@pytest.mark.parametrize(
    ("environment", "before", "shown"),
    [
        (None, "shop/clerk", "clerk"),
        ("staging", "shop@staging/clerk", "clerk"),
        ("staging", "shop/clerk", "shop/clerk"),
        (None, "shop@staging/clerk", "shop@staging/clerk"),
        (None, "old/clerk", "old/clerk"),
        (None, "shop/head", "shop/head"),  # the catalog of this name that has another id
    ],
)
def test_within_a_catalog_a_move_names_the_key_alone(
    form: str, environment: str | None, before: str, shown: str
) -> None:
    moved = action("move", "head", 1, "Head", f"was {before}", **{"from": before})
    text = render_plan(plan(moved, catalog="shop", environment=environment), form, options=RenderOptions())
    where = f"moved from `{shown}`" if form == "markdown" else f"moved from {shown}"
    assert where in text.replace("<bdi>", "").replace("</bdi>", "")
    if shown != before:
        assert before not in text
