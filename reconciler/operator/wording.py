"""Messages in the terms of the cluster: what a person does there by a field is done by a flag elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from reconciler.controller.events import Event, OnEvent
from reconciler.controller.status import GuardRefusal
from reconciler.operator.resource import LIMITS
from reconciler.text.escape import terminal
from reconciler.text.paste import command
from reconciler.text.truncate import truncate

#: The longest message of a condition; Kubernetes allows 32,768 characters.
_LONGEST: Final = 1000

_APPROVE: Final = re.compile(r"`?reconciler approve ([0-9a-f]{64})`?")
_MODE: Final = re.compile(r"the mode `(observe|repair|approve|apply)`")
_ENVIRONMENT: Final = re.compile(r"drop --env=\S+ \(or unset RECONCILER_ENV\)")

#: What hints say of the command line, and what that is in a cluster.
_TERMS: Final = {
    "give one like https://api.example.com, or local": "give one like https://api.example.com",
    "the key comes from MINDCRAFT_API_KEY": "the key is `key` in the Secret of the account",
    "set MINDCRAFT_API_KEY, or name a file with --api-key-file": "set `key` in the Secret of the account",
    "check the address and the network, then run the command again": "check the endpoint and the network",
    "top up the account, then run the command again": "top up the account",
}

#: The fields of `spec.policy` by the guards that they set.
_FIELDS: Final = {guard: field for field, guard in LIMITS.items()}


def shown(text: str, longest: int = _LONGEST) -> str:
    """A message as a condition or an event shows it: in the terms of the cluster, no control codes, not too long."""
    return truncate(terminal(in_cluster(text)), longest)


def in_cluster(text: str) -> str:
    """A message in the terms of the cluster."""
    text = _APPROVE.sub(r"set `approve: sha256:\1` in its spec", text)
    text = _MODE.sub(lambda found: f"the mode `{found[1].capitalize()}`", text)
    text = _ENVIRONMENT.sub("drop `environment` from its spec", text)
    for term, ours in _TERMS.items():
        text = text.replace(term, ours)
    return text


def worded(tell: OnEvent) -> OnEvent:
    """Tells events in the terms of the cluster, too."""

    def told(event: Event) -> None:
        facts = {name: in_cluster(one) if name == "hint" else one for name, one in event.facts.items()}
        tell(replace(event, message=in_cluster(event.message), facts=facts))

    return told


def hinted(message: str, hint: str) -> str:
    """A message with what to do now, if that is known."""
    return f"{message} (hint: {hint})" if hint else message


def refused(refusal: GuardRefusal, environment: str | None) -> str:
    """Why a guard refuses a plan, and what would allow it."""
    allows = allowed(refusal.guard, refusal.allow, environment)
    return hinted(refusal.message, f"{allows} allows it" if refusal.guard in _FIELDS else allows)


def allowed(guard: str, allow: str, environment: str | None) -> str:
    """What would allow a plan that a guard refuses. ``allow`` is what would do so on the command line."""
    if guard in _FIELDS:
        return f'`policy: {{{_FIELDS[guard]}: "{allow.partition("=")[2]}"}}` in its spec'
    return (
        f"apply it by hand: {command('apply', allow, environment=environment)}"
        if allow.startswith("--")
        else allow
    )
