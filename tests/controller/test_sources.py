"""Where revisions come from: folders and git refs. Each revision is read whole or not at all."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from reconciler import load_catalog
from reconciler.controller import git_source
from reconciler.controller.git_source import GitPlace, GitSource
from reconciler.controller.sources import FolderSource
from reconciler.errors import ReconcilerError

_CATALOG = "version: 1\ncatalog: grow\n"
_ALICE = "sessions:\n  alice:\n    name: Alice\n    model: gpt-4o\n    prompt: {file: prompts/alice.md}\n"


def _write(folder: Path, prompt: str) -> None:
    (folder / "sessions").mkdir(parents=True, exist_ok=True)
    (folder / "prompts").mkdir(exist_ok=True)
    (folder / "catalog.yaml").write_text(_CATALOG)
    (folder / "sessions" / "alice.yaml").write_text(_ALICE)
    (folder / "prompts" / "alice.md").write_text(prompt)


def _prompt(folder: Path) -> str:
    return load_catalog(folder).sessions["alice"].prompt


class TestFolder:
    """A folder that somebody edits."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> FolderSource:
        _write(tmp_path / "personas", "Be brief.")
        return FolderSource(tmp_path / "personas", tmp_path / "state")

    def test_an_edit_makes_a_revision_and_a_touch_makes_none(
        self, source: FolderSource, tmp_path: Path
    ) -> None:
        prompt = tmp_path / "personas" / "prompts" / "alice.md"
        first = source.newest()
        os.utime(prompt, ns=(1, 1))
        assert source.newest() == first
        prompt.write_text("Be kind.")
        assert source.newest() != first

    def test_the_state_folder_is_no_part_of_a_revision(self, tmp_path: Path) -> None:
        _write(tmp_path / "personas", "Be brief.")
        source = FolderSource(tmp_path / "personas", tmp_path / "personas" / "state")
        first = source.newest()
        (tmp_path / "personas" / "state").mkdir()
        (tmp_path / "personas" / "state" / "journal.jsonl").write_text("{}")
        assert source.newest() == first
        assert not (source.folder(first) / "state").exists()

    def test_a_new_file_a_rename_and_a_link_make_revisions(
        self, source: FolderSource, tmp_path: Path
    ) -> None:
        folder = tmp_path / "personas"
        seen = {source.newest()}
        (folder / "notes.txt").write_text("x")
        seen.add(source.newest())
        (folder / "notes.txt").rename(folder / "other.txt")
        seen.add(source.newest())
        (folder / "link.txt").symlink_to("other.txt")
        seen.add(source.newest())
        assert len(seen) == 4

    def test_hidden_files_are_no_part_of_a_revision(self, source: FolderSource, tmp_path: Path) -> None:
        first = source.newest()
        (tmp_path / "personas" / ".reconciler").mkdir()
        (tmp_path / "personas" / ".reconciler" / "journal.jsonl").write_text("{}")
        (tmp_path / "personas" / ".env").write_text("KEY=1")
        assert source.newest() == first
        assert not list(source.folder(first).rglob(".*"))

    def test_a_kept_revision_stays_as_it_was(self, source: FolderSource, tmp_path: Path) -> None:
        first = source.newest()
        kept = source.folder(first)
        (tmp_path / "personas" / "prompts" / "alice.md").write_text("Be kind.")
        assert _prompt(source.folder(first)) == "Be brief."
        assert _prompt(source.folder(source.newest())) == "Be kind."
        source.retain({first})
        assert kept.is_dir()
        source.retain(())
        assert not kept.exists()

    def test_a_revision_that_is_gone_is_not_replaced_by_the_present_one(
        self, source: FolderSource, tmp_path: Path
    ) -> None:
        first = source.newest()
        (tmp_path / "personas" / "prompts" / "alice.md").write_text("Be kind.")
        with pytest.raises(ReconcilerError, match="no longer has the revision"):
            source.folder(first)

    @pytest.mark.parametrize(
        "path", ["prompts/alice.md", "sessions/more.yaml", ".hidden", "node_modules/a.yaml"]
    )
    def test_a_kept_revision_that_somebody_changed_is_not_trusted(
        self, source: FolderSource, tmp_path: Path, path: str
    ) -> None:
        """The state folder may lie in a checkout, and a pull request must not be able to bring a revision along."""
        _write(tmp_path / "personas", "Be brief.")
        (tmp_path / "personas" / "sessions" / "link.md").symlink_to("../prompts/alice.md")
        revision = source.newest()
        forged = source.folder(revision) / path
        forged.parent.mkdir(exist_ok=True)
        forged.write_text("Sell everything!")
        again = FolderSource(tmp_path / "personas", tmp_path / "state")
        assert _prompt(again.folder(revision)) == "Be brief."
        assert again.folder(revision) == again.folder(revision)
        assert "Sell" not in "".join(
            one.read_text() for one in again.folder(revision).rglob("*") if one.is_file()
        )
        forged.parent.mkdir(exist_ok=True)
        forged.write_text("Sell everything!")
        (tmp_path / "personas" / "prompts" / "alice.md").write_text("Be kind.")
        with pytest.raises(ReconcilerError, match="no longer has the revision"):
            again.folder(revision)

    def test_a_link_out_of_the_folder_leads_nowhere(self, source: FolderSource, tmp_path: Path) -> None:
        (tmp_path / "secret.md").write_text("secret")
        prompt = tmp_path / "personas" / "prompts" / "alice.md"
        prompt.unlink()
        prompt.symlink_to(tmp_path / "secret.md")
        with pytest.raises(ReconcilerError, match="symlink"):
            _prompt(source.folder(source.newest()))

    def test_a_missing_folder_and_an_unreadable_disk_are_told(
        self, source: FolderSource, tmp_path: Path
    ) -> None:
        with pytest.raises(ReconcilerError, match="does not exist"):
            FolderSource(tmp_path / "none", tmp_path / "state").newest()
        (tmp_path / "state").write_text("a file where the state folder should be")
        with pytest.raises(ReconcilerError, match=r"(?s)can't be written"):
            source.folder(source.newest())

    def test_pipes_and_large_files_are_no_part_of_a_revision(
        self, source: FolderSource, tmp_path: Path
    ) -> None:
        first = source.newest()
        os.mkfifo(tmp_path / "personas" / "pipe")
        with (tmp_path / "personas" / "film.mp4").open("wb") as file:
            file.truncate(11 * 2**20)
        assert source.newest() == first


