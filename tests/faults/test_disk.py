"""A full or read-only disk: what must be recorded can't be, so nothing is written to the service."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from tests.faults.world import World

#: Run a command in a mount namespace of its own, in which a folder is on a small disk that is full but for so many
#: kilobytes, or can only be read.
_FULL = 'mount -t tmpfs -o size=256k tmpfs "$0" && cd "$0" && {fill} && cd / && shift 0 && exec "$@"'
_READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'


def in_namespace(script: str, folder: Path) -> Sequence[str]:
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(folder)]


def read_only(folder: Path) -> Sequence[str]:
    """What to put before a command, so that it finds this folder read-only."""
    folder.mkdir(parents=True, exist_ok=True)
    return in_namespace(_READ_ONLY, folder)


def full_disk(folder: Path, left: int = 0, bring: Path | None = None) -> Sequence[str]:
    """What to put before a command, so that it finds this folder on a disk with so many kilobytes left.

    What is in ``bring`` is there when it fills up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fill = f'cp -R "{bring}"/. . ; ' if bring else ""
    fill += "{ dd if=/dev/zero of=filling bs=1k 2>/dev/null || true; }"
    if left:
        fill += f" && truncate -s -{left}k filling"
    return in_namespace(_FULL.format(fill=fill), folder)


def limited(size: int) -> Sequence[str]:
    """What to put before a command, so that no file of its may grow beyond so many bytes."""
    code = (
        f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size})); "
        "os.execvp(sys.argv[1], sys.argv[1:])"
    )
    return [sys.executable, "-S", "-c", code]


@cache
def _may_mount() -> bool:
    try:
        command = in_namespace("mount -t tmpfs tmpfs /tmp && exec true", Path("/tmp"))
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


needs_mounts = pytest.mark.skipif(not _may_mount(), reason="this machine does not let its users mount")


def refused(world: World, *flags: str, prefix: Sequence[str], said: str) -> None:
    """Nothing is written, and it is said why; with the disk mended, the same command does it."""
    before = world.store.dump()
    run = world.run(*world.applying(*flags), prefix=prefix)
    assert (run.code, run.writes) == (1, []), run
    assert said in run.err, run
    assert world.store.dump() == before
    world.check(run, 1)
    world.close(world.apply())


NO_ARCHIVE = "nothing is changed before its previous state is on disk"
NO_STATE = "it holds the archive and the journal, without which nothing is written to the service"


@needs_mounts
def test_a_read_only_state_folder(world: World) -> None:
    refused(world, prefix=read_only(world.state), said=NO_STATE)


@needs_mounts
def test_a_read_only_state_folder_that_was_used_before(world: World) -> None:
    world.state.mkdir()
    (world.state / ".gitignore").write_text("*\n")
    (world.state / "archive").mkdir()
    refused(world, prefix=read_only(world.state), said="can't be written: Read-only file system")


@needs_mounts
def test_a_read_only_archive(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    refused(world, "--archive-dir", str(folder), prefix=read_only(folder), said=NO_ARCHIVE)


@needs_mounts
def test_a_full_disk_under_the_state_folder(world: World) -> None:
    refused(world, prefix=full_disk(world.state), said="No space left on device")


@needs_mounts
def test_a_full_disk_under_the_archive(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    refused(world, "--archive-dir", str(folder), prefix=full_disk(folder), said=NO_ARCHIVE)


@needs_mounts
def test_a_disk_with_room_for_a_part_of_the_archive(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    refused(world, "--archive-dir", str(folder), prefix=full_disk(folder, left=8), said=NO_ARCHIVE)


@needs_mounts
def test_a_disk_that_fills_up_meanwhile(world: World, tmp_path: Path) -> None:
    """Nobody knows beforehand how long a chat is. What has no room is not deleted, and all else is done."""
    folder, mounted = tmp_path / "kept", tmp_path / "disk"
    world.store.insert_message(1, content="long " * 100_000)
    # What is on the disk goes with the namespace.
    save = f'"$@"; code=$?; cp -R "{mounted}/." "{folder}"; exit $code'
    run = world.run(
        *world.applying("--archive-dir", str(mounted), "--parallelism", "1"),
        prefix=[*full_disk(mounted, left=100), "sh", "-c", save, "sh"],
    )
    assert run.code == 4, run
    assert "FAILED delete gone1 #1: the archive in " in run.out and "No space left on device" in run.out
    assert "17 applied, 1 failed." in run.out
    assert world.store.session(1)
    world.check(run, 4)
    world.close(world.apply(), folder, world.state / "archive")


def test_a_journal_that_fills_up_meanwhile(world: World) -> None:
    """What can't be recorded is not done; what was done is said."""
    world.state.mkdir()
    (world.state / "journal.jsonl").write_bytes(b"{}\n" * 33_000)
    run = world.run(*world.applying("--parallelism", "1"), prefix=limited(100_500))
    assert run.code == 4, run
    assert "can't be written: File too large" in run.out
    world.check(run, 4)
    done = len([entry for entry in run.writes if entry.worked])
    assert 0 < done < 18 and f"{done} applied" in run.out, run
    world.close(world.apply())


def test_a_journal_that_can_not_grow(world: World) -> None:
    first = world.apply("--max-changes", "0")
    assert first.code == 3
    refused(world, prefix=limited(0), said="File too large")


def test_an_archive_that_can_not_grow(world: World, tmp_path: Path) -> None:
    refused(world, prefix=limited(2000), said=NO_ARCHIVE)


def test_a_file_where_the_state_folder_should_be(world: World) -> None:
    world.state.write_text("")
    run = world.run("apply", str(world.folder), "--endpoint", world.server.url, "--auto-approve")
    assert (run.code, run.writes) == (1, []), run
    assert NO_STATE in run.err
    world.check(run, 1)


def test_a_file_where_the_archive_should_be(world: World) -> None:
    world.state.mkdir()
    (world.state / "archive").write_text("")
    run = world.apply()
    assert (run.code, run.writes) == (1, []), run
    assert NO_ARCHIVE in run.err
    world.check(run, 1)


def test_a_folder_where_the_journal_should_be(world: World) -> None:
    (world.state / "journal.jsonl").mkdir(parents=True)
    run = world.apply()
    assert (run.code, run.writes) == (1, []), run
    assert f"the journal {world.state}/journal.jsonl can't be read: Is a directory" in run.err
    world.check(run, 1)


@pytest.mark.parametrize("kind", ["full", "read-only", "limited", "no-folder"])
def test_a_plan_that_can_not_be_saved(world: World, tmp_path: Path, kind: str) -> None:
    if kind in ("full", "read-only") and not _may_mount():
        pytest.skip("this machine does not let its users mount")
    folder = tmp_path / "plans"
    if kind != "no-folder":
        folder.mkdir()
    prefix = (
        {"full": full_disk, "read-only": read_only}[kind](folder) if kind in ("full", "read-only") else ()
    )
    out = folder / "plan.json"
    run = world.run(
        "plan",
        str(world.folder),
        "--endpoint",
        world.server.url,
        "--out",
        str(out),
        prefix=limited(100) if kind == "limited" else prefix,
    )
    assert run.code == 1, run
    assert f"the plan can't be written to {out}: " in run.err
    assert not folder.exists() or list(folder.iterdir()) == []
    world.check(run, 1)
