"""``reconciler list``: who manages which live session."""

from __future__ import annotations

import shutil

import pytest

from reconciler.schemas import check_document
from reconciler.server import RunningServer
from tests.cli.conftest import Shell, writes


@pytest.fixture
def account(shop: Shell, server: RunningServer) -> Shell:
    """Two sessions of the shop, one of another catalog, and two that nobody manages."""
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    shutil.copytree(shop.root, shop.folder / "cafe", ignore=shutil.ignore_patterns(".reconciler"))
    head = shop.folder / "cafe" / "catalog.yaml"
    head.write_text(head.read_text().replace("bookshop", "cafe"))
    manifest = shop.folder / "cafe" / "sessions" / "all.yaml"
    manifest.write_text("sessions:\n  carl: {name: Carl, prompt: Be warm.}\n")
    assert shop.run("apply", "cafe", "--auto-approve").returncode == 0
    server.store.insert_session(name="By Hand", model="gpt-4o", prompt="x", updated_at="2024-09-12 15:13:22")
    server.store.insert_session(
        name="打烊\x1b[31m", model="gpt-4o", prompt="x", updated_at="2024-09-12 15:13:23"
    )
    return shop


def test_every_live_session_is_listed_with_its_owner(account: Shell) -> None:
    done = account.run("list", "shop")
    assert done.returncode == 0, done.stderr
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["ID", "NAME", "OWNER", "MODEL", "UPDATED"]
    cells = [row.split("  ") for row in rows]
    found = [[cell.strip() for cell in row if cell.strip()] for row in cells]
    owners = {row[1]: row[2] for row in found}
    assert owners == {
        "Alice": "alice",
        "Bob": "bob",
        "Carl": "cafe/carl",
        "By Hand": "-",
        "打烊\\x1b[31m": "-",
    }
    assert found[3] == ["4", "By Hand", "-", "gpt-4o", "2024-09-12 15:13:22"]
    assert done.stderr == "5 of 5 sessions.\n"


def test_the_columns_line_up_where_characters_are_wide(account: Shell) -> None:
    from reconciler.text.width import cells

    lines = account.run("list", "shop", "--unmanaged").stdout.splitlines()
    assert len({cells(line[: line.index("gpt-4o")]) for line in lines[1:]}) == 1


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (("--unmanaged",), ["By Hand", "打烊\x1b[31m"]),
        (("--foreign",), ["Carl"]),
        (("--unmanaged", "--foreign"), ["Carl", "By Hand", "打烊\x1b[31m"]),
        (("--name", "Alice"), ["Alice"]),
        (("--name", "*a*"), ["Carl", "By Hand"]),
        (("--name", "*a*", "--foreign"), ["Carl"]),
        (("--name", "nobody"), []),
    ],
)
def test_the_list_is_narrowed(account: Shell, flags: tuple[str, ...], names: list[str]) -> None:
    document = account.json("list", "shop", *flags)
    assert [one["name"] for one in document["sessions"]] == names
    assert document["total"] == 5


def test_the_list_as_json_fits_its_schema(account: Shell, server: RunningServer) -> None:
    document = account.json("list", "shop")
    assert check_document(document, "list") == []
    assert [one["owner"] for one in document["sessions"]] == [
        "managed",
        "managed",
        "foreign",
        "unmanaged",
        "unmanaged",
    ]
    alice, *_, by_hand, _ = document["sessions"]
    assert (alice["catalog"], alice["environment"], alice["key"]) == ("bookshop", None, "alice")
    assert by_hand == {
        "session_id": 4,
        "name": "By Hand",
        "model": "gpt-4o",
        "owner": "unmanaged",
        "catalog": None,
        "environment": None,
        "key": None,
        "created_at": by_hand["created_at"],
        "updated_at": "2024-09-12 15:13:22",
    }
    assert document["endpoint"] == server.url


def test_environments_of_one_catalog_are_told_apart(shop: Shell) -> None:
    sessions = {"alice": {"name": "Alice", "prompt": "Be kind."}}
    environments = {"staging": {}, "production": {}}
    shop.write(sessions, environments=environments, policy={"shared_account": True})
    for name in ("staging", "production"):
        assert shop.run("apply", "shop", "--env", name, "--auto-approve").returncode == 0
    lines = shop.run("list", "shop").stdout
    assert "bookshop@staging/alice" in lines
    assert "bookshop@production/alice" in lines
    assert {one["owner"] for one in shop.json("list", "shop")["sessions"]} == {"managed"}
    (other,) = shop.json("list", "shop", "--env", "staging", "--foreign")["sessions"]
    assert other["environment"] == "production"


def test_no_catalog_is_needed(account: Shell, server: RunningServer) -> None:
    before = len(writes(server))
    empty = account.folder / "empty"
    empty.mkdir()
    done = account.run("list", "empty")
    assert done.returncode == 0
    assert "bookshop/alice" in done.stdout
    assert account.run("list", "empty", "--env", "staging").returncode == 64
    assert len(writes(server)) == before
    assert list(empty.iterdir()) == []


def test_a_broken_catalog_yaml_is_said(account: Shell) -> None:
    (account.root / "catalog.yaml").write_text("version: 1\ncatalog: [\n")
    done = account.run("list", "shop")
    assert done.returncode == 1
    assert done.stderr.startswith("catalog.yaml:")
