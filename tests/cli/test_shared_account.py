"""The first apply of an environment: the API key decides the account, and it may be that of another environment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.server import RunningServer, running_server
from tests.cli.conftest import Shell, writes

STAGING, PRODUCTION = "sk-staging-0f-two-accounts", "sk-production-0f-two-accounts"
ENVIRONMENTS = {"staging": {}, "production": {}}
ALICE = {"alice": {"name": "Alice", "prompt": "Be kind."}}

REFUSED = (
    "Refused: apply will not carry out this plan. [shared_account] staging has no session in this account, and "
    "production uses it (#1), so this may not be the API key of staging. If the environments are to share the account, "
    "add to catalog.yaml: policy: {shared_account: true} to allow it: --shared-account"
)


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server with two accounts."""
    with running_server(None, require_key=[STAGING, PRODUCTION]) as running:
        yield running


@pytest.fixture
def production(shell: Shell, server: RunningServer) -> Shell:
    """A catalog with two environments, of which production is live in its account, and a shell with its key."""
    shell.environ = {"MINDCRAFT_ENDPOINT": server.url, "MINDCRAFT_API_KEY": PRODUCTION}
    shell.write(ALICE, environments=ENVIRONMENTS)
    assert shell.run("apply", "shop", "--env=production", "--auto-approve").returncode == 0
    return shell


def words(text: str) -> str:
    return " ".join(text.split())


def test_an_environment_is_not_created_with_the_key_of_another_one(
    production: Shell, server: RunningServer
) -> None:
    done = production.run("plan", "shop", "--env=staging")
    assert done.returncode == 3
    assert REFUSED in words(done.stdout)
    assert "moved" not in done.stdout
    done = production.run("apply", "shop", "--env=staging", "--auto-approve")
    assert done.returncode == 3
    assert REFUSED in words(done.stdout)
    assert writes(server) == ["create_session"]
    done = production.run("apply", "shop", "--env=staging", "--auto-approve", MINDCRAFT_API_KEY=STAGING)
    assert done.returncode == 0, done.stdout
    assert [row.api_id for row in server.store.sessions()] == [71, 70]


def test_it_is_not_without_a_journal_either(production: Shell) -> None:
    """A CI job has none: the tags say which environment's account it is."""
    done = production.run("apply", "shop", "--env=staging", "--auto-approve", "--state-dir", "empty")
    assert done.returncode == 3
    assert REFUSED in words(done.stdout)


def test_the_journal_knows_an_account_whose_sessions_are_gone(
    production: Shell, server: RunningServer
) -> None:
    server.store.delete_session(1)
    done = production.run("plan", "shop", "--env=staging")
    assert done.returncode == 3
    assert (
        "staging has no session in this account, and production uses it (the last apply of bookshop@production from "
        "here was to it), so this may not be the API key of staging"
    ) in words(done.stdout)
    assert production.run("plan", "shop", "--env=production").returncode == 0


def test_environments_share_an_account_when_that_is_meant(production: Shell) -> None:
    """The flag is needed once: afterwards, the environment is live there."""
    flags = ("--env=staging", "--auto-approve")
    done = production.run("apply", "shop", *flags, "--shared-account")
    assert done.returncode == 0, done.stdout
    production.write({**ALICE, "bob": {"name": "Bob", "prompt": "Be brief."}}, environments=ENVIRONMENTS)
    assert production.run("apply", "shop", *flags, "--state-dir", "empty").returncode == 0


def test_a_catalog_says_that_its_environments_share_an_account(production: Shell) -> None:
    production.write(ALICE, environments=ENVIRONMENTS, policy={"shared_account": True})
    assert production.run("apply", "shop", "--env=staging", "--auto-approve").returncode == 0


def test_one_environment_says_so_for_itself(production: Shell) -> None:
    environments = {"staging": {}, "production": {}, "qa": {"policy": {"shared_account": True}}}
    production.write(ALICE, environments=environments)
    assert production.run("plan", "shop", "--env=qa").returncode == 0
    assert production.run("plan", "shop", "--env=staging").returncode == 3


def test_a_saved_plan_brings_the_decision_along(production: Shell) -> None:
    done = production.run("plan", "shop", "--env=staging", "--shared-account", "--out", "plan.json")
    assert done.returncode == 0
    assert production.run("apply", "plan.json", "--catalog", "shop").returncode == 0


def test_a_session_is_not_adopted_for_another_environment_either(
    production: Shell, server: RunningServer
) -> None:
    number = server.store.insert_session(name="Alice", api_id=71)
    below = {"staging": {"sessions": {"alice": {"adopt": number}}}, "production": {}}
    production.write(ALICE, environments=below)
    assert production.run("apply", "shop", "--env=staging", "--auto-approve").returncode == 3


def test_a_server_without_keys_has_no_accounts(shell: Shell) -> None:
    with running_server(None) as server:
        shell.environ = {"MINDCRAFT_ENDPOINT": server.url}
        shell.write(ALICE, environments=ENVIRONMENTS)
        for name in ENVIRONMENTS:
            assert shell.run("apply", "shop", f"--env={name}", "--auto-approve").returncode == 0


def test_a_session_without_environment_may_be_that_of_another_one(
    shell: Shell, server: RunningServer
) -> None:
    """The catalog was given environments, and the first apply of staging has the key of production."""
    shell.environ = {"MINDCRAFT_ENDPOINT": server.url, "MINDCRAFT_API_KEY": PRODUCTION}
    shell.write(ALICE)
    assert shell.run("apply", "shop", "--auto-approve").returncode == 0
    shell.write(ALICE, environments=ENVIRONMENTS)
    done = shell.run("plan", "shop", "--env=staging")
    assert done.returncode == 3
    assert (
        "To keep them, if they are those of staging, add to catalog.yaml: "
        'moved: [{from: "bookshop/alice", to: "bookshop@staging/alice"}]. If they are those of production, write that '
        "environment in it instead of staging, and check the API key"
    ) in words(done.stdout)
    shell.write(
        ALICE,
        environments=ENVIRONMENTS,
        moved=[{"from": "bookshop/alice", "to": "bookshop@production/alice"}],
    )
    done = shell.run("plan", "shop", "--env=staging")
    assert done.returncode == 3
    assert "staging has no session in this account, and another environment uses it (#1)" in words(
        done.stdout
    )


def test_a_renamed_catalog_remembers_its_account(shell: Shell, server: RunningServer) -> None:
    shell.environ = {"MINDCRAFT_ENDPOINT": server.url, "MINDCRAFT_API_KEY": PRODUCTION}
    shell.write(ALICE, catalog="old")
    assert shell.run("apply", "shop", "--auto-approve").returncode == 0
    server.store.insert_session(name="Somebody", api_id=70)
    shell.write(ALICE, moved=[{"from": "old/*", "to": "*"}])
    said = "the last apply of bookshop from here was for account 71, and this is account 70"
    plan = shell.run("plan", "shop", MINDCRAFT_API_KEY=STAGING)
    assert f"{said}. Apply asks before it writes there" in words(plan.stdout)
    done = shell.run("apply", "shop", "--auto-approve", MINDCRAFT_API_KEY=STAGING)
    assert (done.returncode, done.stderr.splitlines()[0]) == (3, said)
