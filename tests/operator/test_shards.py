"""Shards: each account has exactly one of them, also when keys and the number of shards change."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import ReconcilerError
from reconciler.operator import lease as leases
from reconciler.operator.cluster import Cluster
from reconciler.operator.lease import Lease
from reconciler.operator.resource import Account
from reconciler.operator.shards import HANDED_OVER, WHOLE, Accounts, Shard, count_of_lease, parse_shard
from tests.operator.conftest import (
    NUMBERS,
    OTHER,
    Operator,
    World,
    documents,
    eventually,
    follow,
    next_second,
)
from tests.operator.plane import Plane
from tests.support import API_KEY


@pytest.mark.parametrize(
    ("text", "shard"),
    [
        ("0/1", WHOLE),
        ("0/3", Shard(0, 3)),
        ("2/3", Shard(2, 3)),
        ("reconciler-operator-2/3", Shard(2, 3)),
        ("a-1-0/2", Shard(0, 2)),
    ],
)
def test_a_shard_is_an_index_or_the_name_of_a_pod_and_a_count(text: str, shard: Shard) -> None:
    assert parse_shard(text) == shard


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("3/3", "there is no shard 3 of 3\nshards count from 0: the last one is 2/3"),
        ("1", "'1' is no shard\nwrite INDEX/COUNT, such as 0/3 for the first of three"),
        ("-1/3", "'-1/3' is no shard\nwrite INDEX/COUNT, such as 0/3 for the first of three"),
        ("pod/3", "'pod/3' is no shard\nwrite INDEX/COUNT, such as 0/3 for the first of three"),
        ("0/0", "there can't be 0 shards\nname a count from 1 to 1000, such as 0/3"),
    ],
)
def test_what_is_no_shard_is_refused(text: str, told: str) -> None:
    with pytest.raises(ReconcilerError) as caught:
        parse_shard(text)
    (problem,) = caught.value.problems
    assert f"{problem.message}\n{problem.hint}" == told


def test_the_command_refuses_it_as_wrong_usage(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "reconciler", "operator"]
    done = subprocess.run(
        words, env={**os.environ, "RECONCILER_SHARD": "2/2"}, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 64
    assert "there is no shard 2 of 2" in done.stderr


def test_the_hash_is_the_same_in_every_version() -> None:
    """A change would move accounts between processes of two versions, which may both run during an upgrade."""
    names = ("team/a", "team/b", "shop/production", "books/account", "x/y")
    of_three = [next(i for i in range(3) if Shard(i, 3).has(name)) for name in names]
    assert of_three == [0, 1, 1, 1, 1]


def test_the_lease_names_the_number_of_shards() -> None:
    assert WHOLE.lease == "reconciler-operator"
    assert Shard(1, 12).lease == "reconciler-operator-1-of-12"
    assert [count_of_lease(one.lease) for one in (WHOLE, Shard(1, 12))] == [1, 12]
    assert count_of_lease("reconciler-operator-leader") is None


ACCOUNTS = st.builds(
    Account,
    st.sampled_from(["https://a.example.com", "https://A.example.com:443/", "https://b.example.com"]),
    st.sampled_from(["k1", "k2"]),
    st.just(""),
    st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
)
NAMES = st.sampled_from([f"team-{number}/account" for number in range(8)])


@settings(max_examples=200)
@given(st.lists(st.tuples(NAMES, st.none() | ACCOUNTS), max_size=20), st.integers(1, 4))
def test_every_secret_has_one_shard_and_an_account_is_never_split(
    puts: list[tuple[str, Account | None]], count: int
) -> None:
    shards = [Accounts(Shard(index, count)) for index in range(count)]
    known: dict[str, Account] = {}
    for number, (name, account) in enumerate(puts):
        before = [{one for one in known if shard.mine(one)} for shard in shards]
        concerned = [shard.put(name, account, moved=float(number)) for shard in shards]
        known.pop(name, None)
        if account is not None:
            known[name] = account
        for shard, was, told in zip(shards, before, concerned, strict=True):
            came = {one for one in known if shard.mine(one)} - was
            assert came <= told
            for one in came - {name}:  # somebody else had it
                assert shard.since(one) == number + HANDED_OVER
    for name in {one for one, _ in puts}:
        assert sum(shard.mine(name) for shard in shards) == 1
    for one in known:
        for other in known:
            if other in shards[0].same(one):
                assert [shard.mine(one) for shard in shards] == [shard.mine(other) for shard in shards]
    # The order in which Secrets are seen does not matter.
    for index, shard in enumerate(shards):
        again = Accounts(Shard(index, count))
        for name in sorted(known):
            again.put(name, known[name])
        assert all(again.mine(name) == shard.mine(name) for name in known)


def test_a_new_key_moves_nothing() -> None:
    for index in range(3):
        shard = Accounts(Shard(index, 3))
        shard.put("team/account", Account("https://a.example.com", "old", "", "2026"))
        before = shard.mine("team/account")
        shard.put("team/account", Account("https://a.example.com", "new", "", "2026"), moved=5.0)
        assert shard.mine("team/account") == before
        assert shard.since("team/account") is None


# Leases, on a real API server


@pytest.fixture
def namespace(cluster: Plane) -> str:
    found = f"shards-{next(NUMBERS)}"
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": found}})
    return found


class Waiting:
    """A process that waits for its Lease."""

    def __init__(self, quick: Cluster, namespace: str, name: str, shard: Shard) -> None:
        self.lease = Lease(quick, namespace, name, shard)
        self.said: list[str] = []
        self.thread = threading.Thread(target=self.lease.acquire, args=(self.said.append,), daemon=True)
        self.thread.start()

    @property
    def leads(self) -> bool:
        return not self.thread.is_alive() and self.lease.held()


def test_shards_of_one_number_lead_side_by_side(quick: Cluster, namespace: str) -> None:
    both = [Waiting(quick, namespace, f"p{index}", Shard(index, 2)) for index in range(2)]
    eventually(lambda: all(one.leads for one in both))
    assert [one.lease.since for one in both].count(None) == 2  # nobody wrote before
    for one in both:
        one.lease.release()


def test_another_number_of_shards_waits_until_the_old_ones_have_ended(quick: Cluster, namespace: str) -> None:
    old = Waiting(quick, namespace, "old", WHOLE)
    eventually(lambda: old.leads)
    new = [Waiting(quick, namespace, f"new-{index}", Shard(index, 2)) for index in range(2)]
    eventually(lambda: all(one.said for one in new))
    assert new[0].said == [
        f"standing by: old holds the lease {namespace}/reconciler-operator: 1 shard, and here are 2"
    ]
    assert old.leads
    assert not any(one.leads for one in new)
    old.lease.release()
    eventually(lambda: all(one.leads for one in new))
    assert all(one.lease.since is not None for one in new)  # so the settle time passes

    # Back to one: it stands by, and takes no lease, as long as the others are there.
    again = Waiting(quick, namespace, "again", WHOLE)
    eventually(lambda: bool(again.said))
    assert again.said[0].startswith("standing by: new-")
    new[0].lease.release()
    new[1].lease._stop.set()  # as if it were killed: it renews no more
    eventually(lambda: again.leads)
    assert not new[1].lease.held()
    again.lease.release()


def test_two_numbers_that_start_at_once_never_both_lead(quick: Cluster, namespace: str) -> None:
    for _ in range(3):
        small = Waiting(quick, namespace, "small", WHOLE)
        large = Waiting(quick, namespace, "large", Shard(1, 3))
        eventually(lambda: small.leads or large.leads)  # noqa: B023 - called at once
        both = [small.leads and large.leads for _ in range(20) if not threading.Event().wait(0.02)]
        assert not any(both)
        first, second = (small, large) if small.leads else (large, small)
        first.lease.release()
        eventually(lambda: second.leads)  # noqa: B023 - called at once
        second.lease.release()


def test_who_was_suspended_has_lost_its_lease_even_if_nobody_took_it(
    quick: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another number of shards may lead by now, with a lease of another name."""
    old = Waiting(quick, namespace, "old", WHOLE)
    eventually(lambda: old.leads)
    clocks = leases._clocks
    # The machine was suspended, and only one of the clocks went on.
    monkeypatch.setattr(leases, "_clocks", lambda: (clocks()[0], clocks()[1] + 3))
    assert not old.lease.held()
    assert old.lease.lost.wait(5)
    assert not old.lease.held()
    old.lease.release()


