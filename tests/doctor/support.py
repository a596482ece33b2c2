"""Shared by the tests of the doctor: an account with sessions, and the command against a service."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli import run
from reconciler.contract import Contract, load_contract
from reconciler.doctor.learned import contract_to_yaml
from reconciler.ownership.remark import compose_remark
from reconciler.ownership.tag import Identity, make_tag
from reconciler.server import RunningServer, Store, running_server
from reconciler.server.quirks import parse_quirks
from tests.doctor.services import Service


@dataclass
class Doctor:
    """The command, for one service, in one folder."""

    server: RunningServer
    folder: Path
    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str, catalog: Path | None = None) -> tuple[int, str, str]:
        """Run a command; gives its exit code, and what it printed to stdout and stderr."""
        command, *others = arguments
        self.capture.readouterr()
        state = ["--state-dir", str(self.folder / "state")]
        where = [str(catalog or self.folder)]
        if command == "archive":
            where = []  # the folder of the state says it all
        elif command == "adopt":
            where = ["--catalog", *where]
        code = run([command, *where, *others, "--endpoint", self.server.url, *state])
        out, err = self.capture.readouterr()
        return code, out, err

    def probe(self, *arguments: str) -> tuple[int, str, str]:
        """Run a probe that asks nothing and writes what it learned to ``contract.yaml``."""
        return self("doctor", "--probe", "--auto-approve", "--write", str(self.written), *arguments)

    def given(self, service: Service) -> tuple[str, ...]:
        """The flag for what has to be said of a service before it can be probed."""
        contract = service.given_contract()
        if contract is None:
            return ()
        file = self.folder / "given.yaml"
        file.write_text(contract_to_yaml(contract), encoding="utf-8")
        return ("--contract", str(file))

    @property
    def written(self) -> Path:
        return self.folder / "contract.yaml"

    def learned(self) -> Contract:
        """What it wrote."""
        return load_contract(self.written)


def fill(store: Store) -> None:
    """Put sessions of every sort on an account, some with messages."""
    shop = [make_tag(Identity("shop", None, key), {"name": key}) for key in ("one", "two")]
    foreign = make_tag(Identity("x", "y", "z"), {})
    rows: list[dict[str, Any]] = [
        {"name": "one", "prompt": "p", "remark": compose_remark(None, {"user": "lery"}, shop[0])},
        {"name": "two", "prompt": "p", "remark": compose_remark(None, {"user": "lery"}, shop[1])},
        {"name": "other", "remark": compose_remark(None, {}, foreign)},
        {"name": "test", "prompt": "  prose \r\n", "remark": "just prose", "data": {"a": [1, None]}},
        {"name": "test", "remark": None, "extra": {"top_p": 0.5}, "parameters": {"max_tokens": 7}},
        {"name": "猫 🦜", "remark": '{"created_user":"lery"}', "api_use_count": 3},
        {"name": "reconciler", "prompt": "This session was made by hand.", "remark": "[1,2]"},
    ]
    for number, row in enumerate(rows):
        # The oldest was changed last: in no order of time do they come by their ids.
        store.insert_session(
            **row, created_at="2024-09-12 15:13:22", updated_at=f"2024-10-12 15:13:{50 - number}"
        )
    for text in ("hello", "hi"):
        store.insert_message(6, content=text, meta={"n": 1})


@contextmanager
def playing(
    service: Service, folder: Path, capture: pytest.CaptureFixture[str], *, sessions: bool = True
) -> Iterator[Doctor]:
    """A server that plays a service, with sessions on it, and the command for it."""
    with running_server(None, contract=service.contract(), quirks=parse_quirks(service.quirks)) as server:
        if sessions:
            fill(server.store)
        yield Doctor(server, folder, capture)


def write_catalog(folder: Path, sessions: dict[str, Any], **top: Any) -> Path:
    """A catalog named ``b`` with these sessions. JSON is YAML."""
    (folder / "sessions").mkdir(parents=True, exist_ok=True)
    head = {"version": 1, "catalog": "b", "defaults": {"model": "deepseek-chat"}, **top}
    (folder / "catalog.yaml").write_text(json.dumps(head), encoding="utf-8")
    text = json.dumps({"sessions": sessions})
    (folder / "sessions" / "all.yaml").write_text(text, encoding="utf-8")
    return folder


def checks(out: str) -> dict[str, tuple[str, str]]:
    """The lines of a report in JSON, by name: the verdict, and what was seen."""
    document = json.loads(out)
    return {check["name"]: (check["verdict"], check["seen"]) for check in document["checks"]}


def methods(server: RunningServer) -> Sequence[str]:
    """The methods of all requests that a server was sent."""
    return [entry.method for entry in server.log]
