"""Texts that look like keys to something: the forms that issuers give theirs, and what nobody writes by chance.

Each form is one that its issuer documents, long enough and mixed enough that prose does not come to look like it. What
is plainly made up (``sk-xxxxxxxx…``, ``AKIA…EXAMPLE``) is no secret.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple


class Secret(NamedTuple):
    """What looks like a secret: its place in a text, and what kind it seems to be."""

    start: int
    end: int
    kind: str


_FORMS: Final[tuple[tuple[str, str], ...]] = (
    ("a private key", r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"),
    ("an API key", r"\b(?:sk|rk|pk)-(?:[a-z0-9]{2,10}-){0,3}[A-Za-z0-9_-]{20,200}"),
    ("a Stripe key", r"\b[sr]k_(?:live|test)_[0-9A-Za-z]{16,200}"),
    ("an AWS access key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    ("a GitHub token", r"\bgh[pousr]_[A-Za-z0-9]{36,255}|\bgithub_pat_[A-Za-z0-9_]{50,255}"),
    ("a GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,100}"),
    ("a Slack token", r"\bxox[abprs]-[A-Za-z0-9-]{20,200}"),
    ("a Google API key", r"\bAIza[0-9A-Za-z_-]{35}"),
    ("a Hugging Face token", r"\bhf_[A-Za-z0-9]{30,100}"),
    ("a JSON Web Token", r"\beyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{10,2000}"),
    ("a bearer token", r"\b[Bb]earer[ \t]+[A-Za-z0-9_.~+/-]{24,2000}"),
    (
        "a password in an address",
        r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@'\"<>{}$]{1,100}:[^\s/:@'\"<>{}$]{6,100}@",
    ),
    (
        "a key or a password",
        r"(?i:\b(?:api|access|secret|auth|private)[_-]?(?:key|token)|\b(?:password|passwd|client[_-]?secret))"
        r"[\"']?[ \t]*[:=][ \t]*[\"']?[A-Za-z0-9_+/=.-]{20,200}",
    ),
)
_ANY = re.compile("|".join(f"({pattern})" for _, pattern in _FORMS))
_MADE_UP = re.compile(
    r":pass(?:word|wd)?@|example|xxxx|your|dummy|sample|placeholder|1234567|abcdef|\.\.\.|\*\*\*",
    re.IGNORECASE,
)
#: What has no random part that could be measured.
_CERTAIN: Final = frozenset({"a private key", "a password in an address"})
#: Bits a character. Words and names have about 3, keys made at random 4 or more.
_RANDOM: Final = 3.3


def secrets(text: str) -> Iterator[Secret]:
    """What in a text looks like a secret, in the order of the text."""
    for match in _ANY.finditer(text):
        kind = _FORMS[(match.lastindex or 1) - 1][0]
        if _MADE_UP.search(match.group()):
            continue
        if kind in _CERTAIN or _is_random(match.group(), kind):
            yield Secret(match.start(), match.end(), kind)


def _is_random(found: str, kind: str) -> bool:
    value = re.split(r"[ \t:=\"']", found)[-1] if kind in ("a key or a password", "a bearer token") else found
    counts = Counter(value)
    bits = -sum(count / len(value) * math.log2(count / len(value)) for count in counts.values())
    return bits >= _RANDOM and any(char.isdigit() for char in value) and any(char.isalpha() for char in value)


def masked(line: str) -> str:
    """A line with nothing in it that looks like a secret: of each, the first characters stay."""
    for secret in reversed(list(secrets(line))):
        line = line[: secret.start + 4] + "…" + line[secret.end :]
    return line