def test_a_deleted_lease_is_no_free_one(quick: Cluster, cluster: Plane, namespace: str) -> None:
    first = Waiting(quick, namespace, "first", WHOLE)
    eventually(lambda: first.leads)
    second = Waiting(quick, namespace, "second", WHOLE)
    eventually(lambda: bool(second.said))
    for _ in range(5):
        cluster.send("DELETE", leases.leases(namespace, "reconciler-operator"))
        assert not second.leads
        assert not threading.Event().wait(0.1)
    assert first.leads
    assert not second.leads
    second.lease.give_up()
    first.lease.release()


# Operators


@pytest.fixture
def shards(cluster: Plane, alone: World, tmp_path: Path) -> Iterator[list[Operator]]:
    """Two operators with the rights of the example, for this namespace alone."""
    for document in documents("options/shards/role.yaml"):
        cluster.create(document, alone.namespace)
    found = [follow(alone, tmp_path / f"{index}", f"--shard={index}/2") for index in range(2)]
    try:
        for index, one in enumerate(found):
            eventually(
                partial(has, one, f"leading: this process holds the lease of shard {index}/2"),
                one.log.read_text,
            )
        yield found
        assert [one.end() for one in found] == [0, 0]
        assert not any("Traceback" in one.log.read_text() for one in found)
    finally:
        for one in found:
            one.kill()


