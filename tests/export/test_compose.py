"""The texts of an exported catalog."""

from __future__ import annotations

from typing import Any

from reconciler.domain import Lifecycle
from reconciler.export import compose_catalog, select_sessions
from tests.support import live, snapshot, wanted, written

ALICE = live(
    3,
    name="Alice",
    prompt="You are Alice.\n\nBe kind.\n",
    temperature=0.2,
    max_tokens=4000,
    data={"shelf": "reading-room", "hours": ["10:00", "18:00"], "desk": {"number": 4, "near": ["window"]}},
    remark='{"created_user":"lery"}',
)
KEEPER = written(
    wanted(
        "vault",
        name="顾掌柜",
        prompt="看门。",
        parameters={"temperature": 0.2, "max_tokens": 100},
        lifecycle=Lifecycle(prevent_destroy=True),
    ),
    5,
)
BELL = live(8, name="Bell: the 2nd", model="gpt-4o-mini", prompt="ring\x07", temperature=0.2, max_tokens=4000)


def composed(*sessions: Any, **options: Any) -> dict[str, str]:
    return compose_catalog(select_sessions(snapshot(*sessions), catalog="bookshop"), **options)


def test_a_manifest_for_each_session_and_what_most_share_as_defaults() -> None:
    assert composed(ALICE, KEEPER, BELL) == {
        "sessions/alice.yaml": """\
sessions:
  alice:
    adopt: 3
    name: Alice
    prompt: |
      You are Alice.

      Be kind.
    data:
      shelf: reading-room
      hours: ["10:00", "18:00"]
      desk:
        number: 4
        near: [window]
    remark: {created_user: lery}
""",
        "sessions/vault.yaml": """\
sessions:
  vault:
    name: 顾掌柜
    prompt: |
      看门。
    parameters: {max_tokens: 100}
    lifecycle: {prevent_destroy: true}
""",
        "sessions/bell-the-2nd.yaml": """\
sessions:
  bell-the-2nd:
    adopt: 8
    name: "Bell: the 2nd"
    model: gpt-4o-mini
    prompt: "ring\\x07"
""",
        "catalog.yaml": """\
# `adopt` is the id of the live session that a key takes over. Remove it once the adoption is applied.
version: 1
catalog: bookshop

defaults:
  model: deepseek-chat
  parameters: {temperature: 0.2, max_tokens: 4000}
""",
    }


def test_one_manifest_for_all_and_prompts_in_files() -> None:
    assert composed(ALICE, KEEPER, BELL, layout="one", prompt_files=True) == {
        "sessions/sessions.yaml": """\
sessions:
  alice:
    adopt: 3
    name: Alice
    prompt: {file: prompts/alice.md}
    data:
      shelf: reading-room
      hours: ["10:00", "18:00"]
      desk:
        number: 4
        near: [window]
    remark: {created_user: lery}

  vault:
    name: 顾掌柜
    prompt: {file: prompts/vault.md}
    parameters: {max_tokens: 100}
    lifecycle: {prevent_destroy: true}

  bell-the-2nd:
    adopt: 8
    name: "Bell: the 2nd"
    model: gpt-4o-mini
    prompt: "ring\\x07"
""",
        "prompts/alice.md": "You are Alice.\n\nBe kind.\n",
        "prompts/vault.md": "看门。\n",
        "catalog.yaml": composed(ALICE, KEEPER, BELL)["catalog.yaml"],
    }


def test_a_parameter_that_one_session_does_not_have_is_no_default() -> None:
    files = composed(live(1, temperature=1), live(2, temperature=1), live(3))
    assert "parameters" not in files["catalog.yaml"]
    assert "parameters: {temperature: 1}" in files["sessions/alice.yaml"]
    assert "parameters" not in files["sessions/alice-3.yaml"]


def test_what_no_more_than_half_share_is_no_default() -> None:
    assert (
        composed(live(1, temperature=1), live(2, temperature=0, model="x"))["catalog.yaml"]
        == """\
# `adopt` is the id of the live session that a key takes over. Remove it once the adoption is applied.
version: 1
catalog: bookshop
"""
    )


def test_nothing_but_managed_sessions_needs_no_adopting() -> None:
    files = composed(written(wanted("no"), 1))
    assert files["catalog.yaml"] == "version: 1\ncatalog: bookshop\n"
    assert files["sessions/no.yaml"].startswith('sessions:\n  "no":\n    name: Alice\n')


def test_catalog_yaml_is_written_last() -> None:
    assert list(composed(ALICE, BELL, prompt_files=True))[-1] == "catalog.yaml"


def test_an_environment_is_declared_for_its_sessions() -> None:
    selection = select_sessions(snapshot(live(1)), catalog="bookshop", environment="staging")
    assert (
        compose_catalog(selection)["catalog.yaml"]
        == """\
# `adopt` is the id of the live session that a key takes over. Remove it once the adoption is applied.
version: 1
catalog: bookshop

environments:
  staging:
    sessions:
      alice: {adopt: 1}
"""
    )
