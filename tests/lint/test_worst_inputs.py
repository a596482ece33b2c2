"""Inputs that once took quadratic time. They are so large that they would not end, so nothing is timed here."""

from __future__ import annotations

from pathlib import Path

from reconciler.catalog.format import format_text
from reconciler.lint import lint
from reconciler.lint.secrets import masked, secrets
from reconciler.text import nearest as module
from reconciler.text.nearest import nearest
from tests.catalog.support import write_catalog

HEAD = "version: 1\ncatalog: shop\ndefaults: {model: deepseek-chat}\n"
KEY = "sk-a8Fk29dLm3Qz7Xv1Bn5Ty6Ur0"


def found(folder: Path, files: dict[str, str]) -> list[str]:
    report = lint(write_catalog(folder, {"catalog.yaml": HEAD, **files}))
    return [f"{one.rule} {one.problem.file}:{one.problem.line}" for one in report.findings]


def test_a_run_of_spaces_that_ends_in_a_letter(tmp_path: Path) -> None:
    manifest = "sessions:\n  a: {name: A, prompt: {file: p.md}}\n"
    text = "a" + " " * 200_000 + "b\nc" + " " * 200_000 + "\nd"
    assert "trailing-space p.md:2" in found(tmp_path, {"sessions/a.yaml": manifest, "p.md": text})


def test_thousands_of_comments_in_a_row(tmp_path: Path) -> None:
    comments = "# reconciler: ignore todo -- later\n" * 4_000
    manifest = f"sessions:\n{comments}  a: {{name: A, prompt: 'TODO: write'}}\n"
    assert found(tmp_path, {"sessions/a.yaml": manifest}) == []


def test_thousands_of_secrets_on_a_line() -> None:
    line = f"{KEY} password=h7Kq2ZpW " * 4_000
    assert sum(1 for _ in secrets(line)) == 8_000
    assert masked(line) == "sk-a… password=… " * 4_000


def test_a_name_among_many() -> None:
    compared: list[str] = []

    class Known(list[str]):
        def __iter__(self):  # type: ignore[no-untyped-def]
            for name in super().__iter__():
                compared.append(name)
                yield name

    names = Known([*(f"session-{number}" for number in range(9_000))])
    assert nearest("sesion-1234", names) == "session-1234"
    assert len(compared) <= module.LOOKED_AT + 1
    assert nearest("x" * 1_000_000, ["x" * 1_000_000]) is None


def test_many_keys_are_formatted() -> None:
    text = "sessions:\n" + "".join(f"  s{n}: {{name: S, prompt: p}} \n" for n in range(500))
    assert format_text(text) == text.replace(" \n", "\n").replace("sessions:\n ", "sessions:\n ")


def test_many_keys_on_a_line_are_formatted() -> None:
    keys = ", ".join(f"k{n}: 1" for n in range(5_000))
    text = f"sessions:\n  s: {{prompt: p, data: {{{keys}}}}}\n"
    assert format_text(text) == text
