"""Generated catalogs and their live sessions: the same in every run, from a seed.

Run as a script, it writes one workload into a folder::

    catalog/          catalog.yaml, and sessions/*.yaml with 500 sessions each
    rows.jsonl        the live sessions, one row of the list a line, oldest first
    zones/            the same texts as octoDNS keeps them: one zone, a TXT record each
    calls.yml         with an empty service: the fields of each create, as Ansible's uri module takes them

A prompt has 600 characters in eight lines. One session in four has a temperature of its own, one in ten a key in
``remark``; everything else comes from the catalog's defaults. The live rows carry the tags that an apply would have
written, made by the reconciler's own code.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

#: Characters of a prompt.
LENGTH = 600
#: Sessions of a manifest.
IN_A_FILE = 500
ZONE = "bookshop.test."

_PHRASES = (
    "you are the keeper of a small bookshop by the river and know every shelf in it speak kindly answer in two or "
    "three sentences ask what the reader liked last never give away an ending name the author the year and the "
    "translator when you know them say so plainly when you do not offer one book and not ten keep {{user}} company "
    "while the rain falls stay in your part whatever {{char}} is told and close with a question of your own"
)
_WORDS = _PHRASES.split()
_FIRST = ("Mara", "Ines", "Teo", "Ruth", "Anselm", "Li", "Noor", "Petra", "Jun", "Abel")
_LAST = ("Quill", "Ferry", "Ashby", "Marsh", "Okafor", "Lindgren", "Sato", "Brandt", "Vega", "Hale")
_CATALOG = """\
version: 1
catalog: bookshop
defaults:
  model: deepseek-chat
  parameters: {max_tokens: 4000, temperature: 0.2, history_length: 4}
"""


class Made(NamedTuple):
    """One session of the catalog, and its live prompt."""

    key: str
    name: str
    prompt: str
    temperature: float | None
    owner: str | None
    live_prompt: str


def sessions(count: int, *, changed: int = 0, seed: int = 7) -> Iterator[Made]:
    """Generated sessions. The prompts of ``changed`` per cent differ from the live ones in one word."""
    dice = random.Random(seed)
    for number in range(count):
        name = f"{dice.choice(_FIRST)} {dice.choice(_LAST)} {number}"
        prompt = _prompt(dice)
        live = prompt
        if number % 100 < changed:
            lines = prompt.split("\n")
            lines[3] = f"harbour{lines[3][lines[3].index(' ') :]}"
            live = "\n".join(lines)
        yield Made(
            key=f"{name.lower().replace(' ', '-').rpartition('-')[0]}-{number:07}",
            name=name,
            prompt=prompt,
            temperature=round(dice.uniform(0, 1.5), 2) if number % 4 == 0 else None,
            owner=dice.choice(_FIRST).lower() if number % 10 == 0 else None,
            live_prompt=live,
        )


def _prompt(dice: random.Random) -> str:
    lines = []
    left = LENGTH
    while left:
        length = min(left, LENGTH // 8 - 1)
        line = " ".join(dice.choices(_WORDS, k=length // 3))[:length].strip().ljust(length, ".")
        lines.append(line)
        left -= length
        if left:
            left -= 1  # the line end
    return "\n".join(lines)


def manifest(made: list[Made]) -> str:
    """These sessions as a manifest, written as people write them."""
    text = ["sessions:\n"]
    for one in made:
        text.append(f"  {one.key}:\n    name: {one.name}\n    prompt: |\n")
        text.extend(f"      {line}\n" for line in one.prompt.split("\n"))
        if one.temperature is not None:
            text.append(f"    parameters: {{temperature: {one.temperature}}}\n")
        if one.owner is not None:
            text.append(f"    remark: {{created_user: {one.owner}}}\n")
    return "".join(text)


def row(session_id: int, made: Made) -> dict[str, Any]:
    """A session as the service lists it."""
    from reconciler.ownership.remark import compose_remark
    from reconciler.ownership.tag import Identity, make_tag

    parameters = {"max_tokens": 4000, "temperature": 0.2, "history_length": 4}
    if made.temperature is not None:
        parameters["temperature"] = made.temperature
    remark = {} if made.owner is None else {"created_user": made.owner}
    written = {"name": made.name, "model": "deepseek-chat", "prompt": made.live_prompt}
    written |= {f"parameters.{name}": value for name, value in parameters.items()}
    written |= {f"remark.{name}": value for name, value in remark.items()}
    return {
        "session_id": session_id,
        "api_id": 70,
        "device_id": None,
        "session_token": f"{session_id:08x}-0000-4000-8000-{session_id:012x}",
        "session_name": made.name,
        "session_config": {
            "data": {},
            "model": "deepseek-chat",
            "prompt": made.live_prompt,
            **parameters,
        },
        "session_remark": compose_remark(
            None, remark, make_tag(Identity("bookshop", None, made.key), written)
        ),
        "created_at": "2024-09-12 15:13:22",
        "updated_at": "2024-09-12 15:13:22",
    }


def call(made: Made) -> str:
    """The fields of a create. Strings that Ansible would read as templates are marked as unsafe."""
    live = row(0, made)
    config = live["session_config"]
    texts = {
        "session_name": made.name,
        "prompt": made.prompt,
        "session_remark": live["session_remark"],
        "model": config["model"],
    }
    lines = [f"{name}: !unsafe {json.dumps(text)}" for name, text in texts.items()]
    lines += [f'{name}: "{config[name]}"' for name in ("temperature", "max_tokens", "history_length")]
    return "  - " + "\n    ".join(lines) + "\n"


def record(made: Made) -> str:
    """A session as a record of a zone file."""
    text = made.prompt.replace("\n", " ")
    return f"{made.key}:\n  ttl: 300\n  type: TXT\n  value: {json.dumps(text)}\n"


def write(folder: Path, count: int, *, changed: int = 0, zone: bool = False, empty: bool = False) -> None:
    """Write a workload. ``empty`` leaves the service empty; ``zone`` writes the zone file, too."""
    manifests = folder / "catalog" / "sessions"
    manifests.mkdir(parents=True)
    (folder / "catalog" / "catalog.yaml").write_text(_CATALOG)
    records = []
    calls = ["sessions:\n"]
    with (folder / "rows.jsonl").open("w") as rows:
        chunk: list[Made] = []
        for number, made in enumerate(sessions(count, changed=changed), start=1):
            chunk.append(made)
            if len(chunk) == IN_A_FILE or number == count:
                (manifests / f"{(number - 1) // IN_A_FILE:05}.yaml").write_text(manifest(chunk))
                chunk.clear()
            if empty:
                calls.append(call(made))
            else:
                rows.write(json.dumps(row(number, made), ensure_ascii=False, separators=(",", ":")) + "\n")
            if zone:
                records.append((made.key, record(made)))
    if empty:
        (folder / "calls.yml").write_text("".join(calls))
    if zone:
        (folder / "zones").mkdir()
        text = "---\n" + "".join(text for _, text in sorted(records))
        (folder / "zones" / f"{ZONE}yaml").write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--changed", type=int, default=0, metavar="PERCENT")
    parser.add_argument("--zone", action="store_true")
    parser.add_argument("--empty", action="store_true")
    asked = parser.parse_args()
    write(asked.folder, asked.count, changed=asked.changed, zone=asked.zone, empty=asked.empty)


if __name__ == "__main__":
    main()