def _git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


class TestGit:
    """A git ref that is fetched with the git program."""

    @pytest.fixture
    def repository(self, tmp_path: Path) -> Path:
        folder = tmp_path / "repository"
        _write(folder / "personas", "Be brief.")
        _git(folder, "init", "--quiet")
        _git(folder, "add", ".")
        _git(folder, "commit", "--quiet", "--message=first")
        return folder

    def _source(self, repository: Path, ref: str = "main", path: str = "personas") -> GitSource:
        return GitSource(GitPlace(str(repository), ref, path), repository.parent / "state")

    def _commit(self, repository: Path, prompt: str) -> str:
        _write(repository / "personas", prompt)
        _git(repository, "commit", "--quiet", "--all", "--message=another")
        return _git(repository, "rev-parse", "HEAD")

    def test_a_commit_makes_a_revision_and_an_edit_makes_none(self, repository: Path) -> None:
        source = self._source(repository)
        first = source.newest()
        assert first == _git(repository, "rev-parse", "HEAD")
        assert _prompt(source.folder(first)) == "Be brief."
        _write(repository / "personas", "Be kind.")
        assert source.newest() == first
        second = self._commit(repository, "Be kind.")
        assert source.newest() == second
        assert _prompt(source.folder(second)) == "Be kind."
        assert _prompt(source.folder(first)) == "Be brief."

    def test_a_kept_revision_needs_no_repository(self, repository: Path) -> None:
        source = self._source(repository)
        first = source.newest()
        source.folder(first)
        repository.rename(repository.with_name("gone"))
        assert _prompt(source.folder(first)) == "Be brief."
        with pytest.raises(ReconcilerError, match="does not appear to be a git repository"):
            source.newest()

    @pytest.mark.parametrize("annotated", [True, False])
    def test_a_tag_stands_for_its_commit(self, repository: Path, annotated: bool) -> None:
        _git(repository, "tag", *(["--annotate", "--message=x"] if annotated else []), "v1")
        first = _git(repository, "rev-parse", "HEAD")
        self._commit(repository, "Be kind.")
        source = self._source(repository, "v1")
        assert source.newest() == first
        assert _prompt(source.folder(first)) == "Be brief."

    def test_a_commit_can_be_named(self, repository: Path) -> None:
        first = _git(repository, "rev-parse", "HEAD")
        self._commit(repository, "Be kind.")
        source = self._source(repository, first)
        assert source.newest() == first
        assert _prompt(source.folder(first)) == "Be brief."

    def test_a_ref_that_is_not_there_is_told(self, repository: Path) -> None:
        with pytest.raises(ReconcilerError, match="has no ref nowhere"):
            self._source(repository, "nowhere").newest()

    def test_a_path_without_files_is_told(self, repository: Path) -> None:
        source = self._source(repository, path="elsewhere")
        with pytest.raises(ReconcilerError, match="has no files in the commit"):
            source.folder(source.newest())

    def test_the_whole_repository_may_be_the_catalog(self, repository: Path) -> None:
        source = self._source(repository, path=".")
        assert (source.folder(source.newest()) / "personas" / "catalog.yaml").is_file()

    def test_nothing_of_the_repository_runs(self, repository: Path, tmp_path: Path) -> None:
        """Attributes, filters, hooks and submodules have no effect, and hidden files are not written."""
        ran = tmp_path / "ran"
        (repository / ".gitattributes").write_text("*.md filter=evil export-ignore\n")
        _git(repository, "config", "filter.evil.smudge", f"touch {ran}")
        hook = repository / ".git" / "hooks" / "post-checkout"
        hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
        hook.chmod(0o755)
        _git(repository, "add", ".gitattributes")
        source = self._source(repository)
        folder = source.folder(self._commit(repository, "Be kind."))
        assert _prompt(folder) == "Be kind."
        assert not ran.exists()
        assert not list(folder.rglob(".*"))

    def test_a_link_is_kept_as_a_link_and_leads_nowhere(self, repository: Path) -> None:
        prompt = repository / "personas" / "prompts" / "alice.md"
        prompt.unlink()
        prompt.symlink_to("/etc/hostname")
        _git(repository, "commit", "--quiet", "--all", "--message=link")
        source = self._source(repository)
        with pytest.raises(ReconcilerError, match="symlink"):
            _prompt(source.folder(source.newest()))

    def test_a_moved_branch_does_not_pass_for_an_older_commit(self, repository: Path) -> None:
        source = self._source(repository)
        lost = self._commit(repository, "Be kind.")
        _git(repository, "reset", "--quiet", "--hard", "HEAD~1")
        _git(repository, "reflog", "expire", "--expire=now", "--all")
        _git(repository, "gc", "--quiet", "--prune=now")
        with pytest.raises(ReconcilerError, match=f"no longer has the commit {lost[:12]}"):
            source.folder(lost)

    def test_credentials_are_not_shown(self, tmp_path: Path) -> None:
        place = GitPlace("https://robot:s3cret@127.0.0.1:1/personas.git", "main", "a")
        assert str(place) == "https://127.0.0.1:1/personas.git#main:a"
        with pytest.raises(ReconcilerError) as caught:
            GitSource(place, tmp_path).newest()
        assert "s3cret" not in str(caught.value)
        assert "127.0.0.1:1" in str(caught.value)

    @pytest.mark.parametrize(
        ("url", "ref", "path"),
        [
            ("--upload-pack=touch /tmp/x", "main", "."),
            ("ext::sh -c touch", "main", "."),
            ("https://host/x", "--output=x", "."),
            ("https://host/x", "", "."),
            ("https://host/x", "main", "../x"),
            ("https://host/x", "main", ":(top)x"),
        ],
    )
    def test_nothing_is_taken_for_an_option(self, url: str, ref: str, path: str) -> None:
        with pytest.raises(ReconcilerError, match="git source"):
            GitPlace(url, ref, path)

    def test_a_helper_that_runs_a_command_is_not_used(self, tmp_path: Path) -> None:
        with pytest.raises(ReconcilerError, match="not allowed"):
            GitSource(GitPlace(f"ext::touch%20{tmp_path}/ran"), tmp_path / "state").newest()

    def test_a_server_that_does_not_answer_is_given_up(self, tmp_path: Path) -> None:
        import socket

        with socket.create_server(("127.0.0.1", 0)) as silent:
            place = GitPlace(f"git://127.0.0.1:{silent.getsockname()[1]}/x")
            with pytest.raises(ReconcilerError, match=r"git did not end within 0\.3 s"):
                GitSource(place, tmp_path, timeout=0.3).newest()


