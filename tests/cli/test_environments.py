"""Environments that were added to a catalog which is live already."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

import reconciler.contract
from reconciler.cli import COMMANDS, cli
from reconciler.render import FORMS
from reconciler.server import RunningServer
from tests.cli.conftest import Shell
from tests.support import learned_file

ALICE = {"alice": {"name": "Alice", "prompt": "Be kind."}}
BOTH = {"staging": {"name_prefix": "S "}, "production": {}}


@pytest.fixture
def both(shop: Shell, server: RunningServer) -> Shell:
    """A catalog with two environments in one account, and nothing live."""
    shop.write(ALICE, environments=BOTH, policy={"shared_account": True})
    return shop


def test_an_environment_that_the_catalog_does_not_declare_is_an_error(
    shop: Shell, server: RunningServer
) -> None:
    for command in ("plan", "apply", "validate"):
        done = shop.run(command, "shop", "--env", "staging")
        assert done.returncode == 1
        assert "this catalog declares no environments, so there is no `staging`" in done.stderr
        assert "hint: drop --env=staging (or unset RECONCILER_ENV), or declare it below" in done.stderr
    assert not any(one.operation == "create_session" for one in server.log)


def test_a_missing_environment_is_the_only_error(both: Shell) -> None:
    prompt = [{"text": "In {{ office }}.", "template": "jinja"}]
    environments = {"staging": {"variables": {"office": "the lab"}}, "production": {}}
    both.write({"alice": {"name": "Alice", "prompt": prompt}}, environments=environments)
    done = both.run("plan", "shop")
    assert done.returncode == 1
    assert done.stderr.count("hint:") == 1
    assert "catalog.yaml:5:1: this catalog has environments, but none was chosen" in done.stderr
    assert "hint: add --env=staging or --env=production" in done.stderr
    assert "office" not in done.stderr


@pytest.mark.parametrize("form", sorted(FORMS))
def test_other_environments_are_told_apart_from_other_catalogs(
    both: Shell, server: RunningServer, form: str
) -> None:
    for key in ("ann", "ben"):
        remark = f'{{"reconciler":{{"catalog":"bookshop","environment":"production","key":"{key}"}}}}'
        server.store.insert_session(name=key, remark=remark)
    server.store.insert_session(name="Zoe", remark='{"reconciler":{"catalog":"toys","key":"zoe"}}')
    done = both.run("plan", "shop", "--env", "staging", "--format", form)
    assert done.returncode == 0, done.stderr
    if form == "json":
        assert '"foreign": 3' in done.stdout
        assert '"other_environments": 2' in done.stdout
    else:
        assert "2 of other environments, 1 of other catalogs" in done.stdout


# The service of an environment


def learned(shell: Shell, path: str = "contracts/learned.yaml", **changes: str) -> None:
    """A contract in the catalog's folder that differs from the built-in one in that its calls are known to work."""
    text = learned_file(shell.folder).read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (shell.root / path).parent.mkdir(exist_ok=True)
    (shell.root / path).write_text(text, encoding="utf-8")


def test_a_contract_that_the_catalog_names_is_used_without_a_flag(shop: Shell) -> None:
    assert "[canary]" in shop.run("plan", "shop").stdout
    shop.write(ALICE, contract="contracts/learned.yaml")
    learned(shop)
    done = shop.run("plan", "shop")
    assert (done.returncode, "[canary]" in done.stdout) == (0, False)
    assert done.stderr == "contract: contracts/learned.yaml, which catalog.yaml names\n"


def test_the_flag_wins_over_the_contract_of_the_catalog(shop: Shell) -> None:
    shop.write(ALICE, contract="contracts/learned.yaml")
    learned(shop)
    assert shop.run("schema", "contract").returncode == 0
    builtin = Path(reconciler.contract.__file__).with_name("mindcraft.yaml")
    done = shop.run("plan", "shop", "--contract", str(builtin))
    assert "[canary]" in done.stdout
    assert done.stderr == (
        f"contract: {builtin} (--contract), not contracts/learned.yaml, which catalog.yaml names\n"
    )


