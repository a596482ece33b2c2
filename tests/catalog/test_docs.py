"""The examples in the documentation are a valid catalog, and its figures are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from reconciler.catalog import budget, files, layers, problems, templating
from reconciler.strict_yaml import faults, scalars
from reconciler.strict_yaml import read as strict_yaml
from tests.catalog.support import complaint
from tests.catalog.support import load as load_files

TEXT = (Path(__file__).parents[2] / "docs" / "catalog.md").read_text(encoding="utf-8")
EXAMPLE = {
    path: f"# {path}\n{text}"
    for path, text in re.findall(r"```yaml\n# (\S+\.yaml)\n(.*?)```", TEXT, re.DOTALL)
}


def test_the_example_loads(tmp_path: Path) -> None:
    catalog = load_files(tmp_path, {**EXAMPLE, "prompts/night.md": "Good night.\n"})
    assert {key: one.prompt for key, one in catalog.sessions.items()} == {
        "alice": "You are {{char}}, and you know every book in the shop.",
        "night": "Good night.",
    }


def test_the_example_of_a_problem(tmp_path: Path) -> None:
    readers = EXAMPLE["sessions/readers.yaml"].replace("{temperature: 0.3}", "{temprature: 0.3}")
    said = complaint(tmp_path, {**EXAMPLE, "sessions/readers.yaml": readers, "prompts/night.md": ""})
    told = re.search(r"^sessions/readers.*?`temperature`\?$", TEXT, re.DOTALL | re.MULTILINE)
    assert told
    lines = [re.sub(r"\d+", "N", line) for line in told.group().splitlines()]
    assert [re.sub(r"\d+", "N", line) for line in said.splitlines()] == lines


def test_the_figures() -> None:
    for figure in (
        f"{strict_yaml.MAX_ALIAS_VALUES:,} values or {strict_yaml.MAX_ALIAS_TEXT // 2**20} MiB",
        f"more than {faults.MAX_DEPTH} levels",
        f"more than {scalars.MAX_DIGITS:,} digits",
        f"{files.MAX_FILE // 2**20} MiB; of YAML, {strict_yaml.MAX_VALUES:,} values",
        f"{files.MAX_FILES:,}, together at most {budget.MAX_DISK // 2**30} GiB",
        f"{budget.MAX_SESSIONS:,}, or one for each {budget.BYTES_A_SESSION} bytes on disk",
        f"{budget.MAX_TEXT // 2**20} MiB, or {budget.TEXT_A_BYTE} times what is on disk",
        f"{budget.MAX_VALUES:,}, or one for each {budget.BYTES_A_VALUE} bytes on disk",
        f"{budget.MAX_STEPS:,} comparisons and cells",
        f"{budget.MAX_ENTRIES:,} entries",
        f"a folder counts for {budget.ENTRIES_A_FOLDER} more",
        f"{templating.TIME:g} s each, {budget.MAX_RENDERING:g} s together",
        f"100; together they read at most {budget.MAX_READ // 2**20} MiB",
        f"up to {layers.MAX_TEMPLATES} levels deep",
        f"the first {problems.MAX_PROBLEMS:,}",
    ):
        assert figure in TEXT
