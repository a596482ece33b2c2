"""Usage errors: exit code 64, as text and as JSON."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Shell


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("plann",), "Error: there is no command 'plann'. Did you mean 'plan'?\n"),
        (("xyz",), "Error: there is no command 'xyz'.\n"),
        (("plan", "nowhere"), "Error: Invalid value for '[CATALOG]': Directory 'nowhere' does not exist.\n"),
        (("plan", "shop", "shop"), "Error: Got unexpected extra argument (shop)\n"),
        (("plan", "--format", "yaml"), "Error: Invalid value for '--format': 'yaml' is not one of "),
        (
            ("plan", "--max-deletes", "many"),
            "Error: Invalid value for '--max-deletes': 'many' is neither a count like 10 nor a percentage like 5%.\n",
        ),
        (
            ("plan", "--parallelism", "0"),
            "Error: Invalid value for '--parallelism': 0 is not in the range 1<=x<=64.\n",
        ),
        (
            ("apply", "--settle", "-1"),
            "Error: Invalid value for '--settle': -1.0 is not in the range x>=0.\n",
        ),
    ],
)
def test_wrong_usage_is_exit_code_64(shop: Shell, words: tuple[str, ...], said: str) -> None:
    done = shop.run(*words)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.startswith("Usage: reconciler ")
    assert said in done.stderr


def test_wrong_usage_as_json(shop: Shell) -> None:
    for words in (("apply", "shop", "--settle", "-1"), ("plan", "nowhere"), ("explain", "alice", "bob")):
        document = shop.json(*words, code=64)
        assert document["exit_code"] == 64
        assert len(document["errors"]) == 1
    assert document["errors"][0]["message"] == "Got unexpected extra argument (bob)"
