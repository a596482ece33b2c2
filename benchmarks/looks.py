"""What a look at an account takes: calls and seconds of a list that is kept, on the embedded server without latency.

``make bench`` runs it at the end. Each row says what happened since the look before.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

from reconciler.api.account_list import AccountList
from reconciler.api.client import Client
from reconciler.api.endpoint import Endpoint
from reconciler.contract import Contract, load_contract
from reconciler.domain import LiveSession, Others
from reconciler.server import Store

SESSIONS = 100_000
PROMPT = "You are a patient bookseller, and you know every shelf."


def learned() -> Contract:
    """The built-in contract, with what the doctor learns of the embedded server."""
    contract = load_contract()
    facts = {
        "updated_at": "updates",
        "updated_at_seconds": 1,
        "updated_at_lag": 0,
        "updated_at_order": "honoured",
    }
    return replace(contract, service=replace(contract.service, **facts))


@contextmanager
def serving(file: Path) -> Iterator[str]:
    """The address of an embedded server, in a process of its own, over this file."""
    command = [sys.executable, "-m", "reconciler", "server", "--port", "0", "--db", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r" at (\S+)", process.stdout.readline())
        assert found, "the server did not start"
        yield found[1]
    finally:
        process.terminate()
        process.wait()


class Looks:
    """The list of an account that is kept, and what each look takes. The clock of the list can be moved on."""

    def __init__(self, client: Client) -> None:
        self.calls = 0
        self.ahead = 0.0
        self.missed = False
        self.list = AccountList(client, clock=lambda: time.monotonic() + self.ahead)
        client.observe(self._called)

    def _called(self, *_: object) -> None:
        self.calls += 1

    def look(self, title: str, *, most: float, seconds: float | None = None, times: int = 1) -> None:
        """Look, and print a row. ``most`` calls and ``seconds`` are the goals."""
        took = []
        for _ in range(times):
            self.calls = 0
            started = time.perf_counter()
            self.list.sessions(keep=_others)
            took.append(time.perf_counter() - started)
        late = seconds is not None and median(took) > seconds
        ok = self.calls <= most and not late
        self.missed |= not ok
        goal = f"{most:,.0f}" + (f", {seconds:g} s" if seconds is not None else "")
        print(f"{title:<52}{self.calls:>7,}{median(took):>10.3f}   {goal:<14}{'' if ok else 'MISSED'}")

    def pass_time(self) -> None:
        """Five minutes pass: the stamps so far are closed by the next look. The server's clock moves on, too."""
        self.ahead += 300
        time.sleep(1.1)


def _others(live: LiveSession) -> Others:
    return "unmanaged"


def fill(store: Store, count: int) -> None:
    """So many sessions of others, created long ago."""
    store._connection.execute("BEGIN")
    for number in range(count):
        day = f"2025-{1 + number * 12 // count:02}-{1 + number % 28:02} {number % 24:02}:{number % 60:02}:00"
        store.insert_session(name=f"session {number}", prompt=PROMPT, created_at=day)
    store._connection.execute("COMMIT")


def measure(count: int) -> bool:
    """Print all rows. Returns whether all goals are reached."""
    complete = 2 + count // 100
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sessions.db"
        store = Store(file)
        fill(store, count)
        with serving(file) as url, Client(Endpoint("embedded server", url), learned()) as client:
            looks = Looks(client)

            def change(some: Callable[[], object]) -> None:
                looks.pass_time()
                looks.list.sessions(keep=_others)
                time.sleep(1.1)
                some()

            print(f"{f'{count:,} sessions: since the look before':<52}{'calls':>7}{'seconds':>10}   goal")
            looks.look("(the first look)", most=complete + 2)
            looks.pass_time()
            looks.list.sessions(keep=_others)
            looks.look("nothing has changed (median of 20)", most=2, seconds=0.1, times=20)
            change(lambda: [store.update_session(one, prompt="x") for one in range(5, count, count // 10)])
            looks.look("10 sessions were updated", most=6)
            change(lambda: [store.insert_session(name="new") for _ in range(10)])
            looks.look("10 sessions were created", most=6)
            change(lambda: store.delete_session(count // 3))
            looks.look("1 session was deleted", most=22)
            change(lambda: [store.delete_session(one) for one in range(7, count, count // 50)])
            looks.look("50 sessions were deleted", most=1.1 * complete)
            shared = f"UPDATE session SET updated_at = datetime('now') WHERE session_id <= {count // 10}"
            change(lambda: store._connection.execute(shared))
            looks.look(f"{count // 10:,} were updated within a second", most=1.1 * complete)
            looks.pass_time()
            looks.look("nothing, but that second is not closed yet", most=1.1 * complete)
            looks.look("nothing has changed", most=2)
            assert looks.list.mismatches == 0, looks.list.why
        store.close()
    return not looks.missed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.looks", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    sys.exit(0 if measure(parser.parse_args().sessions) else 1)
