"""The lint rules, a small function each, in one table. ``docs/lint.md`` shows the same table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from reconciler.lint.characters import invisible_character, mixed_scripts, spot_in
from reconciler.lint.read import Mark, Spot
from reconciler.lint.secrets import secrets
from reconciler.lint.similar import similar
from reconciler.lint.slips import (
    cut_by_comment,
    escaped_path,
    folded_list,
    full_width_colon,
    lfs_pointer,
    merge_conflict,
    prompt_is_path,
    untidy_name,
)
from reconciler.lint.subject import Hit, Subject
from reconciler.text.nearest import nearest
from reconciler.text.normalise import is_blank, normalise_prompt
from reconciler.text.truncate import truncate

Severity: TypeAlias = Literal["off", "info", "warning", "error"]
#: From the least to the most.
SEVERITIES: Final[tuple[Severity, ...]] = ("off", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``finds`` and ``fix`` are sentences for the documentation; ``options`` holds its options with their
    defaults."""

    name: str
    severity: Severity
    finds: str
    fix: str
    check: Callable[[Subject, Mapping[str, Any]], Iterable[Hit]]
    options: Mapping[str, Any] = field(default_factory=dict)


# Prompts


def _empty_prompt(subject: Subject, _: Mapping[str, Any]) -> Iterator[Hit]:
    for session in subject.sessions:
        if is_blank(session.prompt):
            spot = subject.spot(session.key, "prompt")
            yield Hit(spot, f"the prompt of `{session.key}` is empty", "write one, or remove the session")


def _duplicate_prompt(subject: Subject, _: Mapping[str, Any]) -> Iterator[Hit]:
    first: dict[str, str] = {}
    for session in subject.sessions:
        other = first.setdefault(session.prompt, session.key)
        if (
            other == session.key
            or not session.prompt
            or _origin(subject, session.key) == _origin(subject, other)
        ):
            continue
        yield Hit(
            subject.spot(session.key, "prompt"),
            f"the prompt of `{session.key}` is identical to that of `{other}`",
            "put it into a file that both refer to with `prompt: {file: …}`, or remove one of the two",
        )


def _origin(subject: Subject, key: str) -> Mark | str:
    """Where a session's prompt is written: the name of a file of its own, or its place in a manifest."""
    return subject.written.named.get(subject.spot(key, "prompt", "file").at) or subject.spot(key, "prompt").at


def _near_duplicate_prompt(subject: Subject, options: Mapping[str, Any]) -> Iterator[Hit]:
    texts: dict[str, str] = {}
    seen: set[str | Mark] = set()  # a prompt that is written once and filled in many times counts once
    for session in subject.sessions:
        if len(session.prompt) >= options["min_length"]:
            origin = _origin(subject, session.key)
            if session.prompt not in seen and origin not in seen:
                texts[session.key] = session.prompt
            seen |= {session.prompt, origin}
    for one, other, share in similar(texts, options["similarity"]):
        yield Hit(
            subject.spot(one, "prompt"),
            f"the prompt of `{one}` is nearly the same as that of `{other}`: about {share:.0%} of it is identical",
            "if they should stay alike, move what they share into a fragment; otherwise ignore this finding",
        )


def _todo(subject: Subject, options: Mapping[str, Any]) -> Iterator[Hit]:
    words = [word for word in options["words"] if word]
    if not words:
        return
    # A note to self is at the start of a line or a comment, or has a colon; "a TODO app" is neither.
    any_word = "|".join(sorted(map(re.escape, words), key=len, reverse=True))
    note = re.compile(
        rf"(?:^[ \t]*(?:[-*#>+]|//|<!--|\[)?[ \t]*(?P<start>{any_word})(?!\w)"
        rf"(?=[ \t]*(?:$|[:：(（\]!-]))|(?<!\w)(?P<colon>{any_word})(?=[:：]|\([^()\n]{{1,40}}\)[:：]))",
        re.MULTILINE,
    )
    for text in subject.texts("prompt", "table"):
        for match in note.finditer(text.value):
            group = "start" if match["start"] else "colon"
            yield Hit(
                text.spot(match.start(group)),
                f"a `{match[group]}` was left in this prompt, where the model reads it",
                "do it, or remove the note",
            )


_PLACEHOLDER = re.compile(
    r"<(?:INSERT|ENTER|FILL[ _-]IN|YOUR|REPLACE)\b[^<>\n]{0,80}>"
    r"|\[(?:INSERT|ENTER|FILL[ _-]IN|YOUR|REPLACE|ADD)[ _-][^\[\]\n]{1,80}\](?!\()"
    r"|[【\[<](?:请?(?:在此|在这里|此处)?(?:填写|填入|插入))[^】\]>\n]{0,40}[】\]>]"
    r"|(?i:\blorem ipsum\b)"
)