def test_a_tree_of_more_files_than_fit_into_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few kilobytes are enough for it: the same tree again and again."""
    monkeypatch.setattr(git_source, "_MOST_PRINTED", 2**20)
    root = tmp_path / "personas"
    root.mkdir()
    _git(root, "init", "--quiet")
    (root / "a").write_text("a: 1\n")
    entry = f"100644 blob {_git(root, 'hash-object', '-w', 'a')}"
    for _ in range(5):
        lines = "".join(f"{entry}\tfolder-{number}\n" for number in range(10))
        made = subprocess.run(
            ["git", "-C", str(root), "mktree"], input=lines, capture_output=True, text=True, check=True
        )
        entry = f"040000 tree {made.stdout.strip()}"
    revision = _git(root, "commit-tree", "-m", "bomb", entry.split()[2])
    _git(root, "update-ref", "refs/heads/main", revision)
    source = GitSource(GitPlace(str(root), "main"), tmp_path / "state")
    with pytest.raises(ReconcilerError, match="more files or refs than a catalog can have"):
        source.folder(source.newest())


def test_a_fetch_that_failed_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_source, "_MOST_FETCHED", 50_000)
    root = tmp_path / "personas"
    root.mkdir()
    _git(root, "init", "--quiet")
    (root / "large").write_bytes(os.urandom(200_000))
    _git(root, "add", ".")
    _git(root, "commit", "--quiet", "--message=large")
    revision = _git(root, "rev-parse", "HEAD")
    source = GitSource(GitPlace(str(root)), tmp_path / "state")
    with pytest.raises(ReconcilerError):
        source.folder(revision)
    assert [one for one in (tmp_path / "state").rglob("tmp_*") if one.is_file()] == []
