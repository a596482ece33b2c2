"""Hostile catalogs: their cost is bounded, and a message names the limit. Work is counted here, never timed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.catalog import budget, check, load, unread
from reconciler.errors import CatalogError, Problem
from reconciler.render.problems import format_problem
from reconciler.strict_yaml import places
from reconciler.strict_yaml import read as strict_yaml
from reconciler.strict_yaml.faults import MAX_DEPTH, MAX_FAULTS
from reconciler.strict_yaml.read import MAX_ALIAS_VALUES, parse
from tests.catalog.support import CATALOG, DATA, SESSION, complaint, write_catalog


def messages(text: str) -> list[str]:
    return [fault.message for fault in parse(text.encode(), text).faults]


def problems(root: Path) -> tuple[Problem, ...]:
    """What is wrong with a catalog. Anything but a :class:`CatalogError` is a fault of the reader."""
    try:
        load.load_catalog(root)
    except CatalogError as error:
        return error.problems
    return ()


def bomb(levels: int, width: int, item: str) -> str:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {item % ', '.join([f'*a{n - 1}'] * width)}" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("item", ["[%s]", "{<<: [%s]}", "[[%s]]", "{k: [%s]}"])
@pytest.mark.parametrize(("levels", "width"), [(9, 9), (60, 2), (24, 3)])
def test_bombs_cost_what_their_text_costs(
    item: str, levels: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = 0
    weighed = 0
    real_weigh = strict_yaml._Reader._weigh

    class Counting(strict_yaml.CParser):  # type: ignore[misc]
        def get_event(self) -> Any:
            nonlocal events
            events += 1
            return super().get_event()

    def weigh(self: Any, value: Any) -> Any:
        nonlocal weighed
        weighed += 1
        return real_weigh(self, value)

    monkeypatch.setattr(strict_yaml, "CParser", Counting)
    monkeypatch.setattr(strict_yaml._Reader, "_weigh", weigh)
    text = bomb(levels, width, item)
    (message,) = messages(text)
    assert message.startswith("with this one, the aliases of this file expand to more than 1,000,000 values")
    assert events <= text.count("\n") * (width + 10)
    assert weighed <= 4 * events


def test_aliases_used_sensibly_are_no_bomb() -> None:
    text = "base: &base {model: a, data: {x: [1, 2, 3]}}\nsessions:\n"
    text += "".join(f"  s{n}:\n    <<: *base\n    name: S\n" for n in range(20_000))
    parsed = parse(text.encode(), text)
    assert not parsed.faults
    assert len(parsed.document["sessions"]) == 20_000
    assert parsed.values < MAX_ALIAS_VALUES


def test_a_text_may_not_be_multiplied_without_end() -> None:
    text = f"a: &a {'x' * 2**20}\nb: [{', '.join(['*a'] * 101)}]\n"
    (message,) = messages(text)
    assert message.endswith("or 100 MiB of text")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "a:\n"])
def test_no_depth_is_too_much(opening: str) -> None:
    indent = " " if opening.endswith("\n") else ""
    text = "".join(indent * n + opening for n in range(2000))
    assert messages(text) == [f"this is nested more than {MAX_DEPTH} levels deep"]


def test_the_depth_that_is_allowed() -> None:
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert messages(text) == []
    assert messages(f"[{text}]") == [f"this is nested more than {MAX_DEPTH} levels deep"]


def test_a_flood_of_directives_never_reaches_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_yaml, "CParser", None)
    for text in (
        "%TAG !a! x\n" * 10 + "--- a\n",
        "a\n...\n%TAG !a! x\n--- b\n",
        "a\r...\r%TAG !a! x\r--- b\r",
    ):
        (message,) = messages(text)
        assert message == "a line that starts with `%` is a directive, and `%TAG` is not supported"


def test_the_number_of_reported_faults_is_limited() -> None:
    text = "".join(f"{n}: x\n" for n in range(5000))
    assert len(messages(text)) == MAX_FAULTS + 1


def test_the_number_of_reported_problems_is_limited(tmp_path: Path) -> None:
    said = complaint(
        tmp_path,
        {"sessions/a.yaml": "sessions:\n" + "".join(f"  s{n}: {{name: 1}}\n" for n in range(3000))},
    )
    assert said.startswith("there are 1,000 or more problems; the rest was not checked")
    assert said.count("`name` is 1") == 1000


def test_the_number_of_reported_duplicates_is_limited(tmp_path: Path) -> None:
    sessions = "sessions:\n" + "".join(f"  s{n}: {{name: S, prompt: p}}\n" for n in range(1500))
    said = complaint(tmp_path, {"sessions/a.yaml": sessions, "sessions/b.yaml": sessions})
    assert said.count("is declared twice, first in sessions/a.yaml:") == 1000


def test_a_line_of_megabytes_is_kept_once(tmp_path: Path) -> None:
    keys = ", ".join(f"k{n}: 1, k{n}: 2" for n in range(300))
    root = write_catalog(tmp_path, {"sessions/a.yaml": DATA + "      a: {" + keys + "}\n"})
    with pytest.raises(CatalogError) as caught:
        load.load_catalog(root)
    assert len(caught.value.problems) == 300
    assert len({id(problem.source) for problem in caught.value.problems}) == 1


@pytest.mark.parametrize(
    ("limits", "sessions", "message"),
    [
        (
            # A character that takes four bytes counts four.
            {"MAX_TEXT": 40_000, "TEXT_A_BYTE": 0},
            "sessions:\n  a: {name: A, prompt: " + "x" * 10_000 + "😀}\n",
            "sessions/a.yaml:2:3: up to here, the sessions' prompts come to more than 0 MiB",
        ),
        (
            # What sessions share counts for each.
            {"MAX_TEXT": 25_000, "TEXT_A_BYTE": 0},
            "sessions:\n" + "".join(f"  s{n}: {{name: A, prompt: {{file: p.md}}}}\n" for n in range(3)),
            "sessions/a.yaml:4:3: up to here, the sessions' prompts come to more than 0 MiB",
        ),
        (
            {"MAX_TEXT": 25_000, "TEXT_A_BYTE": 0},
            "sessions:\n  a: {name: A, prompt: [" + ", ".join(["{file: p.md}"] * 3) + "]}\n",
            "sessions/a.yaml:2:24: up to here, the sessions' prompts come to more than 0 MiB",
        ),
        (
            {"MAX_VALUES": 100, "BYTES_A_VALUE": 100},
            "sessions:\n" + "".join(f"  s{n}: {{name: A, prompt: p}}\n" for n in range(30)),
            "sessions/a.yaml: up to here, the sessions hold more than 100 values, with aliases, defaults and "
            "templates written out",
        ),
        (
            # What the defaults add counts for each session.
            {"MAX_VALUES": 200, "BYTES_A_VALUE": 100},
            "sessions:\n" + "".join(f"  s{n}: {{name: A, prompt: p}}\n" for n in range(20)),
            "sessions/a.yaml:10:3: up to here, the sessions hold more than 200 values, with aliases, defaults and "
            "templates written out",
        ),
        (
            {"MAX_SESSIONS": 20, "BYTES_A_SESSION": 100},
            "sessions:\n" + "".join(f"  s{n}: {{name: A, prompt: p}}\n" for n in range(21)),
            "sessions/a.yaml:22:3: up to here, the catalog makes more than 20 sessions",
        ),
        (
            # Two matrices that are each small enough.
            {"MAX_SESSIONS": 5},
            "sessions:\n"
            + "".join(
                f"  {m}: {{matrix: {{axes: {{x: [1, 2, 3]}}, key: '{m}-{{x}}'}}, name: A, prompt: p}}\n"
                for m in "ab"
            ),
            "sessions/a.yaml:3:7: up to here, the catalog makes more than 5 sessions",
        ),
        (
            {"MAX_SESSIONS": 2},
            "sessions:\n  t: {from: {file: t.csv, key: '{id}'}, name: A, prompt: p}\n",
            "t.csv:4:1: up to here, the catalog makes more than 2 sessions",
        ),
        (
            # Combinations that are left out take time, too.
            {"MAX_STEPS": 29},
            "sessions:\n  m: {matrix: {axes: {x: [1, 2, 3], y: [1, 2]}, key: 'k{x}-{y}', exclude: [{x: 1}, "
            "{x: 2}, {x: 3}]}, name: A, prompt: p}\n",
            "sessions/a.yaml:2:7: up to here, expanding matrices and tables takes more than 29 comparisons",
        ),
        (
            {"MAX_STEPS": 9},
            "sessions:\n  t: {from: {file: t.csv, key: '{id}', fields: {data.a: id}}, name: A, prompt: p}\n",
            "sessions/a.yaml:2:7: up to here, expanding matrices and tables takes more than 9 comparisons",
        ),
    ],
)
def test_the_catalog_as_a_whole_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int], sessions: str, message: str
) -> None:
    files = {
        "catalog.yaml": "version: 1\ncatalog: shop\ndefaults: {model: m, data: {a: 1, b: 2, c: 3}}\n",
        "sessions/a.yaml": sessions,
        "p.md": "x" * 10_000,
        "t.csv": "id\na\nb\nc\n",
    }
    root = write_catalog(tmp_path, files)
    if "exclude" not in sessions:
        load.load_catalog(root)
    for limit, value in limits.items():
        monkeypatch.setattr(budget, limit, value)
    with pytest.raises(CatalogError) as caught:
        load.load_catalog(root)
    (problem,) = caught.value.problems
    assert format_problem(problem).startswith(message + "\n")


def test_a_large_catalog_that_is_written_out_has_a_larger_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("MAX_TEXT", "MAX_VALUES", "MAX_SESSIONS"):
        monkeypatch.setattr(budget, limit, 20)
    sessions = "sessions:\n" + "".join(f"  s{n}: {{name: S, prompt: {'x' * 300}}}\n" for n in range(50))
    assert len(load.load_catalog(write_catalog(tmp_path, {"sessions/a.yaml": sessions})).sessions) == 50


def test_what_sessions_share_is_in_memory_once(tmp_path: Path) -> None:
    files = {
        "catalog.yaml": "version: 1\ncatalog: shop\ndefaults: {model: m}\nfragments: {rules: Be kind.}\n",
        "p.md": "Sell books.\n",
        "sessions/a.yaml": "sessions:\n"
        "  a: {name: A, prompt: {file: p.md}}\n  b: {name: B, prompt: {file: p.md}}\n"
        "  c: {name: C, prompt: [{file: p.md}]}\n"
        "  d: {name: D, prompt: [{file: p.md}, {fragment: rules}]}\n"
        "  e: {name: E, prompt: [{file: p.md}, {fragment: rules}]}\n",
    }
    sessions = load.load_catalog(write_catalog(tmp_path, files)).sessions
    assert sessions["a"].prompt is sessions["b"].prompt
    assert sessions["d"].prompt == "Sell books.\n\nBe kind."
    assert sessions["d"].prompt is sessions["e"].prompt


@pytest.mark.parametrize(
    "text", [f"x: [{'1, ' * 20_000}]", f"x: {{{', '.join(f'k{n}: 1' for n in range(20_000))}}}"]
)
def test_a_file_of_many_values_is_not_read_to_its_end(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_yaml, "MAX_VALUES", 10_000)
    (fault,) = parse(text.encode(), text).faults
    assert (fault.message, fault.hint) == ("up to here, this file holds more than 10,000 values", "split it")
    assert fault.at < len(text) * 0.8


def test_many_small_collections_are_many_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_yaml, "MAX_VALUES", 100)
    text = "- [{a: 1}, {}]\n" * 50
    assert messages(text) == ["up to here, this file holds more than 100 values"]


def test_of_many_unread_files_few_are_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    real = unread.parse

    def counted(data: bytes, text: str) -> Any:
        parsed.append(len(data))
        return real(data, text)

    monkeypatch.setattr(unread, "parse", counted)
    monkeypatch.setattr(unread, "_PARSED", 100)
    files = {f"drafts/{n}.yaml": SESSION for n in range(9)}
    root = write_catalog(tmp_path, {"sessions/a.yaml": SESSION, **files})
    assert {problem.file for problem in problems(root)} == files.keys()
    assert sum(parsed) <= 100


ENVIRONMENTS = "environments: {a: {}, b: {}, c: {}}\n"


def test_environments_that_one_command_looks_at_share_a_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = "sessions:\n  a: {name: A, prompt: p}\n  b: {name: B, prompt: p}\n"
    root = write_catalog(tmp_path, {"catalog.yaml": CATALOG + ENVIRONMENTS, "sessions/a.yaml": sessions})
    monkeypatch.setattr(budget, "MAX_SESSIONS", 3)
    monkeypatch.setattr(budget, "BYTES_A_SESSION", 100)
    shared = budget.Budget()
    load.load(root, "a", budget=shared)
    with pytest.raises(CatalogError) as caught:
        load.load(root, "b", budget=shared)
    assert caught.value.problems[0].message == "up to here, the catalog makes more than 3 sessions"
    assert shared.is_spent
    load.load(root, "b")


def test_a_file_may_be_read_for_each_environment_but_not_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"catalog.yaml": CATALOG + ENVIRONMENTS, "sessions/a.yaml": SESSION + "#" * 1000 + "\n"}
    root = write_catalog(tmp_path, files)
    monkeypatch.setattr(budget, "MAX_READ", 2**20)
    monkeypatch.setattr(budget, "MAX_DISK", 2000)
    shared = budget.Budget(budget.ONE_BY_ONE)
    load.load(root, "a", budget=shared)
    load.load(root, "b", budget=shared)
    monkeypatch.setattr(budget, "MAX_READ", 2500)
    with pytest.raises(CatalogError) as caught:
        load.load(root, "c", budget=shared)
    (problem,) = caught.value.problems
    assert (problem.message, problem.hint, problem.file) == (
        "up to here, all environments together read more than 0 MiB",
        "split the catalog, or check each environment on its own, with --env",
        "sessions/a.yaml",
    )


def test_all_templates_together_have_limited_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_RENDERING", 1e-9)
    prompt = "prompt: [{text: 'You are {{ x }}.', template: jinja}], variables: {x: kind}"
    said = complaint(
        tmp_path, {"sessions/a.yaml": f"sessions:\n  a: {{name: A, {prompt}}}\n  b: {{name: B, {prompt}}}\n"}
    )
    assert said.startswith("sessions/a.yaml:3:32: up to here, the templates take more than 1e-09 s\n")


@pytest.mark.parametrize(
    ("include", "message"),
    [
        (
            "include: ['**/**/**/a.yaml']\n",
            "catalog.yaml:4:11: the pattern `**/**/**/a.yaml` makes more than 100 ",
        ),
        ("", "catalog.yaml: the folder makes more than 100 "),
    ],
)
def test_looking_for_files_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, include: str, message: str
) -> None:
    monkeypatch.setattr("reconciler.catalog.files.MAX_ENTRIES", 100)
    root = write_catalog(tmp_path, {"sessions/a.yaml": SESSION})
    (root / "catalog.yaml").write_text("version: 1\ncatalog: shop\ndefaults: {model: m}\n" + include)
    for number in range(30):
        (root / f"drafts/{number}").mkdir(parents=True)
    with pytest.raises(CatalogError) as caught:
        load.load_catalog(root)
    (problem,) = caught.value.problems
    assert format_problem(problem).startswith(message + "entries of folders to look at\n")


def test_environments_that_share_a_folder_look_for_files_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_catalog(tmp_path, {"catalog.yaml": CATALOG + ENVIRONMENTS, "sessions/a.yaml": SESSION})
    folder = load.open_root(root)
    load.load(folder, "a")
    monkeypatch.setattr("reconciler.catalog.files.MAX_ENTRIES", folder._looked + 1)
    load.load(root, "b")
    with pytest.raises(CatalogError, match="entries of folders to look at"):
        load.load(folder, "b")


def test_the_number_of_files_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.catalog.files.MAX_FILES", 2)
    said = complaint(tmp_path, {"sessions/a.yaml": SESSION, "sessions/b.yaml": "sessions: {}\n"})
    assert said.startswith("sessions/b.yaml: this file is one file too many; the maximum is 2")


def test_a_missing_first_place_costs_only_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.catalog.files.MAX_FILES", 3)  # none is left to be read again
    said = complaint(tmp_path, {"sessions/a.yaml": SESSION, "sessions/b.yaml": SESSION})
    assert said.startswith(
        "sessions/b.yaml:2:3: the session `alice` is declared twice, first in sessions/a.yaml\n"
    )


def test_places_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MAX_POSITIONS", 12)
    said = complaint(
        tmp_path,
        {"sessions/a.yaml": "sessions:\n  a: {name: A, prompt: p}\n  b: {name: B, prompt: p, model: 5}\n"},
    )
    assert said.startswith("sessions/a.yaml:3:6: `model` is 5")  # where the session starts, if not its model


def test_only_sessions_that_do_not_fit_are_worded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worded: list[Any] = []
    real = check._narrow

    def narrow(document: Any) -> Any:
        narrowed = real(document)
        worded.append(narrowed[0])
        return narrowed

    monkeypatch.setattr(check, "_narrow", narrow)
    sessions = (
        "sessions:\n" + "".join(f"  s{n}: {{name: S, prompt: p}}\n" for n in range(50)) + "  bad: {name: 1}\n"
    )
    complaint(tmp_path, {"sessions/a.yaml": sessions})
    assert worded == [{"sessions": {"bad": {"name": 1}}}]


def test_the_good_path_looks_for_no_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("looked for a place without need")

    monkeypatch.setattr(places, "_Positions", never)
    monkeypatch.setattr(places.Source, "at", never)
    root = write_catalog(tmp_path, {"sessions/a.yaml": SESSION})
    assert len(load.load_catalog(root).sessions) == 1


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 5000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aA.-/ \n", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "model",
                    "prompt",
                    "file",
                    "parameters",
                    "temperature",
                    "max_tokens",
                    "history_length",
                    "data",
                    "remark",
                    "reconciler",
                    "lifecycle",
                    "prevent_destroy",
                    "ignore_changes",
                    "adopt",
                    "nmae",
                    "a",
                    "A\n",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "version": st.sampled_from([1, 2, "1", None, 1.0]),
            "catalog": st.sampled_from(["shop", "Shop", "shop\n", 1, None]),
            "include": VALUES,
            "defaults": VALUES,
            "policy": st.dictionaries(
                st.sampled_from(["max_deletes", "max_updates", "on_conflict", "lock", "x"]),
                VALUES | st.sampled_from(["10%", "100%\n", "fail", 3]),
            ),
            "moved": VALUES,
            "forgotten": VALUES,
            "sessions": st.dictionaries(st.sampled_from(["a", "b", "A", "a\n", ""]), VALUES, max_size=3),
        },
    ),
    VALUES
    | st.fixed_dictionaries(
        {"sessions": st.dictionaries(st.sampled_from(["a", "c", "é"]), VALUES, max_size=3)}
    ),
)
def test_any_document_is_loaded_or_refused_with_words(
    tmp_path_factory: pytest.TempPathFactory, head: Any, manifest: Any
) -> None:
    files = {
        "catalog.yaml": yaml.safe_dump(head, allow_unicode=True),
        "sessions/a.yaml": yaml.safe_dump(manifest, allow_unicode=True),
    }
    root = write_catalog(tmp_path_factory.mktemp("any"), files)
    for problem in problems(root):
        assert problem.message
        assert "None" not in problem.message + problem.hint


@given(st.data())
def test_any_damage_is_loaded_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    good = (
        CATALOG + SESSION + "    parameters: {temperature: 0.5}\n    data: &d {a: [1, x], b: *d2}\n"
    ).encode()
    at = data.draw(st.integers(0, len(good)))
    cut = data.draw(st.integers(0, 6))
    damage = data.draw(
        st.binary(max_size=4)
        | st.sampled_from([b": ", b"*d", b"&d ", b"!x ", b"\t", b"<<: *d\n", b"\0", b"- "])
    )
    root = write_catalog(
        tmp_path_factory.mktemp("any"), {"catalog.yaml": good[:at] + damage + good[at + cut :]}
    )
    problems(root)
