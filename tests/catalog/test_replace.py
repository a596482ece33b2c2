"""Several files are written all or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.catalog.replace import replaced
from reconciler.errors import ReconcilerError


def files(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text() if path.is_file() else "" for path in root.rglob("*")
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a").write_text("old a")
    (tmp_path / "b").write_text("old b")
    return tmp_path


def test_files_are_replaced_created_and_removed(folder: Path) -> None:
    with replaced(folder, {"a": b"new a", "sub/sub/c": b"new c", "b": None, "d": None}):
        pass
    assert files(folder) == {"a": "new a", "sub": "", "sub/sub": "", "sub/sub/c": "new c"}


def test_they_are_in_place_within_the_block(folder: Path) -> None:
    with replaced(folder, {"a": b"new a", "b": None}):
        assert files(folder) == {"a": "new a"}


def test_a_failing_block_leaves_everything_unchanged(folder: Path) -> None:
    (folder / "a").chmod(0o600)
    with pytest.raises(KeyError), replaced(folder, {"a": b"new a", "sub/c": b"new c", "b": None}):
        raise KeyError
    assert files(folder) == {"a": "old a", "b": "old b"}
    assert (folder / "a").stat().st_mode & 0o777 == 0o600


def test_an_unwritable_file_leaves_everything_unchanged(folder: Path) -> None:
    (folder / "sub").mkdir()
    with (
        pytest.raises(ReconcilerError, match="this can't be written: is a directory"),
        replaced(folder, {"a": b"new a", "x/c": b"new c", "sub": b"x"}),
    ):
        raise AssertionError
    assert files(folder) == {"a": "old a", "b": "old b", "sub": ""}


def test_nothing_is_written_outside(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (folder / "sub").symlink_to(outside)
    (folder / "link").symlink_to(outside / "file")
    for path in ("sub/c", "link", "../c"):
        with (
            pytest.raises(ReconcilerError, match="this leads out of the folder through a symlink"),
            replaced(folder, {"a": b"new a", path: b"x"}),
        ):
            raise AssertionError
    assert list(outside.iterdir()) == []
    assert (folder / "a").read_text() == "old a"


def test_a_missing_folder_is_created(tmp_path: Path) -> None:
    with replaced(tmp_path / "x/y", {"a/b": b"1"}):
        pass
    assert (tmp_path / "x/y/a/b").read_text() == "1"


def test_a_created_folder_is_removed_again(tmp_path: Path) -> None:
    with pytest.raises(KeyError), replaced(tmp_path / "x/y", {"a/b": b"1"}):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
