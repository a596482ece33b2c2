"""The lower bound for the time of a plan: parse the same YAML with libyaml, list the same pages, compare.

It is a script of an hour's work, with requests, PyYAML's C loader and a pool of eight threads. It checks nothing: no
schema, no places of errors, no consistency of the listing, no digests. The reconciler's time is compared with its.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
import yaml

CONNECTIONS = 8


def main(root: Path, url: str) -> None:
    head = yaml.load((root / "catalog.yaml").read_bytes(), Loader=yaml.CSafeLoader)
    defaults = head["defaults"]
    wanted = {}
    for file in sorted((root / "sessions").glob("*.yaml")):
        wanted |= yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)["sessions"]

    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=CONNECTIONS))

    def page(number: int) -> dict:
        query = {"ordering": "-session_id", "page": number, "size": 100}
        return session.get(f"{url}/v1/session/", params=query).json()

    first = page(1)
    rows = first["results"]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for body in pool.map(page, range(2, first["max_pages"] + 1)):
            rows += body["results"]

    live = {json.loads(row["session_remark"])["reconciler"]["key"]: row for row in rows}
    changed = 0
    for key, one in wanted.items():
        row = live.pop(key, None)
        config = row["session_config"] if row else {}
        parameters = defaults["parameters"] | one.get("parameters", {})
        if (
            row is None
            or one["prompt"].rstrip() != config["prompt"]
            or one["name"] != row["session_name"]
            or one.get("model", defaults["model"]) != config["model"]
            or any(config[name] != value for name, value in parameters.items())
        ):
            changed += 1
    print(f"{len(wanted)} wanted, {changed} changed, {len(live)} more are live")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
