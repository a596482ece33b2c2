"""Editing a manifest that a person wrote, shown as the lines that change."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.errors import CatalogError, Problem, ReconcilerError
from reconciler.strict_yaml.change import Change
from reconciler.strict_yaml.edit import edit, set_value

#: Commented, anchored, oddly indented.
MANIFEST = """\
# Readers: personas who talk about books.
sessions:
   alice:   # the first of them
      name: Alice
      prompt: |   # as she is
          You are Alice.
            - Be kind.

          Be brief.

      # lively enough
      parameters:   {temperature: 0.3 , max_tokens: 500 }   # cheap
      data: &shelf
         books: [one, "two"]   # in order
         room:
           name: "Reading room"
           # up the stairs
           floor: '2'
   bob:
      <<: {model: gpt-4o-mini}
      name: 'Bob''s'
      prompt: "Hi."
      data: *shelf
      remark: {}
      lifecycle:
        ignore_changes:
        - name   # theirs
        - data.books
"""
ALICE = ("sessions", "alice")
BOB = ("sessions", "bob")


def changes(before: str, after: str) -> str:
    """The lines that differ, as in a diff without context."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))


Edit = Callable[[str], str]


class Refusal(str):
    """The message where there is no edit."""

    __slots__ = ()


def setting(*path: str | int, to: Any, prompt: bool = False) -> Edit:
    return lambda text: set_value(text, path, to, prompt=prompt, file="readers.yaml")


def removing(*path: str | int) -> Edit:
    return lambda text: edit(text, [Change("remove", path)], file="readers.yaml")


