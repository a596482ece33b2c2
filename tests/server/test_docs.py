"""``docs/server.md`` matches the code, and its example works."""

from __future__ import annotations

import re
from pathlib import Path

from reconciler.contract import load_contract
from reconciler.server.faults import KINDS
from reconciler.server.quirks import quirk_help

PAGE = (Path(__file__).parents[2] / "docs" / "server.md").read_text(encoding="utf-8")


def test_every_quirk_is_listed_as_the_help_words_it() -> None:
    for name, text in quirk_help():
        assert f"| `{name.replace('|', chr(92) + '|')}` | {text} |" in PAGE


def test_every_kind_of_fault_is_listed() -> None:
    for kind, text in KINDS.items():
        assert f"| `{kind}` | {text} |" in PAGE


def test_the_example_of_rules_can_be_read(tmp_path: Path) -> None:
    from reconciler.server.faults import load_faults

    example = re.search(r"```yaml\n(.*?)```", PAGE.partition("## Faults")[2], re.DOTALL)
    assert example is not None
    file = tmp_path / "faults.yaml"
    file.write_text(example[1], encoding="utf-8")
    faults = load_faults(file, load_contract().operations)
    assert [fault.kind for fault in faults] == ["status", "cut", "rate-limit", "latency"]


def test_the_example_of_a_chat_script_can_be_read(tmp_path: Path) -> None:
    from reconciler.server.chat import read_script

    example = re.search(r"```yaml\n(.*?)```", PAGE.partition("## Chat")[2], re.DOTALL)
    assert example is not None
    file = tmp_path / "script.yaml"
    file.write_text(example[1], encoding="utf-8")
    assert [rule.finish for rule in read_script(file)] == ["stop", "stop", "content_filter"]


def test_the_example_of_a_test_passes() -> None:
    example = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    exec(compile(example[1], "docs/server.md", "exec"), {})
