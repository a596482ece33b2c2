"""What a person does who follows the advice of a refusal."""

from __future__ import annotations

import re

import yaml

from tests.models.teams import Team
from tests.models.world import Done


def environment_in(words: str) -> str | None:
    """The environment that a command names."""
    found = re.search(r"--env[ =](\S+)", words)
    return found[1] if found else None


def heed_other_id(team: Team, allow: str, *, bold: bool) -> None:
    """Rename the catalog; or, ``bold``, say that the sessions with the other id are its own."""
    assert allow.startswith("give this catalog another name; or, if they are its own, add "), allow
    if not bold:
        team.rename(f"{team.name}-{team.folder.name}", team.environments)
    elif found := re.search(r'"id: (\w+)" to catalog.yaml', allow):
        team.id = found[1]
    else:
        entry = re.search(r'moved: \[\{from: "id:(\w+)", to: "id:(\w+)"\}\]', allow)
        assert entry and entry[2] == team.id, allow
        team.former_ids.add(entry[1])


def declare_move(team: Team, message: str) -> None:
    """Add the entries that keep the sessions of a renamed catalog."""
    found = re.search(r"(moved: \[.*\])", message)
    assert found, message
    for entry in yaml.safe_load(found[1])["moved"]:
        team.move(entry["from"], entry["to"])


def heed_the_gone(team: Team, environment: str | None, done: Done) -> None:
    """Remove the adopt lines of what is gone: all that an apply in peace may leave undone."""
    keys = re.findall(r"^not done: (\S+) is to adopt", done.err, re.M)
    assert keys, done
    for key in keys:
        del team.adopt[environment, key]
