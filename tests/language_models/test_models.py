"""Lists of models: the account's, a file's, and the one that ships."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from reconciler.api.errors import ApiError
from reconciler.errors import ReconcilerError
from reconciler.language_models import offered, read_models, shipped
from tests import warm


def run(*flags: str) -> str:
    """What ``reconciler models`` prints."""
    done = warm.run(["models", *flags])
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_list_that_ships() -> None:
    known = shipped()
    assert known.shipped and re.fullmatch(r"20\d\d-\d\d-\d\d", known.date)
    assert {"deepseek-chat", "deepseek-reasoner", "gpt-4o-mini"} <= set(known.models)
    for model in known.models.values():
        assert model.context and model.context >= 4096
        assert model.temperature and model.temperature[0] == 0 and 1 <= model.temperature[1] <= 2


def test_it_is_marked_as_such() -> None:
    lines = run("--known").splitlines()
    count, date = len(shipped().models), shipped().date
    assert lines[0] == f"{count} models known at release, {date}: what the account offers may differ"
    assert re.fullmatch(r"  deepseek-chat +reads 131,072 tokens, temperature 0 to 2", lines[1])


def test_what_the_account_offers(tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    said = run("--endpoint", "local", "--state-dir", str(tmp_path / "state"), "--out", str(file))
    assert said.splitlines() == [
        "2 models on local",
        "  deepseek-chat      reads 131,072 tokens, temperature 0 to 2",
        "  deepseek-reasoner  reads 131,072 tokens, temperature 0 to 2",
        f"Written to {file}.",
    ]
    models = read_models(file)
    assert set(models.models) == {"deepseek-chat", "deepseek-reasoner"} and not models.shipped
    assert re.fullmatch(r"the models in models\.json, taken 20\d\d-\d\d-\d\dT[\d:]+Z", models.origin)
    document = json.loads(
        run("--endpoint", "local", "--state-dir", str(tmp_path / "state"), "--format", "json")
    )
    assert document["models"] == json.loads(file.read_text())["models"]


def test_an_answer_that_is_no_list() -> None:
    for body in (None, [], {}, {"data": {}}, {"data": [1]}, {"data": [{"id": ""}]}, {"data": [{"id": 3}]}):
        with pytest.raises(ApiError) as raised:
            offered(body, "the models of a test", "")
        assert str(raised.value) == (
            'listing models: the answer is not a list of models: `{"data": [{"id": …}, …]}`'
        )


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"models_version": 2, "models": []}', '{"data": [{}]}', "[" * 9999]
)
def test_a_file_that_is_no_list(text: str, tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    file.write_text(text)
    with pytest.raises(ReconcilerError) as raised:
        read_models(file)
    [problem] = raised.value.problems
    assert problem.message == f"{file} is not a list of models that this version can read"
    assert problem.hint == "`reconciler models --out=FILE` writes one"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ReconcilerError, match="can't be read: no such file or directory"):
        read_models(tmp_path / "models.json")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("deepseek-chatt", "deepseek-chat"),
        ("DeepSeek-Chat", "deepseek-chat"),
        ("gpt4o-mini", "gpt-4o-mini"),
        ("zzz", None),
    ],
)
def test_the_nearest(name: str, near: str | None) -> None:
    assert shipped().nearest(name) == near
