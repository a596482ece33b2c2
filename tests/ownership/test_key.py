"""The rule of a key: one pattern, in code and schemas."""

from __future__ import annotations

import pytest

from reconciler.ownership.key import KEY_PATTERN, is_key, parse_identity, suggest_key
from reconciler.ownership.tag import Identity
from reconciler.schemas import load_schema, schema_text


def test_the_schemas_have_the_same_rule() -> None:
    rule = f"^{KEY_PATTERN}$"
    catalog, manifest = schema_text("catalog"), schema_text("manifest")
    assert load_schema("catalog")["properties"]["catalog"]["pattern"] == rule
    assert rule in manifest
    # Whatever starts like the rule is the rule, and so has the same length.
    assert (catalog + manifest).count("[a-z0-9][") == (catalog + manifest).count(KEY_PATTERN)


@pytest.mark.parametrize("text", ["a", "0", "a.b_c-d", "a" * 63])
def test_a_key(text: str) -> None:
    assert is_key(text)
    assert suggest_key(text) == text


@pytest.mark.parametrize("text", ["", "A", "-a", ".a", "a b", "a\n", "a" * 64, "é"])
def test_no_key(text: str) -> None:
    assert not is_key(text)
    assert suggest_key(text) == "" or is_key(suggest_key(text))


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("alice", Identity("shop", "staging", "alice")),
        ("library/alice", Identity("library", None, "alice")),
        ("library@production/alice", Identity("library", "production", "alice")),
        ("library@/alice", None),
        ("a/b/c", None),
        ("Alice", None),
    ],
)
def test_an_identity(text: str, identity: Identity | None) -> None:
    assert parse_identity(text, "shop", "staging") == identity