def has(operator: Operator, text: str) -> bool:
    return text in operator.log.read_text()


def test_two_operators_share_the_accounts(alone: World, shards: list[Operator]) -> None:
    names = [f"account-{number:02}" for number in range(24)]
    mine = [
        [name for name in names if Shard(index, 2).has(f"{alone.namespace}/{name}")] for index in range(2)
    ]
    first, second = mine[0][0], mine[1][0]
    # Another Secret for the first account, which its own name would put into the other shard.
    twin = next(name for name in mine[1][1:] if name > first)
    missing = mine[1][-1]
    for name, key in {first: API_KEY, second: OTHER, twin: API_KEY}.items():
        alone.secret(name, key=key)
    alone.write(alice="Be kind.")
    alone.write("cafe", "cafe", carol="Be quick.")
    alone.write("copy", "shop", alice="Be rude.")
    alone.add(mode="Apply", accountRef={"name": first})
    alone.add("cafe", mode="Apply", accountRef={"name": second})
    alone.add("ghost", accountRef={"name": missing})
    alone.becomes(Synced="InSync")
    alone.becomes("cafe", Synced="InSync")
    alone.becomes("ghost", Ready="AccountMissing")
    next_second()
    alone.add("copy", mode="Apply", accountRef={"name": twin})
    alone.becomes("copy", Ready="Conflict")
    assert sorted(row.name for row in alone.server.store.sessions()) == ["Alice", "Carol"]
    alone.told(("Warning", "AccountMissing"), name="ghost")
    alone.told(("Warning", "Conflict"), name="copy")
    assert alone.events("ghost") == [("Warning", "AccountMissing")]  # one of the two told it
    assert alone.events("copy").count(("Warning", "Conflict")) == 1

    done = [re.findall(r"/(\w+) applied", one.log.read_text()) for one in shards]
    assert done == [["shop"], ["cafe"]]

    # The Secret names the other account from now on, and the other shard waits before it writes.
    data = {"data": {"key": base64.b64encode(OTHER.encode()).decode()}}
    alone.cluster.patch(f"/api/v1/namespaces/{alone.namespace}/secrets/{twin}", data)
    alone.becomes("copy", Ready="Succeeded", Synced="PlanPending")
    synced = alone.get("copy")["status"]["conditions"][1]
    assert synced["message"].startswith("1 to create; waits for the process that had this account until now")
    assert sorted(row.name for row in alone.server.store.sessions()) == ["Alice", "Carol"]


def test_the_example_has_the_pod_of_the_deployment() -> None:
    (found,) = documents("options/shards/statefulset.yaml")
    shards = found["spec"]["replicas"]
    base = next(one for one in documents("deployment.yaml") if one["kind"] == "Deployment")["spec"]
    pod, of_base = found["spec"]["template"], base["template"]
    env = pod["spec"]["containers"][0].pop("env")
    assert env[-1] == {"name": "RECONCILER_SHARD", "value": f"$(POD_NAME)/{shards}"}
    of_base["spec"]["volumes"] = [one for one in of_base["spec"]["volumes"] if one["name"] != "state"]
    assert pod == of_base
    names = [f"{found['metadata']['name']}-{index}" for index in range(shards)]
    role = documents("options/shards/role.yaml")[0]["rules"][0]
    assert role["resourceNames"] == [parse_shard(f"{name}/{shards}").lease for name in names]
