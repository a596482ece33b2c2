"""promptfoo itself, run on an export: the same verdicts as ``reconciler test``, and the same questions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.server import RunningServer
from tests.cli.conftest import Shell

PROMPTFOO = Path(__file__).parents[2] / ".venv" / "promptfoo" / "node_modules" / ".bin" / "promptfoo"

#: What a template engine would change, and what looks like a file or a reference.
_PROMPT = (
    'You are {{char}} of ${shop}. {% if x %}{# note #} {{ env.PATH }} "quoted" \\n\n```\nfence\n```\n书 🙂'
)
_ASKED = "file:///etc/hostname {{ env.HOME }} {{{{x}} ${y} 书"

#: Checks, and answers to each: some pass and some fail.
_CHECKS: list[tuple[str, Any, list[str]]] = [
    ("equals", " Yes. ", ["Yes.", "\n Yes.\u3000", "\x1fYes.\x85", "yes.", "\ufeffYes.", ""]),
    ("equals", "", ["", " \n", "x"]),
    ("equals", "file:///etc/hostname", ["file:///etc/hostname", "x"]),
    ("contains", "书", ["一本书", "a book"]),
    ("contains", "{{ 7 * 7 }}", ["{{ 7 * 7 }}", "49"]),
    ("contains_any", ["book", "novel, poem"], ["a book", "novel, poem", "a poem"]),
    ("contains_any", ["a", "file:///etc/hostname"], ["b", "a"]),
    ("contains_all", ["title", "author"], ["author and title", "title"]),
    ("not_contains", "price", ["free", "a price", ""]),
    ("not_contains", ["price", "{%"], ["free", "{% if %}", "price"]),
    ("starts_with", "Dear", [" Dear", "Oh Dear"]),
    ("matches", "(?i)as an AI", ["as an ai, I", "As a friend", "x\nAS AN AI"]),
    ("not_matches", r"(?i)\bAI\b", ["AI", "aim", ""]),
    ("matches", r"(?m)^- \w+$", ["x\n- one\ny", "x\r- one\r", "- one two"]),
    ("matches", r"^a.b$", ["a🙂b", "a\rb", "a\nb", "ab"]),
    ("matches", r"(?s)^a.b\z", ["a\nb", "axb\n", "axbx"]),
    ("matches", r"a\sb", ["a b", "a\u3000b", "a\vb"]),
    ("matches", r"(?P<n>[[:upper:]]{2})[\]\-x]\p{Han}{1,2}", ["AB]书", "AB-书", "Ab]书", "ABxa"]),
    ("matches", r"\x{4e66}|\Aq|{}", ["书", "q", "aq", "{}"]),
    ("max_characters", 3, ["书🙂x", "书🙂xy", "  abc  ", ""]),
    ("min_characters", 1, ["🙂", "", "  "]),
    ("max_tokens", 4, ["x" * 15, "x" * 16, "书" * 7, "书" * 8]),
    ("min_tokens", 2, ["x" * 5, "x" * 4, "书" * 3, "书书"]),
    ("max_sentences", 2, ["One. Two!", "One. Two! 三。", "3.14 is pi. …", "a\nb\nc"]),
    ("min_sentences", 1, ["One", "…", ""]),
    ("json", True, ["{}", "```json\n[1]\n```", "[1", "```\n{}\n``` x", "NaN", "5"]),
    ("json", {"type": "object", "required": ["title"]}, ['{"title": 1}', '```\n{"a": 1}\n```', "[]"]),
    (
        "json",
        {"$defs": {"t": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/t"}}},
        ['{"a": "x"}', '{"a": 1}'],
    ),
    ("refuses", True, ["I’m sorry, but no.", "Of course.", "我无法回答", "x" * 200 + "I can't", ""]),
    ("refuses", False, ["I CAN'T do that", "Sure"]),
    ("judge", "It is {{ kind }}.", ["kind", "rude"]),
]


def _tests() -> list[dict[str, Any]]:
    return [
        {"name": f"{at}.{nth} {kind}", "ask": f"{at}.{nth} {_ASKED}", "expect": [{kind: value}]}
        for at, (kind, value, answers) in enumerate(_CHECKS)
        for nth, _ in enumerate(answers)
    ]


def _reply(prompt: str, question: str) -> str:
    """The answer by the number at the beginning of a question; judges of both kinds know what is kind."""
    if "kind" in prompt or "kind" in question:
        passes = '"answer": "kind"' in question or "Output>\nkind" in question
        judged = {"pass": passes, "score": int(passes), "reason": "so"}
        return (
            ("PASS\nso" if passes else "FAIL\nso") if prompt.startswith("You judge") else json.dumps(judged)
        )
    at, nth = map(int, question.partition(" ")[0].split("."))
    return _CHECKS[at][2][nth]


def run_promptfoo(folder: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """The results of ``promptfoo eval``, by the description of the test. Without the package, the test is skipped."""
    if not PROMPTFOO.exists() or shutil.which("node") is None:
        pytest.skip("needs node and: make javascript-promptfoo")
    done = subprocess.run(
        [str(PROMPTFOO), "eval", "-c", "promptfooconfig.yaml", "-o", "out.json", "--no-cache", "--no-table"],
        cwd=folder,
        env={
            **os.environ,
            **environ,
            "PROMPTFOO_CONFIG_DIR": str(folder / ".promptfoo"),
            "PROMPTFOO_DISABLE_TELEMETRY": "1",
            "PROMPTFOO_DISABLE_UPDATE": "1",
            "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, 100), done.stdout + done.stderr
    document = json.loads((folder / "out.json").read_text())
    return {one["testCase"]["description"]: one for one in document["results"]["results"]}


def test_every_check_has_the_same_verdict(shop: Shell, server: RunningServer) -> None:
    server.chat.reply = _reply
    alice = {"name": "A", "prompt": _PROMPT, "parameters": {"temperature": 0.25, "max_tokens": 77}}
    shop.write({"alice": {**alice, "tests": _tests()}})
    done = shop.run("export", "--promptfoo", "out", "shop")
    assert (done.returncode, done.stderr) == (0, "")
    found = run_promptfoo(shop.folder / "out", {"MINDCRAFT_API_KEY": shop.environ["MINDCRAFT_API_KEY"]})
    theirs = [entry.body for entry in server.log if entry.operation == "chat"]
    ours = shop.json("test", "shop", "--max-calls=500", code=5)["tests"]
    assert {name: one["success"] for name, one in found.items()} == {
        f"alice: {one['test']}": one["result"] == "passed" for one in ours
    }
    assert {one["result"] for one in ours} == {"passed", "failed"}
    asked = [one for one in theirs if one is not None and one["messages"][-1]["content"][0].isdigit()]  # type: ignore[index,call-overload]
    assert sorted(one["messages"][1]["content"] for one in asked) == sorted(one["ask"] for one in _tests())  # type: ignore[index,call-overload]
    for one in asked:
        assert one["messages"][0] == {"role": "system", "content": _PROMPT}  # type: ignore[index,call-overload]
        assert (one["model"], one["temperature"], one["max_tokens"]) == ("deepseek-chat", 0.25, 77)


def test_each_session_is_asked_with_its_own_prompt_and_parameters(shop: Shell, server: RunningServer) -> None:
    """Although they have the same model, and one key is the name that promptfoo has for such services."""
    talk = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello {{ you }}"},
        {"role": "user", "content": "Which book?"},
    ]
    test = {"name": "t", "messages": talk, "expect": [{"contains": "Which book?"}]}
    shop.write(
        {
            key: {
                "name": key,
                "prompt": f"You are {key}.",
                "parameters": {"temperature": heat},
                "tests": [test],
            }
            for key, heat in (("openai", 0.5), ("openai-2", 1.5))
        }
    )
    assert shop.run("export", "--promptfoo", "out", "shop").returncode == 0
    found = run_promptfoo(shop.folder / "out", {"MINDCRAFT_API_KEY": shop.environ["MINDCRAFT_API_KEY"]})
    assert {name: one["success"] for name, one in found.items()} == {"openai: t": True, "openai-2: t": True}
    sent = [entry.body for entry in server.log if entry.body is not None]
    assert sorted(one["temperature"] for one in sent) == [0.5, 1.5]  # type: ignore[type-var]
    for body in sent:
        key = {0.5: "openai", 1.5: "openai-2"}[body["temperature"]]  # type: ignore[index]
        assert body["messages"] == [{"role": "system", "content": f"You are {key}."}, *talk]
        assert "max_tokens" not in body


_SESSIONS = {
    "alice": {
        "name": "Alice",
        "prompt": "Be brief.",
        "tests": [
            {
                "name": "brief",
                "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
                "expect": [{"max_characters": 9, "contains": "file:///etc/passwd"}, {"language": "en"}],
                "samples": 3,
            },
            {"name": "Chinese", "ask": "Hi", "expect": [{"language": "zh"}, {"matches": "a(?i)b"}]},
            {
                "name": "near",
                "ask": "Hi",
                "expect": [{"similar_to": {"text": "Hello"}}, {"judge": "Is kind."}],
            },
        ],
    },
    "bob": {
        "name": "Bob",
        "model": "{{ x }}",
        "prompt": "x",
        "tests": [{"name": "t", "ask": "Hi", "expect": [{"equals": "x"}]}],
    },
}


def test_what_is_written_and_what_is_left_out(shop: Shell, server: RunningServer) -> None:
    shop.write(_SESSIONS)
    done = shop.run("export", "--promptfoo", "out", "shop", MINDCRAFT_API_KEY="", MINDCRAFT_ENDPOINT="")
    assert done.returncode == 4
    assert (
        done.stdout == "bookshop: 2 tests of 1 session exported: promptfoo eval -c out/promptfooconfig.yaml\n"
    )
    notes = [
        "alice · brief: `language` is left out: promptfoo has no counterpart",
        "alice · Chinese: `language` and `matches` are left out, and with them the test: promptfoo has no counterpart",
        "bob is left out: promptfoo would not take its model `{{ x }}` as it is",
        "alice · brief: `samples` and `pass` have no counterpart; promptfoo asks once, and `promptfoo eval --no-cache "
        "--repeat N` asks N times and counts each answer",
        "alice · near: `similar_to` is compared by the embedding model that promptfoo is set up for",
    ]
    assert done.stderr.splitlines() == notes
    text = (shop.folder / "out" / "promptfooconfig.yaml").read_text()
    assert [line.removeprefix("# ") for line in text.splitlines() if line.startswith("#")][1:] == notes
    address = {"apiBaseUrl": "https://api.mindcraft.com.cn/v1", "apiKeyEnvar": "MINDCRAFT_API_KEY"}
    config = {**address, "omitDefaults": True}
    document = yaml.safe_load(text)
    assert document["providers"] == [
        {"id": "openai:chat:deepseek-chat", "label": "session alice", "config": config}
    ]
    brief, near = (test["assert"] for test in document["tests"])
    assert brief == [
        {"type": "javascript", "value": "file://reconciler.cjs:max_characters", "config": {"value": 9}},
        {"type": "contains", "value": "file://reconciler.cjs:value", "config": {"check": 0}},
    ]
    judge = {"id": "openai:chat:deepseek-chat", "config": {**config, "temperature": 0}}
    assert near == [
        {"type": "similar", "value": "Hello", "threshold": 0.8},
        {"type": "llm-rubric", "value": "Is kind.", "provider": judge},
    ]
    assert list(server.log) == []
    again = shop.run("export", "--promptfoo", "out", "shop")
    assert again.returncode == 3
    assert "out already has promptfooconfig.yaml, reconciler.cjs, reconciler.json" in again.stderr
    assert shop.run("export", "--promptfoo", "out", "shop", "--force").returncode == 4


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            ["--layout=one"],
            64,
            "--layout has no effect here: --promptfoo exports a catalog, not live sessions",
        ),
        (["--only=all"], 64, "--only has no effect here"),
        (["--endpoint=local"], 64, "and give its address as --endpoint"),
        (["--env=nowhere"], 1, "nowhere"),
    ],
)
def test_what_can_not_be_exported_is_told(shop: Shell, words: list[str], code: int, said: str) -> None:
    shop.write(_SESSIONS)
    done = shop.run("export", "--promptfoo", "out", "shop", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert not (shop.folder / "out").exists()


def test_a_catalog_without_tests_is_told(shop: Shell) -> None:
    shop.write({"bob": {"name": "Bob", "prompt": "You are Bob."}})
    done = shop.run("export", "--promptfoo", "out", "shop")
    assert done.returncode == 1
    assert done.stderr == "the catalog has no tests\n      hint: write some below `tests:` of a session\n"