CASES: dict[str, tuple[Edit, str]] = {
    "a plain text": (
        setting(*ALICE, "name", to="Alice Liddell"),
        """\
-      name: Alice
+      name: Alice Liddell""",
    ),
    "a plain text that now needs quotes": (
        setting(*ALICE, "name", to="Alice: the second"),
        """\
-      name: Alice
+      name: "Alice: the second\"""",
    ),
    "a text in single quotes keeps them": (
        setting(*BOB, "name", to="Bob's own"),
        """\
-      name: 'Bob''s'
+      name: 'Bob''s own'""",
    ),
    "a text in single quotes that needs escapes": (
        setting(*BOB, "name", to="Bob\u202e"),
        """\
-      name: 'Bob''s'
+      name: "Bob\\u202e\"""",
    ),
    "a text in double quotes keeps them": (
        setting(*ALICE, "data", "room", "name", to="Attic"),
        Refusal(
            "`sessions.alice.data.room.name` can't be changed alone: `*shelf` in line 23 refers to the same value"
        ),
    ),
    "a block": (
        setting(*ALICE, "prompt", to="You are Alice.\n  - Be bold.\n\nBe brief.", prompt=True),
        """\
-            - Be kind.
+            - Be bold.""",
    ),
    "a block whose first line is indented gets a number": (
        setting(*ALICE, "prompt", to="  Dear reader,\n\nBe brief.", prompt=True),
        """\
-      prompt: |   # as she is
-          You are Alice.
-            - Be kind.
+      prompt: |4   # as she is
+            Dear reader,""",
    ),
    "a block that no block can hold": (
        setting(*ALICE, "prompt", to="Ring\x07", prompt=True),
        """\
-      prompt: |   # as she is
-          You are Alice.
-            - Be kind.
-
-          Be brief.
+      prompt: "Ring\\x07"   # as she is""",
    ),
    "a prompt in quotes that now has lines": (
        setting(*BOB, "prompt", to="Hi.\n\nBe brief.", prompt=True),
        """\
-      prompt: "Hi."
+      prompt: |
+        Hi.
+
+        Be brief.""",
    ),
    "a number in braces": (
        setting(*ALICE, "parameters", "temperature", to=0.7),
        """\
-      parameters:   {temperature: 0.3 , max_tokens: 500 }   # cheap
+      parameters:   {temperature: 0.7 , max_tokens: 500 }   # cheap""",
    ),
    "a new key in braces": (
        setting(*ALICE, "parameters", "history_length", to=4),
        """\
-      parameters:   {temperature: 0.3 , max_tokens: 500 }   # cheap
+      parameters:   {temperature: 0.3 , max_tokens: 500, history_length: 4 }   # cheap""",
    ),
    "a new key in empty braces": (
        setting(*BOB, "remark", "owner", to={"desk": [3]}),
        """\
-      remark: {}
+      remark: {owner: {desk: [3]}}""",
    ),
    "a new key in a block, and what it is in": (
        setting(*BOB, "parameters", "temperature", to=1),
        """\
+      parameters: {temperature: 1}""",
    ),
    "a new prompt": (
        setting("sessions", "carol", to={"name": "Carol", "prompt": "Hello.\n\nWho is there?\n"}),
        """\
+   carol:
+      name: Carol
+      prompt: |
+         Hello.
+
+         Who is there?""",
    ),
    "one item of a list": (
        setting(*BOB, "lifecycle", "ignore_changes", to=["name", "model"]),
        """\
-        - data.books
+        - model""",
    ),
    "one more item, by value": (
        setting(*BOB, "lifecycle", "ignore_changes", to=["name", "data.books", "model"]),
        "+        - model",
    ),
    "one item less": (
        setting(*BOB, "lifecycle", "ignore_changes", to=["name"]),
        "-        - data.books",
    ),
    "a list that becomes a mapping": (
        setting(*BOB, "lifecycle", "ignore_changes", to={"a": 1}),
        """\
-        - name   # theirs
-        - data.books
+          a: 1""",
    ),
    "what comes through a merge key is overruled": (
        setting(*BOB, "model", to="deepseek-chat"),
        "+      model: deepseek-chat",
    ),
    "what comes through an alias is overruled, and the rest still comes from there": (
        setting(*BOB, "data", "books", to=["three"]),
        """\
-      data: *shelf
+      data:
+        <<: *shelf
+        books: [three]""",
    ),
    "an alias as a whole": (
        setting(*BOB, "data", to=1),
        """\
-      data: *shelf
+      data: 1""",
    ),
    "the value of an alias as it is": (
        setting(*BOB, "data", to={"books": ["one", "two"], "room": {"name": "Reading room", "floor": "2"}}),
        "",
    ),
    "what others stand for": (
        setting(*ALICE, "data", "books", to=[]),
        Refusal(
            "`sessions.alice.data.books` can't be changed alone: `*shelf` in line 23 refers to the same value"
        ),
    ),
    "a key is removed": (
        removing(*ALICE, "name"),
        "-      name: Alice",
    ),
    "a block is removed": (
        removing(*ALICE, "prompt"),
        """\
-      prompt: |   # as she is
-          You are Alice.
-            - Be kind.
-
-          Be brief.""",
    ),
    "the first key in braces is removed": (
        removing(*ALICE, "parameters", "temperature"),
        """\
-      parameters:   {temperature: 0.3 , max_tokens: 500 }   # cheap
+      parameters:   {max_tokens: 500 }   # cheap""",
    ),
    "the last key in braces is removed": (
        removing(*ALICE, "parameters", "max_tokens"),
        """\
-      parameters:   {temperature: 0.3 , max_tokens: 500 }   # cheap
+      parameters:   {temperature: 0.3 }   # cheap""",
    ),
    "the only key is removed": (
        removing(*BOB, "lifecycle", "ignore_changes"),
        """\
-      lifecycle:
-        ignore_changes:
-        - name   # theirs
-        - data.books
+      lifecycle: {}""",
    ),
    "an item is removed": (
        removing(*BOB, "lifecycle", "ignore_changes", 0),
        "-        - name   # theirs",
    ),
    "what an alias brings in is removed": (
        removing(*BOB, "data", "room"),
        """\
-      data: *shelf
+      data:
+        books: [one, two]""",
    ),
    "what a merge key brings in can't be removed": (
        removing(*BOB, "model"),
        Refusal("`sessions.bob.model` is not written here: it is merged in with `<<`"),
    ),
    "nothing is there to be removed": (
        removing(*ALICE, "remark"),
        Refusal("there is no `sessions.alice.remark`"),
    ),
    "a list that is not there yet": (
        setting("moved", to=[{"from": "alice", "to": "alice-en"}]),
        """\
+moved:
+   - {from: alice, to: alice-en}""",
    ),
    "an item at the end of brackets": (
        setting(*ALICE, "data", "books", to=["one", "two", "three"]),
        Refusal(
            "`sessions.alice.data.books` can't be changed alone: `*shelf` in line 23 refers to the same value"
        ),
    ),
    "a path through a text": (
        setting(*ALICE, "name", "first", to="x"),
        Refusal("`sessions.alice.name.first` leads through a value that is not a mapping"),
    ),
    "a value that YAML can't hold": (
        setting(*ALICE, "name", to="a\ud800"),
        Refusal(
            "`sessions.alice.name` can't be written in YAML: it holds the lone surrogate U+D800, half of a character"
        ),
    ),
}