def test_an_environment_has_its_own_contract(both: Shell) -> None:
    environments = {"staging": {"contract": "contracts/learned.yaml"}, "production": None}
    both.write(ALICE, environments=environments)
    learned(both)
    assert "[canary]" not in both.run("plan", "shop", "--env=staging").stdout
    assert "[canary]" in both.run("plan", "shop", "--env=production").stdout
    done = both.run("list", "shop")
    assert done.returncode == 64
    assert "name different contracts" in done.stderr
    assert "hint: add --env=staging or --env=production" in done.stderr


def test_a_saved_plan_brings_its_contract_along(shop: Shell) -> None:
    shop.write(ALICE, contract="contracts/learned.yaml")
    learned(shop)
    assert shop.run("plan", "shop", "--out", "plan.json").returncode == 0
    (shop.root / "contracts" / "learned.yaml").unlink()
    done = shop.run("apply", "plan.json", "--catalog", "shop")
    assert done.returncode == 0, done.stderr
    assert "contract: contracts/learned.yaml, as it was when the plan was made\n" in done.stderr
    assert "tried first" not in done.stdout


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("../learned.yaml", "catalog.yaml:5:11: the contract `../learned.yaml` goes up with `..`"),
        ("contracts/none.yaml", "catalog.yaml:5:11: the contract `contracts/none.yaml` does not exist"),
        (".hidden.yaml", "catalog.yaml:5:11: the contract `.hidden.yaml` is hidden"),
        ("link.yaml", "the contract `link.yaml` leads out of the catalog's folder through a symlink"),
        ("catalog.yaml", "catalog.yaml:"),
    ],
)
def test_a_contract_is_a_file_of_the_catalog(
    shop: Shell, server: RunningServer, path: str, said: str
) -> None:
    (shop.root / "link.yaml").symlink_to(learned_file(shop.folder))
    shop.write(ALICE, contract=path)
    for command in ("validate", "plan", "apply"):
        done = shop.run(command, "shop")
        assert done.returncode == 1
        assert said in done.stderr
    assert server.log == []


def test_a_contract_of_the_catalog_can_not_make_a_plan_write(shop: Shell, server: RunningServer) -> None:
    shop.write(ALICE, contract="contracts/learned.yaml")
    learned(shop, **{"method: GET\n    path: /v1/session/": "method: POST\n    path: /v1/session/"})
    for command in ("validate", "plan"):
        done = shop.run(command, "shop")
        assert done.returncode == 1
        assert "`operations.list_sessions.method` is POST" in done.stderr
        assert "contracts/learned.yaml:" in done.stderr
    assert server.log == []


TALKING = [
    ("plan", "shop"),
    ("apply", "shop", "--auto-approve"),
    ("drift", "shop"),
    ("list", "shop"),
    ("export", "shop", "--force"),
    ("snapshot", "live.json", "shop"),
    ("adopt", "alice=1", "shop", "--auto-approve"),
    ("adopt", "--match", "name", "shop", "--auto-approve"),
    ("adopt", "--tidy", "shop"),
    ("forget", "alice", "./shop", "--auto-approve"),
    ("mv", "alice", "alice-en", "shop", "--auto-approve"),
    ("doctor", "shop"),
    ("models", "shop"),
    ("unlock", "shop"),
]


@pytest.mark.parametrize("words", TALKING, ids=lambda words: " ".join(words[:2]))
def test_no_command_calls_another_address_than_the_expected_one(
    both: Shell, server: RunningServer, words: tuple[str, ...]
) -> None:
    environments = {"staging": {"expect_endpoint": server.url}, "production": {}}
    both.write(ALICE, environments=environments, expect_endpoint="https://api.example.com")
    done = both.run(*words, "--env=production")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(
        f"environment production expects https://api.example.com, and this is {server.url}: nothing was sent.\n"
    )
    assert server.log == []


def test_a_restore_calls_no_other_address_than_the_expected_one(shop: Shell, server: RunningServer) -> None:
    shop.write(ALICE)
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    shop.write({})
    assert shop.run("apply", "shop", "--auto-approve", "--allow-empty").returncode == 0
    shop.write({}, expect_endpoint="https://api.example.com")
    (archived,) = shop.json("archive", "list", "shop")
    before = len(server.log)
    done = shop.run("archive", "restore", archived["id"], "shop", "--auto-approve")
    assert done.returncode == 3
    assert "this catalog expects https://api.example.com, and this is" in done.stderr
    assert len(server.log) == before


