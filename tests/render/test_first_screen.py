"""What a reviewer must know is on the first screen: of the log, of the comment, and of the page."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.render.screens import CHROMIUM, chromium, first_rows, in_view, shown
from tests.render.ten_plans import TEN

in_chromium = pytest.mark.skipif(
    not CHROMIUM and not os.environ.get("CI"), reason="there is no Chromium here, and this is no CI"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


def missing(name: str, text: str) -> list[str]:
    """The words that are not there. A line that is wrapped goes on after its mark."""
    text = " ".join(re.sub(r"\s*[|!]? ?↳", "", text).split())
    return [word for word in TEN[name]().words if word not in text]


@pytest.mark.parametrize("name", TEN)
def test_the_first_rows_of_the_log(name: str) -> None:
    assert missing(name, first_rows(TEN[name]().document)) == []


@in_chromium
@pytest.mark.parametrize("name", TEN)
def test_the_top_of_the_comment(browser: Any, tmp_path: Path, name: str) -> None:
    with shown(browser, "comment", TEN[name]().document, tmp_path) as opened:
        assert missing(name, in_view(opened)) == []


@in_chromium
@pytest.mark.parametrize("name", TEN)
def test_the_first_screen_of_the_page(browser: Any, tmp_path: Path, name: str) -> None:
    with shown(browser, "page", TEN[name]().document, tmp_path) as opened:
        text = in_view(opened)
    # The totals are buttons: a number, a symbol and a word.
    totals = re.sub(r"(\d) ?[+~−=>/!·-]? ?(?=[a-z])", r"\1 to ", text)
    assert missing(name, f"{text} {totals}") == []
