"""Environments that were added to a catalog which is live already."""

from __future__ import annotations

import pytest

from reconciler.render import FORMS
from reconciler.server import RunningServer
from tests.cli.conftest import Shell

ALICE = {"alice": {"name": "Alice", "prompt": "Be kind."}}
BOTH = {"staging": {"name_prefix": "S "}, "production": {}}


@pytest.fixture
def both(shop: Shell, server: RunningServer) -> Shell:
    """A catalog with two environments, and nothing live."""
    shop.write(ALICE, environments=BOTH)
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