def test_an_address_is_compared_in_its_canonical_form(shop: Shell, server: RunningServer) -> None:
    shop.write(ALICE, expect_endpoint=server.url.replace("http", "HTTP") + "/")
    assert shop.run("plan", "shop").returncode == 0
    shop.write(ALICE, expect_endpoint="https://API.example.com:443")
    assert shop.run("snapshot", "live.json", "--endpoint", server.url).returncode == 0
    snapshot = (shop.folder / "live.json").read_text().replace(server.url, "https://api.example.com")
    (shop.folder / "live.json").write_text(snapshot)
    assert shop.run("plan", "shop", "--against", "live.json").returncode == 0
    (shop.folder / "live.json").write_text(snapshot.replace("api.example", "other.example"))
    assert shop.run("plan", "shop", "--against", "live.json").returncode == 3


def test_the_embedded_server_may_always_be_tried(shop: Shell) -> None:
    shop.write(ALICE, expect_endpoint="https://api.example.com")
    done = shop.run("apply", "shop", "--endpoint", "local", "--auto-approve")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("address", ["api.example.com", "http://api.example.com", "https://u:p@example.com"])
def test_an_expected_address_is_one_that_could_be_called(shop: Shell, address: str) -> None:
    shop.write(ALICE, expect_endpoint=address)
    done = shop.run("validate", "shop")
    assert done.returncode == 1
    assert done.stderr.startswith("catalog.yaml:5:18: `expect_endpoint`: ")
    assert "u:p" not in done.stderr.splitlines()[0]


def test_without_an_environment_the_address_decides_which_contract_is_meant(
    both: Shell, server: RunningServer
) -> None:
    environments = {
        "staging": {"expect_endpoint": "https://gray.example.com"},
        "production": {"expect_endpoint": server.url, "contract": "contracts/learned.yaml"},
    }
    both.write(ALICE, environments=environments)
    learned(both)
    done = both.run("list", "shop")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        0,
        "contract: contracts/learned.yaml, which catalog.yaml names",
    )


def test_doctor_says_how_the_catalog_names_what_it_wrote(both: Shell) -> None:
    (both.root / "contracts").mkdir()
    words = ("doctor", "shop", "--env=staging", "--write", "shop/contracts/new.yaml")
    done = both.run(*words)
    assert done.returncode == 0, done.stdout
    assert done.stderr == (
        "To use it without a flag, add to catalog.yaml, below `environments: staging:`: "
        "`contract: contracts/new.yaml`\n"
    )
    both.write(ALICE, environments={"staging": {"contract": "contracts/new.yaml"}, "production": {}})
    (both.root / "contracts" / "new.yaml").unlink()
    done = both.run(*words)
    assert (done.returncode, done.stderr) == (
        0,
        "catalog.yaml names contracts/new.yaml: the commands of this catalog use it.\n",
    )


# Between environments


def test_export_asks_which_environment_is_meant(both: Shell, server: RunningServer) -> None:
    for name in ("staging", "production"):
        assert both.run("apply", "shop", f"--env={name}", "--auto-approve").returncode == 0
    done = both.run("export", "copy")
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == (
        "the sessions are live in the environments production, staging, and none was chosen\n"
        "      hint: add --env=production or --env=staging\n"
    )
    assert not (both.folder / "copy").exists()
    with both.started("export", "copy") as started:
        started.wait_for("Export which environment? (production, staging): ")
        started.answer("staging")
        code, out, _ = started.ended()
    assert (code, out) == (0, "bookshop: 1 session exported to copy.\n")
    assert both.run("plan", "copy", "--env=staging", "--detailed-exitcode").returncode == 0
    assert both.run("export", "un", "--only", "unmanaged").returncode == 0


def test_names_differ_between_environments_as_declared(shop: Shell) -> None:
    shop.write(ALICE, environments=BOTH)
    done = shop.run("diff-env", "staging", "production", "shop", "--detailed-exitcode")
    assert done.returncode == 0
    assert "The two environments are the same." in done.stdout
    assert "names are compared without `name_prefix` and `name_suffix`" in done.stdout
    done = shop.run("diff-env", "staging", "production", "shop", "--all", "--detailed-exitcode")
    assert done.returncode == 2
    assert '"S Alice" → "Alice"' in done.stdout
    named = {**BOTH, "production": {"sessions": {"alice": {"name": "Alison"}}}}
    shop.write(ALICE, environments=named)
    done = shop.run("diff-env", "staging", "production", "shop")
    assert '"Alice" → "Alison"' in done.stdout


