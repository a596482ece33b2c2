"""The load generator: other users of the account, who create, delete and update sessions all day.

    python -m tests.faults.load http://127.0.0.1:8000 --sessions ids.json --create 50 --delete 20 --update 50

It runs as a process of its own, with its own connections. Each kind of write arrives as a Poisson process: the gaps
between two of them are exponential, whatever the server takes to answer. It touches only the sessions that the file
lists and those that it created. It prints ``ready`` when the first write of it was answered. It ends when its standard
input is closed, and at the latest after ``--seconds`` or ``--most`` writes; then it prints, as one line of JSON, what
was done, the rates that were reached, and how late a write was sent at most.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import urlsplit

from reconciler.contract import load_contract

#: The header that tells the requests of this program from those of others.
HEADER = "x-load"

KINDS = ("create", "delete", "update")

#: Names of new sessions, as many as there are personas on a real account.
NAMES = 40


def schedule(rates: dict[str, float], seed: int) -> Iterator[tuple[float, str]]:
    """When (in seconds from the start) which write arrives: a Poisson process for each kind, without an end."""
    chance = random.Random(seed)
    due = [(chance.expovariate(rate), kind) for kind, rate in rates.items() if rate > 0]
    heapq.heapify(due)
    while due:
        at, kind = due[0]
        yield at, kind
        heapq.heapreplace(due, (at + chance.expovariate(rates[kind]), kind))


class Load:
    """The writes, sent by ``workers`` threads with a connection each."""

    def __init__(
        self, url: str, sessions: list[int], seed: int, workers: int, *, spare_new: bool = False
    ) -> None:
        self.stop = threading.Event()
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.late = 0.0
        self._address = urlsplit(url).netloc
        self._operations = load_contract().operations
        self._sessions = sessions
        self._spare_new = spare_new
        self._chance = random.Random(seed + 1)
        self._lock = threading.Lock()
        self._queue: SimpleQueue[tuple[float, str, int] | None] = SimpleQueue()
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]

    def run(self, rates: dict[str, float], seed: int, seconds: float, most: int) -> float:
        """Send writes until it is over. Returns how long that took (seconds)."""
        for worker in self._workers:
            worker.start()
        self._began = time.monotonic()
        for number, (at, kind) in enumerate(schedule(rates, seed)):
            if at > seconds or number >= most or self.stop.wait(max(0.0, at - self._elapsed())):
                break
            session_id = 0 if kind == "create" else self._choose(kind)
            if session_id is not None:
                self._queue.put((at, kind, session_id))
        took = self._elapsed()
        for _ in self._workers:
            self._queue.put(None)
        for worker in self._workers:
            worker.join()
        return took

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _choose(self, kind: str) -> int | None:
        with self._lock:
            if not self._sessions:
                return None
            place = self._chance.randrange(len(self._sessions))
            if kind == "update":
                return self._sessions[place]
            self._sessions[place], self._sessions[-1] = self._sessions[-1], self._sessions[place]
            return self._sessions.pop()

    def _work(self) -> None:
        connection = HTTPConnection(self._address, timeout=60)
        while (job := self._queue.get()) is not None:
            at, kind, session_id = job
            self.late = max(self.late, self._elapsed() - at)
            try:
                status, session_id = self._send(connection, kind, session_id)
            except (OSError, HTTPException):
                connection.close()
                status = 0
            with self._lock:
                # An update may come after the delete of its session.
                worked = 200 <= status < 300 or (kind == "update" and status == 404)
                (self.done if worked else self.failed)[kind] += 1
                if kind == "create" and worked and not self._spare_new:
                    self._sessions.append(session_id)
                if sum(self.done.values()) == 1:
                    print("ready", flush=True)

    def _send(self, connection: HTTPConnection, kind: str, session_id: int) -> tuple[int, int]:
        operation = self._operations[f"{kind}_session"]
        body = {} if kind == "delete" else {"session_remark": json.dumps({"seen": time.time()})}
        if kind == "create":
            body |= {
                "session_name": f"chat {self._chance.randrange(NAMES)}",
                "model": "deepseek-chat",
                "prompt": "Hi.",
            }
        text = json.dumps(body) if body else None
        headers = {HEADER: kind, **({"Content-Type": "application/json"} if body else {})}
        connection.request(operation.method, operation.path.format(session_id=session_id), text, headers)
        answer = connection.getresponse()
        found = json.loads(answer.read())
        return answer.status, found["data"]["session_id"] if kind == "create" else session_id


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", help="the address of the service")
    parser.add_argument("--sessions", type=Path, required=True, help="JSON list of the ids it may touch")
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=float, default=0.0, metavar="RATE", help="writes a second")
    parser.add_argument("--spare-new", action="store_true", help="leave the sessions alone that it created")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=16, help="connections")
    parser.add_argument("--seconds", type=float, default=600.0, help="longest run")
    parser.add_argument("--most", type=int, default=100_000, help="most writes")
    given = parser.parse_args()
    sessions = json.loads(given.sessions.read_text())
    load = Load(given.url, sessions, given.seed, given.workers, spare_new=given.spare_new)

    def wait_for_the_end() -> None:
        sys.stdin.read()
        load.stop.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    rates = {kind: getattr(given, kind) for kind in KINDS}
    took = load.run(rates, given.seed, given.seconds, given.most)
    reached = {kind: round(load.done[kind] / took, 1) for kind in KINDS if rates[kind]}
    report = {"seconds": round(took, 2), "done": load.done, "failed": load.failed, "rates": reached}
    print(json.dumps({**report, "late": round(load.late, 3)}), flush=True)


if __name__ == "__main__":
    main()