@pytest.mark.parametrize("case", [case for case in CASES if not isinstance(CASES[case][1], Refusal)])
@pytest.mark.parametrize("line_break", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "BOM"])
def test_only_the_lines_that_hold_the_value_change(case: str, line_break: str, mark: str) -> None:
    make, expected = CASES[case]
    text = mark + MANIFEST.replace("\n", line_break)
    edited = make(text)
    assert changes(text, edited) == expected
    assert edited.startswith(mark)
    assert edited.count("\n") == edited.count(line_break)


@pytest.mark.parametrize("case", [case for case in CASES if isinstance(CASES[case][1], Refusal)])
def test_what_can_not_be_done_is_said(case: str) -> None:
    make, expected = CASES[case]
    with pytest.raises(ReconcilerError) as caught:
        make(MANIFEST)
    assert [problem.message for problem in caught.value.problems] == [expected]


def test_an_error_says_where() -> None:
    with pytest.raises(ReconcilerError) as caught:
        setting(*ALICE, "data", "books", to=[])(MANIFEST)
    assert caught.value.problems == (
        Problem(
            "`sessions.alice.data.books` can't be changed alone: `*shelf` in line 23 refers to the same value",
            "write the value out in line 23, and try again",
            "readers.yaml",
            13,
            13,
            "      data: &shelf",
        ),
    )


def test_a_text_with_faults_is_not_touched() -> None:
    with pytest.raises(CatalogError) as caught:
        set_value("a: 1\na: 2\n", ("a",), 2, file="x.yaml")
    (problem,) = caught.value.problems
    assert (problem.place, problem.message) == ("x.yaml:2:1", "the key `a` is given twice")