def test_adopt_by_name_adopts_what_is_clear(both: Shell, server: RunningServer) -> None:
    three = {key: {"name": key.title(), "prompt": "Be kind."} for key in ("ann", "ben", "cleo")}
    both.write(three, environments={"staging": {}, "production": {}})
    for name in ("Ann", "Ben", "Ben", "Zoe"):
        server.store.insert_session(name=name, prompt="Be kind.")
    words = ("adopt", "--match", "name", "shop", "--env=staging", "--auto-approve")
    said = (
        "not adopted, since the name 'Ben' is ambiguous: keys ben; sessions #2, #3\n"
        "      hint: name the pair that you mean: `reconciler adopt ben=2 --env=staging --catalog=shop`\n"
    )
    done = both.run(*words, "--all-or-nothing")
    assert (done.returncode, done.stderr) == (3, said + "nothing was adopted\n")
    assert not any(one.method != "GET" for one in server.log)
    done = both.run(*words)
    assert (done.returncode, done.stderr) == (4, said)
    assert "adopted ann #1" in done.stdout
    assert both.run("adopt", "ben=2", "shop", "--env=staging", "--auto-approve").returncode == 0
    done = both.run("adopt", "ann=1", "shop", "--env=staging", "--all-or-nothing")
    assert done.returncode == 64


def test_commands_that_are_suggested_name_the_environment(both: Shell, server: RunningServer) -> None:
    for words in (
        ("forget", "nobody", "./shop"),
        ("mv", "other/x", "alice", "shop"),
        ("plan", "shop", "--only", "x"),
    ):
        done = both.run(*words, "--env=staging")
        assert "`reconciler list --env=staging --catalog=shop` shows" in done.stderr
    done = both.run("drift", "shop", "--env=staging", "--accept", "alice")
    assert "`reconciler drift --env=staging --catalog=shop` shows" in done.stderr
    server.store.insert_session(
        name="S Alice", remark='{"reconciler":{"catalog":"bookshop","environment":"staging"'
    )
    done = both.run("plan", "shop", "--env=staging")
    assert "`reconciler adopt alice=1 --env=staging --catalog=shop`" in " ".join(done.stdout.split())


# The folder


#: The commands that are not about a catalog.
WITHOUT = {"show", "comment", "approve", "schema", "completion"}


def test_every_command_takes_the_folder_in_both_ways(shop: Shell) -> None:
    for name in COMMANDS:
        if name in ("watch", "operator"):  # which take several folders, or none
            continue
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        for one in getattr(command, "commands", {"": command}).values():
            if one.name == "fetch":  # it is about a PersonaCatalog
                continue
            words = [
                param.make_metavar(click.Context(one))
                for param in one.params
                if isinstance(param, click.Argument)
            ]
            flags = [flag for param in one.params for flag in param.opts]
            assert ("--catalog" in flags, any("CATALOG" in word for word in words)) == (
                name not in WITHOUT,
                name not in WITHOUT,
            ), name


def test_the_folder_may_follow_other_arguments(shop: Shell) -> None:
    assert shop.run("explain", "alice", "shop").returncode == 0
    assert shop.run("apply", "--catalog", "shop", "--auto-approve").returncode == 0
    assert shop.run("mv", "alice", "alice-en", "shop", "--auto-approve").returncode == 0
    assert shop.run("forget", "bob", "alice-en", "./shop", "--auto-approve").returncode == 0
    done = shop.run("adopt", "alice=1", "bob=2", "shop", "--auto-approve")
    assert done.returncode == 0, done.stderr


def test_the_folder_is_given_once(shop: Shell) -> None:
    assert shop.run("validate", "shop", "--catalog", "./shop").returncode == 0
    (shop.folder / "other").mkdir()
    for words in (("validate", "shop"), ("adopt", "alice=1", "shop"), ("apply", "shop"), ("export", "shop")):
        done = shop.run(*words, "--catalog", "other")
        assert (done.returncode, done.stdout) == (64, "")
        assert "the catalog's folder is given twice: shop, and --catalog=other" in done.stderr
    assert shop.run("validate", "shop", RECONCILER_CATALOG="other").returncode == 0
    assert shop.run("validate", RECONCILER_CATALOG="shop").returncode == 0
