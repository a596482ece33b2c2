"""Where the time of a plan goes: what each step computes, one after the other in one process, without any latency.

``python -m benchmarks.phases [SESSIONS]`` prints the median CPU time of each step, for a catalog with no changes. In a
real run the list comes in while the catalog is read, so that waiting and computing overlap.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.catalogs import write
from benchmarks.measure import pages
from reconciler.api.client import Client
from reconciler.api.decode import decode_session
from reconciler.api.endpoint import Endpoint
from reconciler.api.listing import list_sessions
from reconciler.bulk import no_garbage_collection
from reconciler.catalog import load_catalog
from reconciler.contract import Contract, load_contract
from reconciler.domain import LiveSession
from reconciler.plan import make_plan
from reconciler.plan.document import plan_to_document
from reconciler.render import render_plan
from reconciler.render.options import RenderOptions

RUNS = 7

#: What a plan has loaded before it does anything. In a process of its own, since a module is loaded once.
_MODULES = "reconciler.cli.commands.plan, reconciler.catalog, reconciler.plan.document"
_START = f"import time, {_MODULES}; print(time.process_time())"


def main(count: int) -> None:
    """Measure, and print."""
    times: dict[str, list[float]] = {}

    def step(name: str, work: Callable[..., Any], *arguments: Any) -> Any:
        began = time.process_time()
        done = work(*arguments)
        times.setdefault(name, []).append(time.process_time() - began)
        return done

    for _ in range(RUNS):
        command = [sys.executable, "-c", _START]
        started = subprocess.run(command, capture_output=True, text=True, check=True)
        times.setdefault("start: Python and the modules", []).append(float(started.stdout))
    contract = load_contract()
    with _workload(count) as (folder, url), Client(Endpoint(url, url), contract) as client:
        for _ in range(RUNS):
            catalog = step("catalog: parse, check, merge", load_catalog, folder / "catalog")
            snapshot = step("list: calls, JSON, rows, tags, checks", list_sessions, client)
            step("  of it rows and tags", _rows, [live.row for live in snapshot], contract)
            plan = step("compare", make_plan, catalog, snapshot)
            document = step("document", plan_to_document, plan)
            step("render", partial(render_plan, options=RenderOptions()), document, "text")
    print(f"{count:,} sessions, no changes, CPU time in one process, median of {RUNS}:")
    for name, found in times.items():
        print(f"  {median(found) * 1000:6.0f} ms  {name}")


def _rows(rows: list[Any], contract: Contract) -> list[LiveSession]:
    with no_garbage_collection():
        return [decode_session(row, contract.session) for row in rows]


@contextmanager
def _workload(count: int) -> Iterator[tuple[Path, str]]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "workload"
        write(folder, count)
        with pages(folder / "rows.jsonl", 0) as url:
            yield folder, url


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000)
