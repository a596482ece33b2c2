"""``make bench``: measure everything side by side and write ``RESULTS.md``, ``results.json`` and ``growth.svg``.

Each round runs all commands one after the other, so changes of the machine's load affect all of them. A ratio compares
two runs of the same round, and the reported ratio is the median of all rounds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks import report
from benchmarks.catalogs import ZONE
from benchmarks.measure import HERE, FailedError, Run, pages, run, writing
from benchmarks.table import Command, Workload, commands
from benchmarks.tools import Tools, prepare

#: Workloads and the environment of the other tools are cached here between runs.
WORK = HERE.parent / ".bench"

_OCTODNS = """\
providers:
  config: {{class: octodns.provider.yaml.YamlProvider, directory: {folder}/zones}}
  pages: {{class: octodns_pages.PagesProvider, url: "{url}"}}
zones:
  {zone}: {{sources: [config], targets: [pages]}}
"""


class Bench:
    """Runs commands, and keeps their servers running."""

    def __init__(self, tools: Tools, servers: ExitStack) -> None:
        self.tools = tools
        self.servers = servers
        self.urls: dict[tuple[str, int], str] = {}

    def folder(self, workload: Workload) -> Path:
        """The folder of a workload, created if it does not exist."""
        folder = WORK / "workloads" / workload.name
        if not folder.exists():
            print(f"making {workload.name} …", file=sys.stderr)
            making = folder.with_name(f"{folder.name}.part")
            subprocess.run(["rm", "-rf", str(making)], check=True)
            flags = ["--zone"] * (workload.count <= 50_000 and not workload.changed)
            flags += ["--empty"] * workload.empty + ["--changed", str(workload.changed)]
            command = [sys.executable, "-m", "benchmarks.catalogs", str(making), str(workload.count), *flags]
            subprocess.run(command, check=True)
            making.rename(folder)
        return folder

    def run(self, command: Command) -> Run:
        """One run of a command."""
        with ExitStack() as stack:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            names = {"scratch": str(scratch), "tools": str(self.tools.folder), "url": "", "folder": ""}
            if command.workload is not None:
                folder = self.folder(command.workload)
                names |= {"folder": str(folder), "url": self._url(command, folder, stack)}
            if command.needs == "octodns":
                (scratch / "octodns.yaml").write_text(_OCTODNS.format(zone=ZONE, **names))
            environ = {
                **({"PYTHONPATH": str(HERE / "peers")} if command.needs else {}),
                "ANSIBLE_HOME": str(scratch),
                "ANSIBLE_PYTHON_INTERPRETER": self.tools.program("python"),
                "MINDCRAFT_API_KEY": "sk-of-no-use",
                "NO_COLOR": "1",
            }
            arguments = [argument.format(**names) for argument in command.arguments]
            done = run(arguments, expect=command.expect, environ=environ, cwd=scratch)
            return replace(done, writes=writing(scratch / "journal.jsonl"))

    def _url(self, command: Command, folder: Path, stack: ExitStack) -> str:
        if command.writes:
            return stack.enter_context(pages(None, command.latency))
        assert command.workload is not None
        if command.creates:
            return stack.enter_context(pages(folder / "rows.jsonl", command.latency, command.creates))
        place = (command.workload.name, command.latency)
        if place not in self.urls:
            # The server of the largest workload is not kept, since it would use memory that the other runs need.
            keeper = stack if command.workload.count > 500_000 else self.servers
            url = keeper.enter_context(pages(folder / "rows.jsonl", command.latency))
            if keeper is stack:
                return url
            self.urls[place] = url
        return self.urls[place]


def measure(
    bench: Bench, wanted: list[Command], *, quick: bool
) -> tuple[dict[str, list[Run]], dict[str, str]]:
    """Run all rounds. Returns the runs by the command's name, and why some commands could not be run."""
    runs: dict[str, list[Run]] = defaultdict(list)
    failed: dict[str, str] = {}
    rounds = max(command.times[quick] for command in wanted)
    for number in range(rounds):
        for command in wanted:
            if number >= command.times[quick] or command.name in failed:
                continue
            if command.needs in bench.tools.missing:
                failed[command.name] = (
                    f"{command.needs} could not be installed: {bench.tools.missing[command.needs]}"
                )
                continue
            print(f"round {number + 1} of {rounds}: {command.name}", file=sys.stderr)
            try:
                runs[command.name].append(bench.run(command))
            except FailedError as error:
                failed[command.name] = str(error).splitlines()[0]
                print(error, file=sys.stderr)
    return runs, failed


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="in a minute: smaller and fewer")
    parser.add_argument(
        "--only", action="append", metavar="TEXT", help="only commands whose name holds this; repeatable"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where results go (a whole run: benchmarks/)"
    )
    asked = parser.parse_args()
    started = time.monotonic()
    wanted = [
        one for one in commands(asked.quick) if not asked.only or any(text in one.name for text in asked.only)
    ]
    tools = prepare(WORK / "tools")
    with ExitStack() as servers:
        bench = Bench(tools, servers)
        for command in wanted:
            if command.workload is not None:
                bench.folder(command.workload)
        runs, failed = measure(bench, wanted, quick=asked.quick)
    document = report.document(wanted, runs, failed, tools.versions, quick=asked.quick)
    document["took"] = round(time.monotonic() - started)
    text = report.markdown(document)
    print(text)
    out = asked.out or (None if asked.quick or asked.only else HERE)
    if out is not None:
        write(out, document, text, tools)


def write(folder: Path, document: Mapping[str, object], text: str, tools: Tools) -> None:
    """Write the results, and draw the plot if matplotlib is installed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    (folder / "RESULTS.md").write_text(text)
    if "matplotlib" in tools.missing:
        print(f"no plot: matplotlib could not be installed: {tools.missing['matplotlib']}", file=sys.stderr)
        return
    command = [
        tools.program("python"),
        str(HERE / "plot.py"),
        str(folder / "results.json"),
        str(folder / "growth.svg"),
    ]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