MORE: dict[str, tuple[str, Edit, str]] = {
    "the text ends without a line end": ("a: 1", setting("b", to=2), "a: 1\nb: 2\n"),
    "a value that ends the text": ("a: 1", setting("a", to=2), "a: 2"),
    "a prompt that ends the text": ("a: 1", setting("a", to="x\ny", prompt=True), "a: |\n  x\n  y"),
    "a text that ends the text": ("a: 1", setting("a", to="x\ny\n"), "a: |\n  x\n  y\n"),
    "a list that ends the text": ("a:", setting("a", to=["x\ny\n"]), "a:\n  - |\n    x\n    y\n"),
    "a block that ends the text without a line end": ("a: |\n x", setting("b", to=2), "a: |-\n x\nb: 2\n"),
    "a block that keeps blank lines": (
        "a: |+\n x\n\nb: 1\n",
        setting("c", to=2),
        "a: |+\n x\n\nb: 1\nc: 2\n",
    ),
    "blank lines below a block": ("a: |\n x\n\n\nb: 1\n", setting("a", to="y\n"), "a: |\n y\n\n\nb: 1\n"),
    "behind a nested block": (
        "a:\n  b: |\n    x\n\n# end\n",
        setting("a", "c", to=1),
        "a:\n  b: |\n    x\n  c: 1\n\n# end\n",
    ),
    "a folded text": ("a: >-\n  x\n  y\nb: 1\n", setting("a", to="z\nw"), "a: |-\n  z\n  w\nb: 1\n"),
    "a text over several lines": ("a: x\n  y\nb: 1\n", setting("a", to="z"), "a: z\nb: 1\n"),
    "null, written as nothing": ("a:\nb: 1\n", setting("a", to=1), "a: 1\nb: 1\n"),
    "null that becomes a mapping": ("a:  # c\nb: 1\n", setting("a", "x", to=1), "a: {x: 1}  # c\nb: 1\n"),
    "null in braces": ("a: {b, c: }\n", setting("a", "b", to=1), "a: {b: 1, c: }\n"),
    "an empty value in braces": ("a: {b, c: }\n", setting("a", "c", to=1), "a: {b, c: 1 }\n"),
    "a mapping that becomes a text": (
        "a: # c\n  b: 1 # d\n  # e\nf: 1\n",
        setting("a", to="x"),
        "a: x # c\n  # e\nf: 1\n",
    ),
    "a list right below its key": ("a:\n- 1\n- 2\n", setting("a", to=[1, 3]), "a:\n- 1\n- 3\n"),
    "a trailing comma": ("a: [1, 2,]\n", setting("a", to=[1, 2, 3]), "a: [1, 2, 3,]\n"),
    "brackets over lines": (
        "a: [\n  1, # one\n  2 # two\n]\n",
        setting("a", to=[1, 2, 3]),
        "a: [\n  1, # one\n  2, 3 # two\n]\n",
    ),
    "an item of mappings": (
        "a:\n  - b: 1\n    c: 2\n",
        setting("a", 0, "c", to=3),
        "a:\n  - b: 1\n    c: 3\n",
    ),
    "the first key beside a dash": ("a:\n  - b: 1\n    c: 2\n", removing("a", 0, "b"), "a:\n  - c: 2\n"),
    "the only key beside a dash": ("a:\n  - b: 1\n  - 2\n", removing("a", 0, "b"), "a:\n  - {}\n  - 2\n"),
    "a key with a question mark": ("? a\n: 1\n? b\n: 2\n", removing("a"), "? b\n: 2\n"),
    "a new key beside those": ("? a\n: 1\n", setting("b", to=2), "? a\n: 1\nb: 2\n"),
    "an anchor nobody uses stays": ("a: &x 1\n", setting("a", to=2), "a: &x 2\n"),
    "an anchor on a mapping stays": ("a: &x\n  b: 1\n", setting("a", to="t"), "a: &x t\n"),
    "a blank line between entries": ("a: 1\n\nb: 2\n", setting("c", to=["x"]), "a: 1\n\nb: 2\n\nc: [x]\n"),
    "a document with its start and end": ("---\na: 1\n...\n", setting("b", to=2), "---\na: 1\nb: 2\n...\n"),
    "a text whose lines YAML 1.1 would split": ("a: x\n", setting("a", to="b\u2028c"), 'a: "b\\u2028c"\n'),
    "a shared scalar is overruled": ("a: &x 1\nb: *x\nc: *x\n", setting("b", to=2), "a: &x 1\nb: 2\nc: *x\n"),
    "a session that is an alias": (
        "a: &a\n  name: A\n  m: 1\nb: *a\n",
        setting("b", "name", to="B"),
        "a: &a\n  name: A\n  m: 1\nb: {<<: *a, name: B}\n",
    ),
    "a mapping that is merged in is written out as far as it is overruled": (
        "a: &a\n  p: {t: 1, m: 2}\nb:\n  <<: *a\n",
        setting("b", "p", "t", to=3),
        "a: &a\n  p: {t: 1, m: 2}\nb:\n  <<: *a\n  p: {t: 3, m: 2}\n",
    ),
}


@pytest.mark.parametrize("case", MORE)
def test_small_texts(case: str) -> None:
    text, make, expected = MORE[case]
    assert make(text) == expected


def test_half_a_character_is_never_written() -> None:
    for path, value in ((("a\ud800",), 1), (("a",), {"\udfff": 1})):
        with pytest.raises(ReconcilerError, match=r"it holds the lone surrogate U\+D"):
            set_value("a: 1\n", path, value)


def test_several_edits_are_made_at_once_or_one_after_the_other() -> None:
    edited = edit(
        MANIFEST,
        [
            Change("set", (*ALICE, "parameters", "temperature"), 1),
            Change("set", (*ALICE, "parameters", "history_length"), 2),
            Change("remove", (*ALICE, "parameters", "max_tokens")),
            Change("set", (*BOB, "prompt"), "Hello.", prompt=True),
            Change("set", ("forgotten",), ["bob"]),
            Change("set", ("forgotten",), ["bob", "carol"]),
        ],
    )
    assert (
        changes(MANIFEST, edited)
        == """\
-      parameters:   {temperature: 0.3 , max_tokens: 500 }   # cheap
+      parameters:   {temperature: 1, history_length: 2 }   # cheap
-      prompt: "Hi."
+      prompt: "Hello."
+forgotten: [bob, carol]"""
    )


def test_of_several_edits_the_impossible_one_is_named() -> None:
    with pytest.raises(ReconcilerError, match=r"there is no `sessions\.carol`"):
        edit(MANIFEST, [Change("set", (*ALICE, "name"), "A"), Change("remove", ("sessions", "carol"))])
