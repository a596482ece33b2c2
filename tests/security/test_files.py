"""What a file in a checkout could do to whoever names it: fill the memory, wait for ever, or show another file."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from reconciler import disk
from reconciler.api.snapshot_file import read_snapshot
from reconciler.catalog.files import Root, UnreadableError
from reconciler.catalog.load import load
from reconciler.cli.planfile import read_plan
from reconciler.contract import load_contract
from reconciler.disk import MAX_DOCUMENT, MAX_FILE, read_named
from reconciler.errors import CatalogError, ReconcilerError
from reconciler.language_models import read_models
from reconciler.server.faults import load_faults
from reconciler.server.operations import served_operations
from reconciler.server.quirks import Quirks

SECRET = "the key of another account"


def _faults(path: Path) -> object:
    return load_faults(path, served_operations(load_contract(), Quirks()))


READERS: dict[str, tuple[Callable[[Path], object], int]] = {
    "the snapshot": (lambda path: read_snapshot(path, load_contract()), MAX_DOCUMENT),
    "the plan": (read_plan, MAX_DOCUMENT),
    "the models file": (read_models, MAX_FILE),
    "the contract": (load_contract, MAX_FILE),
    "the fault file": (_faults, MAX_FILE),
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    (root / ".git").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text(SECRET)
    return root


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10 * 2**30)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe": (os.mkfifo, "it is not a regular file"),
    "a folder": (Path.mkdir, "is a directory"),
    "a sparse file of 10 GiB": (sparse, "it is larger than {limit} MiB"),
    "a link to a device": (
        lambda path: path.symlink_to("/dev/zero"),
        "it leads out of {root} through a symbolic link",
    ),
    "a link out of the checkout": (
        lambda path: path.symlink_to("../outside/file"),
        "it leads out of {root} through a symbolic link",
    ),
}


@pytest.mark.parametrize("what", READERS)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_named_file_cannot_fill_the_memory_or_wait_or_lead_out(
    what: str, name: str, checkout: Path
) -> None:
    read, limit = READERS[what]
    make, why = HOSTILE[name]
    path = checkout / "file"
    make(path)
    with pytest.raises(ReconcilerError) as caught:
        read(path)
    (problem,) = caught.value.problems
    said = why.format(limit=limit // 2**20, root=checkout)
    assert problem.message.lower() == f"{what} {path} can't be read: {said}".lower()


def test_a_device_named_outside_of_a_checkout_is_not_read() -> None:
    with pytest.raises(OSError, match="it is not a regular file"):
        read_named(Path("/dev/zero"), MAX_FILE)


def test_a_folder_of_a_checkout_cannot_lead_out_of_it(checkout: Path) -> None:
    (checkout / "snapshots").symlink_to("../outside")
    with pytest.raises(OSError, match="it leads out of"):
        read_named(checkout / "snapshots" / "file", MAX_FILE)


def test_a_catalog_that_is_no_git_checkout_keeps_its_links_inside_too(checkout: Path) -> None:
    (checkout / ".git").rmdir()
    (checkout / "catalog.yaml").touch()
    (checkout / "file").symlink_to("../outside/file")
    with pytest.raises(OSError, match="it leads out of"):
        read_named(checkout / "file", MAX_FILE)


def test_a_link_within_the_checkout_is_followed_and_so_is_one_that_is_in_no_checkout(checkout: Path) -> None:
    (checkout / "real").write_text("inside")
    (checkout / "link").symlink_to("real")
    assert read_named(checkout / "link", MAX_FILE) == b"inside"
    (checkout.parent / "link").symlink_to("outside/file")
    assert read_named(checkout.parent / "link", MAX_FILE) == SECRET.encode()


@pytest.mark.parametrize("char", ["\0", "\n", "\x1b", "\x7f", "\x85", "\ud800"])
@pytest.mark.parametrize("path", ["prompts/{}.md", "{}/a.md", "a.md{}"])
def test_a_path_with_control_characters_is_an_error(path: str, char: str, tmp_path: Path) -> None:
    for use in (Root(tmp_path).read, Root(tmp_path).expand):
        with pytest.raises(UnreadableError) as caught:
            use(path.format(char))
        assert caught.value.message == f"contains U+{ord(char):04X}, which is not allowed in paths"


def test_a_name_with_nul_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="its name contains a NUL character"):
        read_named(tmp_path / "a\0b", MAX_FILE)


def _put(path: Path, make: Callable[[Path], object]) -> None:
    """Replace a path in one step, with what ``make`` makes."""
    new = path.with_name(f"{path.name}.new")
    make(new)
    if path.is_dir() and not path.is_symlink():
        path.rename(path.with_name(f"{path.name}.old"))
    new.rename(path)


def _swap_before_opening(monkeypatch: pytest.MonkeyPatch, swap: Callable[[], object]) -> None:
    """Let ``swap`` happen after the checks of a path, right before anything is opened by descriptor."""
    real, pending = disk.open_folder_below, [swap]

    def swapped(root: str, path: str) -> int:
        if pending:
            pending.pop()()
        return real(root, path)

    monkeypatch.setattr(disk, "open_folder_below", swapped)
    monkeypatch.setattr("reconciler.catalog.files.open_folder_below", swapped)


@pytest.mark.parametrize("swapped", ["sub", "sub/deep", "sub/deep/file"])
@pytest.mark.parametrize("reader", ["catalog", "named"])
def test_a_swap_during_a_read_leads_nowhere(
    reader: str, swapped: str, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (checkout, checkout.parent / "outside"):
        (folder / "sub" / "deep").mkdir(parents=True)
    outside = checkout.parent / "outside"
    (checkout / "sub/deep/file").write_text("inside")
    (outside / "sub/deep/file").write_text(SECRET)
    root = Root(checkout)
    _swap_before_opening(
        monkeypatch, lambda: _put(checkout / swapped, lambda new: new.symlink_to(outside / swapped))
    )
    read = {
        "catalog": lambda: root.read("sub/deep/file"),
        "named": lambda: read_named(checkout / "sub/deep/file", MAX_FILE),
    }[reader]
    with pytest.raises((UnreadableError, OSError)):
        read()


def test_no_swap_in_a_thousand_reads_leads_out(checkout: Path) -> None:
    outside = checkout.parent / "outside"
    (checkout / "sub").mkdir()
    (checkout / "sub" / "file").write_text("inside")
    done = threading.Event()

    def swap() -> None:
        folder, away, link = checkout / "sub", checkout / "away", checkout / "link"
        while not done.is_set():
            link.symlink_to(outside)
            folder.rename(away)
            link.rename(folder)
            folder.unlink()
            away.rename(folder)

    thread = threading.Thread(target=swap)
    thread.start()
    read = set()
    try:
        for number in range(1000):
            with suppress(UnreadableError, OSError):
                read.add(
                    Root(checkout).read("sub/file")
                    if number % 2
                    else read_named(checkout / "sub/file", MAX_FILE)
                )
    finally:
        done.set()
        thread.join()
    assert read <= {b"inside"}


def test_a_catalog_of_many_folders_cannot_use_up_the_file_descriptors(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"f{number}").mkdir()
        (tmp_path / f"f{number}" / "a").write_text(str(number))
    before = _open_descriptors()
    with Root(tmp_path) as root, root:
        assert [root.read(f"f{number}/a") for number in range(100)] == [
            b"%d" % number for number in range(100)
        ]
        assert len(root.expand("**/a")) == 100
        assert 0 < _open_descriptors() - before <= 32
    assert _open_descriptors() == before
    assert root.read("f7/a") == b"7"
    assert _open_descriptors() == before


def test_a_long_process_cannot_run_out_of_file_descriptors(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text(
        "version: 1\ncatalog: shop\nsessions:\n  alice: {name: Alice, model: m, prompt: {file: prompts/a.md}}\n"
    )
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "a.md").write_text("Hello.")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "catalog.yaml").write_text("version: 1\n")
    before, kept = _open_descriptors(), list[Any]()
    gc.disable()  # nothing depends on what is collected when
    try:
        for number in range(2000):
            kept.append(load(tmp_path))
            if number % 20 == 0:
                with pytest.raises(CatalogError) as caught:
                    load(tmp_path / "broken")
                kept[-1].root.expand("**/*.md")
                kept.append(caught.value)
    finally:
        gc.enable()
    assert _open_descriptors() == before


def _open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))
