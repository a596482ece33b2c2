"""What an attacker could do who is past a first wall: on the machine, in the catalog's folder, or in the worker."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler import disk
from reconciler.apply.who import who
from reconciler.catalog import template_worker
from reconciler.catalog.replace import replaced

ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-C", str(folder), *words],
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout.strip()


def test_a_bare_repository_in_a_catalog_cannot_name_the_commit_of_a_run(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "real")
    forged = tmp_path / "catalog"
    git(tmp_path, "clone", "-q", "--bare", str(tmp_path), str(forged))
    tree = git(forged, "write-tree")
    git(forged, "update-ref", "HEAD", git(forged, "commit-tree", tree, "-m", "forged"))
    assert git(forged, "rev-parse", "HEAD") != git(tmp_path, "rev-parse", "HEAD")
    assert who(tmp_path, {})["commit"] == git(tmp_path, "rev-parse", "HEAD")
    assert "commit" not in who(forged, {})


def test_git_cannot_read_the_key_or_be_steered_by_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "git"
    fake.write_text(f'#!/bin/sh\n/usr/bin/env > "{tmp_path}/seen"\n')
    fake.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("MINDCRAFT_API_KEY", "GIT_DIR", "GIT_CONFIG_PARAMETERS", "HOME"):
        monkeypatch.setenv(name, "s3cret")
    who(tmp_path, {})
    seen = {line.partition("=")[0] for line in (tmp_path / "seen").read_text().splitlines()}
    assert "PATH" in seen
    assert seen <= {"PATH", "PWD", "OLDPWD", "SHLVL", "_"}  # a shell sets these itself


def test_nobody_can_prepare_the_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk.secrets, "token_hex", lambda count: "guessed")
    victim = tmp_path / "victim"
    victim.write_text("kept")
    for ending in ("partial", "new"):
        (tmp_path / f".plan.guessed.{ending}").symlink_to(victim)
    with pytest.raises(FileExistsError):
        disk.write_durably(tmp_path / "plan", "secret")
    with pytest.raises(FileExistsError):
        disk.create_beside(tmp_path / "plan", 0o666, "new")
    assert victim.read_text() == "kept"
    assert not (tmp_path / "plan").exists()


def test_nobody_can_open_a_temporary_file_before_its_mode_is_set(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        path, descriptor = disk.create_beside(tmp_path / "plan", 0o600)
    finally:
        os.umask(umask)
    with open(descriptor, "wb"):
        assert stat.S_IMODE(os.fstat(descriptor).st_mode) == 0o600
    assert path.parent == tmp_path


def test_two_temporary_files_never_share_a_name(tmp_path: Path) -> None:
    made = [disk.create_beside(tmp_path / ("名" * 80), 0o600) for _ in range(5)]
    for _, descriptor in made:
        os.close(descriptor)
    assert len({path for path, _ in made}) == 5


def test_a_file_that_only_its_owner_may_read_stays_so_while_it_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("old")
    (tmp_path / "a.yaml").chmod(0o640)
    with replaced(tmp_path, {"a.yaml": b"new"}):
        pass
    assert stat.S_IMODE((tmp_path / "a.yaml").stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.yaml"]


def test_a_template_cannot_outlive_the_command_that_was_killed() -> None:
    folder = Path(template_worker.__file__).parent
    start = (
        f"import sys; sys.path.insert(0, {str(folder)!r}); import template_worker as worker; worker.TIME = 1\n"
        "write = lambda text: (sys.stdout.write(text), sys.stdout.flush())\n"
        "worker.main(sys.stdin.readline, write)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", start], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin
        assert child.stdout
        assert child.stdout.readline() == "{}\n"
        child.stdin.write(json.dumps(["{{ a }}", {"a": 1}]) + "\n" + json.dumps([ENDLESS, {}]) + "\n")
        child.stdin.flush()
        assert json.loads(child.stdout.readline()) == {"text": "1"}
        limits = Path(f"/proc/{child.pid}/limits")
        if limits.exists():
            (line,) = (row for row in limits.read_text().splitlines() if row.startswith("Max cpu time"))
            assert int(line.split()[3]) <= 10
        child.stdin.close()  # as when the parent is killed
        assert child.wait(30) < 0  # by a signal
