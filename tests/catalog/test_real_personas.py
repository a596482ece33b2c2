"""The personas of a public collection, as a catalog: what is written is what is read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.tags import sizes as tag_sizes
from reconciler import load_catalog
from reconciler.text.normalise import normalise_prompt
from tests.catalog.support import CATALOG, load

REPOSITORY = Path(__file__).parents[2]
DATA = Path(os.environ.get("RECONCILER_TEST_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(scope="module")
def personas() -> dict[str, Any]:
    file = DATA / "personas.jsonl"
    if not file.is_file():
        pytest.skip(f"{file} is not here")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {
        f"p{number:03}": {"name": row["name"], "prompt": row["prompt"]} for number, row in enumerate(rows)
    }


@pytest.mark.parametrize("way", ["yaml", "block", "json", "files"])
def test_personas(personas: dict[str, Any], way: str, tmp_path: Path) -> None:
    files: dict[str, Any] = {}
    if way == "yaml":
        files["sessions/a.yaml"] = yaml.safe_dump({"sessions": personas}, allow_unicode=True)
    elif way == "json":
        files["sessions/a.yaml"] = json.dumps({"sessions": personas}, ensure_ascii=False)
    elif way == "files":
        sessions = {key: {**one, "prompt": {"file": f"prompts/{key}.md"}} for key, one in personas.items()}
        files["sessions/a.yaml"] = json.dumps({"sessions": sessions}, ensure_ascii=False, indent=1)
        files |= {f"prompts/{key}.md": one["prompt"] for key, one in personas.items()}
    else:
        text = "sessions:\n"
        for key, one in personas.items():
            prompt = "".join(f"      {line}\n" for line in one["prompt"].splitlines())
            text += (
                f"  {key}:\n    name: {json.dumps(one['name'], ensure_ascii=False)}\n    prompt: |2\n{prompt}"
            )
        files["sessions/a.yaml"] = text.replace("|2", "|2")
    catalog = load(tmp_path, {"catalog.yaml": CATALOG, **files})
    found = {key: (one.name, one.prompt) for key, one in catalog.sessions.items()}
    assert found == {key: (one["name"], normalise_prompt(one["prompt"])) for key, one in personas.items()}


def test_the_tag_of_a_persona_takes_at_most_200_bytes(personas: dict[str, Any]) -> None:
    """With names of 20 characters, eight fields and both ids, whatever the service keeps of the fields."""
    for what, found in tag_sizes(personas.values()).items():
        assert (len(found), max(found) <= 200) == (223, True), what


def test_the_example_in_the_repository() -> None:
    catalog = load_catalog(REPOSITORY / "examples" / "bookshop")
    assert catalog.name == "bookshop"
    assert len(catalog.sessions) >= 12
