"""Strings that look like credentials: the forms that issuers give theirs, and values assigned to telling names.

Each form is long and varied enough not to match prose. A plain placeholder
(``sk-xxxxxxxx…``, ``AKIA…EXAMPLE``, ``changeme``) is no secret. Every repetition is bounded, and a form is
only searched for where its fixed part occurs, so the time is linear in the length of the text.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple


class Secret(NamedTuple):
    """A probable secret: its place in a text, and its kind.

    The first ``shown`` characters name the issuer and may be printed.
    """

    start: int
    end: int
    kind: str
    shown: int = 0


class _Form(NamedTuple):
    """The form of one kind of secret. Every match contains one of the ``hints``.

    If the match is more than the secret, a group ``value`` is the secret. A ``certain`` form needs no random part.
    """

    kind: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    certain: bool = False


def _issued(kind: str, hints: str, pattern: str, *, certain: bool = False) -> _Form:
    """The form of an issuer's credentials, at the beginning of a word."""
    return _Form(kind, tuple(hints.split()), re.compile(rf"(?<![A-Za-z0-9])(?:{pattern})"), certain)


_ISSUED: Final = (
    _issued(
        "a private key",
        "PRIVATE PuTTY-User",
        r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-[0-9]:",
        certain=True,
    ),
    _issued("a private key", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    # Models: OpenAI, Anthropic, DeepSeek, Moonshot, OpenRouter (sk-); Groq, xAI, Perplexity, Replicate, Nvidia, Coze.
    _issued("an API key", "sk- rk- pk-", r"(?:sk|rk|pk)-(?:[a-z0-9]{2,10}-){0,3}[A-Za-z0-9_-]{20,200}"),
    _issued("an API key", "gsk_ xai- pplx-", r"(?:gsk_|xai-|pplx-)[A-Za-z0-9]{40,100}"),
    _issued("an API key", "r8_ nvapi- pat_", r"r8_[A-Za-z0-9]{37}|nvapi-[\w-]{40,100}|pat_[A-Za-z0-9]{64}"),
    _issued("a Hugging Face token", "hf_", r"hf_[A-Za-z0-9]{30,100}"),
    # Code hosts and package registries.
    _issued("a GitHub token", "gh github_pat_", r"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_\w{50,255}"),
    _issued(
        "a GitLab token", "gl", r"gl(?:pat|dt|rt|ptt|ft|imt|agent|soat|cbt|oas|ffct)-[A-Za-z0-9_.-]{20,300}"
    ),
    _issued("an npm token", "npm_", r"npm_[A-Za-z0-9]{36}"),
    _issued("a PyPI token", "pypi-", r"pypi-[A-Za-z0-9_-]{50,1000}"),
    _issued("a Docker token", "dckr_", r"dckr_[op]at_[A-Za-z0-9_-]{27,40}"),
    # Clouds.
    _issued("an AWS access key", "AKIA ASIA", r"(?:AKIA|ASIA)[0-9A-Z]{16}(?![A-Za-z0-9])"),
    _issued("a Google API key", "AIza GOCSPX- ya29.", r"AIza[\w-]{35}|GOCSPX-[\w-]{28}|ya29\.[\w-]{20,2000}"),
    _issued("an Alibaba Cloud access key", "LTAI", r"LTAI[A-Za-z0-9]{16,26}(?![A-Za-z0-9])"),
    _issued("a Tencent Cloud access key", "AKID", r"AKID[A-Za-z0-9]{32}(?![A-Za-z0-9])"),
    _issued("a DigitalOcean token", "_v1_", r"do[opr]_v1_[0-9a-f]{64}"),
    _issued("a Databricks token", "dapi", r"dapi[0-9a-f]{32}"),
    _issued("a Vault token", "hvs. hvb. hvr.", r"hv[sbr]\.[A-Za-z0-9_-]{24,300}"),
    _issued("a Supabase key", "sb_secret_", r"sb_secret_[A-Za-z0-9_-]{20,100}"),
    # Services.
    _issued("a Slack token", "xox xapp-", r"(?:xox[abeoprs]|xapp)[.-][A-Za-z0-9.-]{20,200}"),
    _issued("a Slack webhook", "hooks.slack.com", r"hooks\.slack\.com/[a-z]{5,12}/[A-Za-z0-9/_-]{20,120}"),
    _issued(
        "a Discord webhook", "/api/webhooks/", r"discord(?:app)?\.com/api/webhooks/\d{5,25}/[\w-]{20,100}"
    ),
    _issued("a Telegram bot token", ":AA", r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}"),
    _issued(
        "a Stripe key", "k_ whsec_", r"[sr]k_(?:live|test|prod)_[0-9A-Za-z]{16,200}|whsec_[\w+/]{24,100}"
    ),
    _issued("a SendGrid key", "SG.", r"SG\.[\w-]{22}\.[\w-]{43}"),
    _issued("a Twilio key", "SK", r"SK[0-9a-f]{32}(?![A-Za-z0-9])"),
    _issued("a Shopify token", "shp", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    _issued("a Notion token", "ntn_", r"ntn_[A-Za-z0-9]{40,60}"),
    _issued("a Linear key", "lin_api_", r"lin_api_[A-Za-z0-9]{40}"),
    _issued("a JSON Web Token", "eyJ", r"eyJ[\w-]{10,2000}\.eyJ[\w-]{10,4000}\.[\w-]{10,2000}"),
)

# A name with this ending holds a credential, whatever its beginning: MINDCRAFT_API_KEY, openaiApiKey. A suffix may
# distinguish credentials of one kind: OPENAI_API_KEY_2, DB_PASSWORD_PROD.
_KEY_NAMES: Final = (
    r"(?:(?:api|access|account|secret|auth|private|signing|encryption)[_-]?key"
    r"|(?<!public)(?<!primary)(?<!foreign)[_-]key|token|secret|密钥|令牌)"
)
_LOGIN_NAMES: Final = r"(?:password|passphrase|passwd|(?<![a-z])(?:pwd|pass)|密码|口令)"
_WHICH: Final = (
    r"(?:[_-](?:[0-9]{1,4}|id|value|prod|production|staging|dev|test|live|main|primary|old|new)){0,2}"
)
_ASSIGN: Final = r"[\"'`]?[ \t]{0,20}(?::=|=>|[:=：])[ \t]{0,20}[\"'`]?"
_KEY: Final = r"(?P<value>[A-Za-z0-9_+/=.~-]{16,400})"

#: Hints are in lower case.
_ASSIGNED: Final = (
    _Form("a bearer token", ("bearer",), re.compile(rf"\b[Bb]earer[ \t]{{1,20}}{_KEY}")),
    _Form(
        "a password in an address",
        ("://",),
        re.compile(
            r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{1,20}://[^\s/:@'\"<>{}$]{0,100}"
            r":(?P<value>[^\s/:@'\"<>{}$]{6,100})@"
        ),
        certain=True,
    ),
    _Form(
        "a key or a password",
        ("key", "token", "secret", "密钥", "令牌"),
        re.compile(rf"(?i:{_KEY_NAMES}{_WHICH}){_ASSIGN}{_KEY}"),
    ),
    _Form(
        "a key or a password",
        ("--",),
        re.compile(rf"--(?:[a-z]{{1,20}}-){{0,3}}(?:key|token|password|secret)[ \t]{{1,20}}[\"']?{_KEY}"),
    ),
    _Form(
        "a password",
        ("pass", "pwd", "密码", "口令"),
        re.compile(
            rf"(?i:{_LOGIN_NAMES}{_WHICH}){_ASSIGN}"
            r"(?P<value>(?![$%])[!#-&*+\--:=?-Z^_a-z|~]{8,200})"
        ),
    ),
)

_PLACEHOLDER: Final = re.compile(
    r"example|x{4,}|\*{3,}|0{6,}|your|dummy|sample|placeholder|change-?_?me|replace|redacted|insert|1234567|abcdef|\.\.\.|…"
    r"|^(?:pass(?:word|wd)?|secret)$",
    re.IGNORECASE,
)
#: Bits a character. Words and names have about 3, keys made at random 4 or more.
_RANDOM: Final = 3.3
_RUN: Final = re.compile(r"[A-Za-z0-9]+")
_KINDS_OF_CHARACTER: Final = tuple(re.compile(one) for one in ("[a-z]", "[A-Z]", "[0-9]", "[^a-zA-Z0-9]"))


def secrets(text: str) -> Iterator[Secret]:
    """The probable secrets of a text, in order, none within another."""
    found: list[Secret] = []
    lower = text.lower()
    for forms, within in ((_ISSUED, text), (_ASSIGNED, lower)):
        for form in forms:
            if not any(hint in within for hint in form.hints):
                continue
            judged = (_judge(form, match) for match in form.pattern.finditer(text))
            found = _united(found, [secret for secret in judged if secret])
    yield from found


def _united(found: list[Secret], more: list[Secret]) -> list[Secret]:
    """The secrets of both, in order, without those of ``more`` that overlap one that a more specific form found."""
    if not more:
        return found
    starts = [secret.start for secret in found]
    new = []
    for secret in more:
        at = bisect_left(starts, secret.start)
        if at < len(found) and found[at].start < secret.end:
            continue
        if at and secret.start < found[at - 1].end:
            continue
        new.append(secret)
    return sorted([*found, *new])


def _judge(form: _Form, match: re.Match[str]) -> Secret | None:
    """The secret of a match; None for a placeholder, a reference or prose."""
    assigned = "value" in form.pattern.groupindex
    start, end = match.span("value") if assigned else match.span()
    value = match.string[start:end]
    if _PLACEHOLDER.search(value):
        return None
    if not form.certain:
        fits = _is_password if form.kind == "a password" else _is_key if assigned else _is_random
        if not fits(value):
            return None
    return Secret(start, end, form.kind, 0 if assigned else 4)


def _is_random(value: str) -> bool:
    counts = Counter(value)
    bits = -sum(count / len(value) * math.log2(count / len(value)) for count in counts.values())
    return bits >= _RANDOM and any(char.isdigit() for char in value) and any(char.isalpha() for char in value)


def _is_key(value: str) -> bool:
    """Whether a value is random, unlike words with numbers between them: ``gate-7-of-pier-2024-north``."""
    return _is_random(value) and any(_switches(run) >= 3 for run in _RUN.findall(value) if len(run) >= 8)


def _is_password(value: str) -> bool:
    """Whether a value mixes kinds of characters as words, names and numbers do not: ``h7Kq2ZpW``, ``s3cr3t-pg``."""
    kinds = sum(bool(kind.search(value)) for kind in _KINDS_OF_CHARACTER)
    return kinds >= 3 and any(_switches(run) >= 2 for run in _RUN.findall(value))


def _switches(run: str) -> int:
    """How often a run changes between small letters, capitals and digits; 0 for a run without digits."""
    if not any(map(str.isdigit, run)):
        return 0
    kinds = [char.isdigit() * 2 + char.isupper() for char in run]
    return sum(one != other for one, other in pairwise(kinds))


def masked(line: str) -> str:
    """The line with its secrets masked. The characters of a key that name its issuer stay."""
    pieces: list[str] = []
    at = 0
    for secret in secrets(line):
        pieces += [line[at : secret.start + secret.shown], "…"]
        at = secret.end
    return "".join([*pieces, line[at:]])
