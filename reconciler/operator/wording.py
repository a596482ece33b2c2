"""Messages in the terms of the cluster: what a person does there by a field is done by a flag elsewhere."""

from __future__ import annotations

import re
from typing import Final

from reconciler.controller.status import GuardRefusal
from reconciler.text.escape import terminal
from reconciler.text.paste import command
from reconciler.text.truncate import truncate

#: The longest message of a condition; Kubernetes allows 32,768 characters.
_LONGEST: Final = 1000

_APPROVE: Final = re.compile(r"`?reconciler approve ([0-9a-f]{64})`?")
_MODE: Final = re.compile(r"the mode `(observe|repair|approve|apply)`")
_ENVIRONMENT: Final = re.compile(r"drop --env=\S+ \(or unset RECONCILER_ENV\)")

#: The fields of `spec.policy` by the guards that they set.
_FIELDS: Final = {"max_deletes": "maxDeletes", "max_updates": "maxUpdates", "max_changes": "maxChanges"}


def shown(text: str, longest: int = _LONGEST) -> str:
    """A message as a condition or an event shows it: in the terms of the cluster, no control codes, not too long."""
    text = _APPROVE.sub(r"set `approve: sha256:\1` in its spec", text)
    text = _MODE.sub(lambda found: f"the mode `{found[1].capitalize()}`", text)
    text = _ENVIRONMENT.sub("drop `environment` from its spec", text)
    return truncate(terminal(text), longest)


def hinted(message: str, hint: str) -> str:
    """A message with what to do now, if that is known."""
    return f"{message} (hint: {hint})" if hint else message


def refused(refusal: GuardRefusal, environment: str | None) -> str:
    """Why a guard refuses a plan, and what would allow it."""
    if refusal.guard in _FIELDS:
        count = refusal.allow.partition("=")[2]
        allows = f'`policy: {{{_FIELDS[refusal.guard]}: "{count}"}}` in its spec allows it'
    elif not refusal.allow.startswith("--"):
        allows = refusal.allow
    else:
        allows = f"apply it by hand: {command('apply', refusal.allow, environment=environment)}"
    return hinted(refusal.message, allows)