def _placeholder(subject: Subject, options: Mapping[str, Any]) -> Iterator[Hit]:
    allowed = set(options["allow"])
    for text in subject.texts("prompt", "table"):
        for match in _PLACEHOLDER.finditer(text.value):
            if match.group() not in allowed:
                yield Hit(
                    text.spot(match.start()),
                    f"`{truncate(match.group())}` looks like a placeholder that nobody has filled in",
                    "fill it in, or list it under `allow:` of this rule if the model should see it",
                )


# Each run is looked at once, from its first character: from each of its characters would be quadratic.
_SPACE = re.compile(r"(?<![^\S\r\n])[^\S\r\n]++(?=\r?\n)")


def _trailing_space(subject: Subject, _: Mapping[str, Any]) -> Iterator[Hit]:
    for text in subject.texts("prompt"):
        # White space at the very end is not part of the prompt. Two spaces after text are a line break in Markdown.
        value = text.value[: len(normalise_prompt(text.value)) + text.value.count("\r")]
        found = [
            match
            for match in _SPACE.finditer(value)
            if match.group() != "  " or value[match.start() - 1 : match.start()] in ("", "\n")
        ]
        if found:
            times = "" if len(found) == 1 else f" and of {len(found) - 1:,} more in this prompt"
            yield Hit(
                text.spot(found[0].start()),
                f"there is white space at the end of this line{times}",
                "remove it: nobody sees it, and every change to it changes the prompt",
            )


# Everything written


def _secret(subject: Subject, _: Mapping[str, Any]) -> Iterator[Hit]:
    for file in subject.written.files():
        for secret in secrets(file.text):
            yield Hit(
                spot_in(subject, file, secret.start),
                f"this looks like {secret.kind}",
                "revoke it first, since it is in git's history now; then remove it. "
                "Never put a key into a prompt: anyone who talks to the persona can get it to reveal it",
            )


# Models


def _unknown_model(subject: Subject, options: Mapping[str, Any]) -> Iterator[Hit]:
    more = set(options["known"])
    for session in subject.sessions:
        if session.model in subject.models or session.model in more:
            continue
        near = subject.models.nearest(session.model)
        elsewhere = (
            "check it with `reconciler models`, or list it under `known:` of this rule"
            if subject.models.shipped
            else "choose one of those"
        )
        yield Hit(
            subject.spot(session.key, "model"),
            f"the model `{truncate(session.model)}` is not among {subject.models.origin}",
            f"did you mean `{near}`?" if near else elsewhere,
        )


def _temperature_range(subject: Subject, _: Mapping[str, Any]) -> Iterator[Hit]:
    for session in subject.sessions:
        model = subject.models.models.get(session.model)
        given = session.parameters.get("temperature")
        if model is None or model.temperature is None or not isinstance(given, int | float):
            continue
        least, most = model.temperature
        if not least <= given <= most:
            yield Hit(
                subject.spot(session.key, "parameters", "temperature"),
                f"the temperature is {given:g}, but `{session.model}` accepts {least:g} to {most:g}",
                f"write a number from {least:g} to {most:g}, or choose another model",
            )


def _prompt_too_long(subject: Subject, _: Mapping[str, Any]) -> Iterator[Hit]:
    from reconciler.text.tokens import estimate_tokens

    for session in subject.sessions:
        model = subject.models.models.get(session.model)
        if model is None or model.context is None or len(session.prompt) < model.context:
            continue
        about = estimate_tokens(session.prompt)
        if about > model.context:
            yield Hit(
                subject.spot(session.key, "prompt"),
                f"the prompt has about {about:,} tokens, but the context of `{session.model}` holds {model.context:,}",
                "shorten it, or choose a model with a larger context",
            )


# Comments


def _bad_ignore(subject: Subject, _: Mapping[str, Any]) -> Iterator[Hit]:
    for comment in subject.comments.all:
        spot = Spot(comment.at)
        if not comment.rules or not comment.reason:
            missing = "rule" if not comment.rules else "reason"
            yield Hit(
                spot,
                f"this comment gives no {missing}, so it ignores nothing",
                "write `# reconciler: ignore RULE -- reason`",
            )
        for rule in comment.rules:
            if rule not in RULES:
                near = nearest(rule[:100], RULES)
                yield Hit(
                    spot,
                    f"there is no rule `{truncate(rule)}`",
                    f"did you mean `{near}`?" if near else "`reconciler lint --rules` lists them",
                )


def _unused_ignore(subject: Subject, _: Mapping[str, Any]) -> Iterator[Hit]:
    for comment in subject.comments.all:
        for rule in comment.rules if comment.reason else ():
            if rule in RULES and rule not in comment.used:
                yield Hit(
                    Spot(comment.at),
                    f"`{rule}` finds nothing here to ignore",
                    "remove the comment",
                )


