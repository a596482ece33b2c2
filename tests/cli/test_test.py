"""``reconciler test``, and plans with tests: what is asked, shown, refused and allowed."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from reconciler.schemas import check_document
from reconciler.server import RunningServer
from reconciler.server.chat import Rule
from reconciler.server.run import running_server
from tests.cli.conftest import Shell
from tests.cli.test_hostile import ACTIVE
from tests.hostile import HOSTILE

_BRIEF = {"name": "stays brief", "ask": "Which book?", "expect": [{"max_characters": 20}], "samples": 3}
_POLITE = {"name": "polite", "ask": "Hello", "expect": [{"refuses": False}]}


def _alice(prompt: str) -> dict[str, object]:
    return {"name": "Alice", "prompt": prompt, "tests": [_BRIEF, _POLITE]}


_LATER = {"alice": _alice("Tell a story."), "bob": {"name": "Bobby", "prompt": "You are Bob."}}


@pytest.fixture
def tested(shop: Shell, server: RunningServer) -> Shell:
    """Alice is live, and brief; her prompt in the catalog is not."""
    server.chat.script = [
        Rule("book", "Be brief", ("A short poem.",)),
        Rule("book", "", ("A long novel about a short poem.",)),
        Rule("", "", ("Good evening.",)),
    ]
    shop.write({"alice": _alice("Be brief."), "bob": {"name": "Bob", "prompt": "You are Bob."}})
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    shop.write(_LATER)
    return shop


def _calls(server: RunningServer) -> int:
    return sum(entry.operation == "chat" for entry in server.log)


def test_every_test_of_the_catalog(tested: Shell, server: RunningServer) -> None:
    done = tested.run("test", "shop")
    assert done.returncode == 5, done.stderr
    assert done.stdout == (
        "✗ alice · stays brief: failed: 0 of 3 pass\n"
        "    it has 32 characters, and at most 20 are allowed (3 answers)\n"
        "      | A long novel about a short poem.\n"
        "✓ alice · polite: passed\n"
        "\n"
        "2 tests: 1 failed, 1 passed.\n"
    )
    assert "2 tests: at most 4 calls\n" in done.stderr
    assert _calls(server) == 4
    assert tested.run("test", "shop").returncode == 5
    assert _calls(server) == 4, "answers are kept"


def test_what_the_plan_changes_is_compared(tested: Shell) -> None:
    done = tested.run("test", "shop", "--changed")
    assert done.returncode == 5
    assert "✗ alice · stays brief: regressed: 0 of 3 pass, was 3 of 3\n" in done.stdout
    assert done.stdout.endswith("2 tests: 1 regressed, 1 same.\n")
    in_ci = tested.run("test", "shop", CI="true")
    assert in_ci.stdout == done.stdout


@pytest.mark.parametrize("form", ["json", "junit", "markdown"])
def test_other_forms(tested: Shell, form: str) -> None:
    text = tested.run("test", "shop", "--format", form).stdout
    if form == "json":
        document = json.loads(text)
        assert [(one["test"], one["result"]) for one in document["tests"]] == [
            ("stays brief", "failed"),
            ("polite", "passed"),
        ]
        assert document["exit_code"] == 5
    elif form == "junit":
        root = ET.fromstring(text)
        assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("2", "1", "0")
        failure = root.find("testsuite/testcase[@name='stays brief']/failure")
        assert failure is not None
        assert failure.get("message") == "failed: 0 of 3 pass"
    else:
        assert text.startswith("### Behaviour tests: 1 failed, 1 passed\n")
        assert "  A long novel about a short poem.\n" in text


def test_a_recording_is_replayed_without_a_key(tested: Shell, server: RunningServer) -> None:
    tested.run("test", "shop", "--record", "answers.jsonl")
    before = _calls(server)
    done = tested.run("test", "shop", "--replay", "answers.jsonl", MINDCRAFT_API_KEY="")
    assert done.returncode == 5, done.stderr
    assert _calls(server) == before
    tested.write({"alice": _alice("Another prompt.")})
    done = tested.run("test", "shop", "--replay", "answers.jsonl")
    assert done.returncode == 1
    assert "? alice · polite: not run\n    the answer is not in the recording\n" in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["alise"], 64, "the catalog has no session `alise`\n      hint: did you mean 'alice'?\n"),
        (["bob"], 64, "the session `bob` has no tests\n      hint: write some below its `tests:`\n"),
        (
            ["--max-calls=3"],
            3,
            "this takes 4 calls, and at most 3 are allowed\n      hint: add --max-calls=4, or test fewer sessions\n",
        ),
        (["--all", "--against=snapshot.json"], 64, "--against is for --changed"),
        (["--chat-endpoint=http://example.com"], 64, "would send the API key in clear over a network"),
        (["--chat-endpoint=https://example.com"], 1, "RECONCILER_CHAT_API_KEY is not set"),
    ],
)
def test_what_can_not_be_run_is_told(
    tested: Shell, server: RunningServer, words: list[str], code: int, said: str
) -> None:
    tested.run("snapshot", "snapshot.json")
    done = tested.run("test", "--catalog=shop", *words)
    assert (done.returncode, _calls(server)) == (code, 0)
    assert said in done.stderr


def test_another_service_gets_its_own_key(tested: Shell, server: RunningServer) -> None:
    with running_server(None) as other:
        done = tested.run("test", "shop", f"--chat-endpoint={other.url}/v1", RECONCILER_CHAT_API_KEY="other")
        assert done.returncode == 5, done.stderr
        assert {entry.headers.get("authorization") for entry in other.log} == {"Bearer other"}
    assert _calls(server) == 0


def test_hostile_answers_have_no_effect_in_any_form(tested: Shell, server: RunningServer) -> None:
    texts = (one.encode("utf-8", "replace").decode() for one in HOSTILE.values())
    hostile = [*texts, "x" * 100_000]
    tests = [
        {"name": f"{number} @everyone <b>", "ask": f"Hostile {number}", "expect": [{"contains": "none"}]}
        for number in range(len(hostile))
    ]
    server.chat.reply = lambda prompt, question: hostile[int(question.split()[-1])] or "\x1b[2J"
    tested.write(
        {
            key: {"name": key, "prompt": "Tell a story.", "tests": some}
            for key, some in (("alice", tests[:60]), ("carol", tests[60:]))
        }
    )
    for words in (("test", "--changed"), ("plan", "--with-tests")):
        for form in ("text", "json", "markdown", *(("junit",) if words[0] == "test" else ("html", "github"))):
            done = tested.run(words[0], "shop", *words[1:], "--format", form, "--max-calls=500")
            assert done.returncode == (5 if words[0] == "test" else 0), done.stderr
            assert not ACTIVE.search(done.stdout.replace("\t", "") if form == "html" else done.stdout), (
                words,
                form,
            )
            if form == "json":
                assert len(json.loads(done.stdout)["tests"]) == len(hostile)


def test_validate_counts_the_tests(tested: Shell) -> None:
    assert tested.run("validate", "shop").stdout == "bookshop: 2 sessions and 2 tests, all valid.\n"


def test_nothing_to_test_is_told(shop: Shell) -> None:
    shop.write({"bob": {"name": "Bob", "prompt": "You are Bob."}})
    done = shop.run("test", "shop")
    assert (done.returncode, done.stdout) == (0, "\n0 tests: no tests.\n")
    assert done.stderr == "the catalog has no tests: write some below `tests:` of a session\n"


class TestTheGate:
    """``policy.tests: required``."""

    @pytest.fixture
    def strict(self, tested: Shell) -> Shell:
        tested.write(_LATER, policy={"tests": "required"})
        return tested

    def test_a_plan_without_tests_is_refused(self, strict: Shell) -> None:
        done = strict.run("plan", "shop")
        assert done.returncode == 3
        assert "[tests] the tests of alice were not run, and the policy requires them\n" in done.stdout
        assert "to allow it: --with-tests\n" in done.stdout

    def test_a_regression_refuses_the_plan_and_is_allowed_by_name(self, strict: Shell) -> None:
        document = strict.json("plan", "shop", "--with-tests", code=3)
        assert check_document(document, "plan") == []
        (refusal,) = document["refusals"]
        assert refusal == {
            "guard": "tests",
            "message": "alice: the test “stays brief” regressed: 0 of 3 pass, was 3",
            "allow": "'--allow-regression=alice.stays brief'",
            "key": "alice",
        }
        done = strict.run(
            "apply", "shop", "--with-tests", "--allow-regression=alice.stays brief", "--auto-approve"
        )
        assert done.returncode == 0, done.stderr
        assert "updated alice #1" in done.stdout

    def test_an_apply_is_refused_and_writes_nothing(self, strict: Shell, server: RunningServer) -> None:
        for flags in ([], ["--with-tests"]):
            assert strict.run("apply", "shop", "--auto-approve", *flags).returncode == 3
        assert server.store.session(1).prompt == "Be brief."  # type: ignore[union-attr]

    def test_a_saved_plan_goes_by_the_results_in_it(self, strict: Shell, server: RunningServer) -> None:
        assert strict.run("plan", "shop", "--with-tests", "--out=refused.plan").returncode == 3
        assert strict.run("apply", "refused.plan").returncode == 3
        allowed = "--allow-regression=alice.stays brief"
        assert strict.run("plan", "shop", "--with-tests", allowed, "--out=p.plan").returncode == 0
        before = _calls(server)
        shown = strict.run("show", "p.plan").stdout
        assert "✗ alice · stays brief: regressed: 0 of 3 pass, was 3 of 3\n" in shown
        text = (strict.folder / "p.plan").read_text()
        (strict.folder / "altered.plan").write_text(text.replace('"regressed"', '"improved"'))
        assert "was altered" in strict.run("apply", "altered.plan").stderr
        assert strict.run("apply", "p.plan").returncode == 0
        assert _calls(server) == before, "a saved plan asks nobody"

    def test_a_change_that_no_answer_depends_on_needs_no_tests(self, strict: Shell) -> None:
        renamed = {**_LATER, "alice": {**_alice("Be brief."), "name": "Alicia"}}
        strict.write(renamed, policy={"tests": "required"})
        assert strict.run("plan", "shop").returncode == 0

    def test_a_name_that_is_none_is_told(self, strict: Shell) -> None:
        done = strict.run("plan", "shop", "--with-tests", "--allow-regression=alice.stays breef")
        assert done.returncode == 3
        assert (
            "--allow-regression=alice.stays breef: the plan changes no such test; did you mean 'alice.stays brief'?\n"
            in done.stderr
        )


def test_a_folder_before_the_keys_is_told(tested: Shell) -> None:
    done = tested.run("test", "shop", "alice")
    assert done.returncode == 64
    assert "the catalog's folder, shop, comes last" in done.stderr
    assert "write alice shop" in done.stderr