_TABLE: Final = (
    Rule(
        "empty-prompt",
        "error",
        "A session whose prompt is empty or only white space.",
        "Write it.",
        _empty_prompt,
    ),
    Rule(
        "prompt-is-path",
        "warning",
        "A prompt that is the path of a file in the catalog's folder.",
        "Write `{file: …}`.",
        prompt_is_path,
    ),
    Rule(
        "cut-by-comment",
        "warning",
        "A name or prompt without quotes that ends at ` #`, where a comment without a space after its `#` begins.",
        "Put the text in quotes.",
        cut_by_comment,
    ),
    Rule(
        "full-width-colon",
        "warning",
        "A field with a full-width colon, such as `model：`, that became part of the text above it.",
        "Write `: `.",
        full_width_colon,
    ),
    Rule(
        "merge-conflict",
        "error",
        "A marker of a merge conflict, anywhere in a file.",
        "Resolve the conflict.",
        merge_conflict,
    ),
    Rule(
        "lfs-pointer",
        "error",
        "A prompt that is a pointer of Git LFS, in the place of a file that was not fetched.",
        "Run `git lfs pull`.",
        lfs_pointer,
    ),
    Rule(
        "folded-list",
        "warning",
        "A list in a prompt whose lines YAML joins, below a `>`, in quotes or without.",
        "Write it below a `|`.",
        folded_list,
    ),
    Rule(
        "escaped-path",
        "warning",
        "A path with a drive in double quotes whose backslash is that of an escape, such as `C:\\temp`.",
        "Put it in single quotes.",
        escaped_path,
    ),
    Rule(
        "duplicate-prompt",
        "warning",
        "Two sessions whose identical prompts are written twice. A prompt that is written once, in a file or in the "
        "defaults, may be shared.",
        "Put it into a file that both refer to.",
        _duplicate_prompt,
    ),
    Rule(
        "near-duplicate-prompt",
        "info",
        "A prompt of at least `min_length` characters that is nearly identical to that of another session: at "
        "least the share `similarity` of it.",
        "Move what they share into a fragment.",
        _near_duplicate_prompt,
        {"similarity": 0.9, "min_length": 200},
    ),
    Rule(
        "secret",
        "error",
        "A string that looks like an API key, a token, a password or a private key, anywhere in a file. "
        "It is never printed in full.",
        "Revoke it, then remove it.",
        _secret,
    ),
    Rule(
        "todo",
        "warning",
        "A note to self in a prompt: one of `words` at the start of a line or before a colon.",
        "Do it, or remove the note.",
        _todo,
        {"words": ["TODO", "FIXME"]},
    ),
    Rule(
        "placeholder",
        "warning",
        "A placeholder that was not filled in: `<INSERT …>`, `[YOUR NAME]`, `【请填写…】`, lorem ipsum. Never "
        "`{{char}}` or `${name}`, which are yours, nor anything that `allow` lists.",
        "Fill it in.",
        _placeholder,
        {"allow": []},
    ),
    Rule(
        "invisible-character",
        "warning",
        "An invisible character, or one that changes the direction of writing, anywhere in a file. `allow` lists "
        "exceptions, like `U+00A0`.",
        "Remove it, or write it as an escape.",
        invisible_character,
        {"allow": []},
    ),
    Rule(
        "trailing-space",
        "info",
        "White space at the end of a line of a prompt. Two spaces after text, which are a line break in "
        "Markdown, are allowed.",
        "Remove it.",
        _trailing_space,
    ),
    Rule(
        "untidy-name",
        "warning",
        "A name with white space at its start or end, a tab or a line end.",
        "Remove it.",
        untidy_name,
    ),
    Rule(
        "mixed-scripts",
        "warning",
        "A word in a name that mixes letters of similar-looking scripts, such as Latin and Cyrillic.",
        "Write it in one script.",
        mixed_scripts,
    ),
    Rule(
        "unknown-model",
        "warning",
        "A model that is neither in the list of models (`--models FILE`, or those known at release) nor in `known`.",
        "Correct it, or list it under `known`.",
        _unknown_model,
        {"known": []},
    ),
    Rule(
        "temperature-range",
        "error",
        "A temperature that the model does not accept.",
        "Write one that it accepts.",
        _temperature_range,
    ),
    Rule(
        "prompt-too-long",
        "warning",
        "A prompt of more tokens than the model's context holds, counting 0.6 tokens per Chinese character and "
        "0.3 per other character.",
        "Shorten it.",
        _prompt_too_long,
    ),
    Rule(
        "bad-ignore",
        "warning",
        "A comment `# reconciler: ignore …` without a rule or a reason, or with an unknown rule.",
        "Correct it.",
        _bad_ignore,
    ),
    Rule(
        "unused-ignore",
        "info",
        "A comment `# reconciler: ignore …` where the rule finds nothing.",
        "Remove it.",
        _unused_ignore,  # has to run last: the other rules mark comments as used
    ),
)
#: All rules by name, in the order in which they run.
RULES: Final[Mapping[str, Rule]] = {rule.name: rule for rule in _TABLE}

#: The rules whose findings are nearly always mistakes. ``reconciler validate`` runs them, too.
MISTAKES: Final = frozenset(
    {
        "empty-prompt",
        "unknown-model",
        "prompt-is-path",
        "cut-by-comment",
        "full-width-colon",
        "merge-conflict",
        "lfs-pointer",
    }
)
