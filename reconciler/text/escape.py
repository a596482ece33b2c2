r"""Escapes untrusted text for every kind of output.

Names, keys, prompts, reasons, server messages and file names come from manifests and from the server. None of them may
have an effect on where they are printed:

- :func:`visible` shows each character that can't be seen, or that steers what shows it, by its number:
  ``\x1b``, ``\u202e``. Escaped are all C0 and C1 controls, DEL, bidirectional controls, zero-width and
  other format characters, line and paragraph separators, fillers, look-alikes of the space (the no-break
  space among them), private-use characters, non-characters and lone surrogates. What stays: every letter,
  sign and emoji. A zero-width joiner stays between two emoji, and a variation selector right after one,
  because they belong to the picture; anywhere else they are shown. Of a pile of combining marks on one
  letter the first four stay. A tab is shown as ``\t``: how far it jumps is the terminal's business, so its
  width can't be planned with.
- :func:`terminal` also keeps a line from being read as a workflow command by a CI runner, whose log is
  a terminal too.
- :func:`markdown_code`, :func:`markdown_text`, :func:`html_text`, :func:`workflow_data` and
  :func:`workflow_property` do the same for the places that they are named after.

The ranges are written out, not asked of :mod:`unicodedata`, so that every Python shows the same text.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

# An emoji, roughly: pictographs, dingbats, arrows and signs that a variation selector may follow.
_EMOJI = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u2460-\u24ff\u25a0-\u27bf\u2900-\u297f"
    "\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)

#: The characters that can't be seen, as the inside of a character class.
HIDDEN = (
    "\x00-\x1f\x7f-\xa0"  # C0, DEL, C1, no-break space
    "\u00ad\u034f\u061c"  # soft hyphen, grapheme joiner, Arabic letter mark
    "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2"  # Arabic and Syriac format characters
    "\u115f\u1160\u3164\uffa0"  # Hangul fillers: letters with no ink
    "\u1680\u17b4\u17b5\u180b-\u180f"  # Ogham space, Khmer inherent vowels, Mongolian selectors
    "\u2000-\u200f\u2028-\u202f\u205f-\u206f"  # spaces, zero width, separators, bidi
    "\u2800"  # a Braille cell with no dot
    "\ud800-\udfff\ue000-\uf8ff"  # lone surrogates, private use
    "\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\ufff0-\ufffc\ufffe\uffff"  # non-characters, selectors, byte order mark
    "\U000110bd\U000110cd\U00013430-\U0001345f\U00016fe4"  # format characters of old scripts
    "\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a"  # of shorthand and of musical notation
    "\U000e0000-\U0010ffff"  # tags, supplementary selectors, private use
)
_MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"

_SUSPECT = re.compile(f"[{HIDDEN}{_MARKS}]")
_TOKEN = re.compile(
    f"(?<=[{_EMOJI}])\ufe0f?\u200d(?=[{_EMOJI}])"  # joins two emoji: kept
    f"|(?<=[{_EMOJI}])[\ufe0e\ufe0f]"  # picks an emoji's form: kept
    f"|(?<=[0-9#*])\ufe0f(?=\u20e3)"  # a keycap: kept
    f"|(?P<hidden>[{HIDDEN}])"
    f"|(?<=[{_MARKS}]{{4}})(?P<piled>[{_MARKS}]+)"
)
_SHORT = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}

# What a CI runner may interpret as a command. GitHub trims a line and looks for `::` at its start, and looks for
# `##[` anywhere in it (actions/runner, ActionCommand.cs); Azure Pipelines looks for `##vso[`, TeamCity for
# `##teamcity[`, both anywhere.
_AT_START = re.compile(r"^(\s*):(?=:)", re.MULTILINE)
_ANYWHERE = re.compile(r"#(?=#(?:\[|vso\[|teamcity\[))", re.IGNORECASE)


def code_point(char: str) -> str:
    r"""A character as a Python escape: ``\t``, ``\x1b``, ``\u202e``, ``\U000e0041``."""
    if char in _SHORT:
        return _SHORT[char]
    number = ord(char)
    if number <= 0xFF:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


def _suspect(text: str) -> bool:
    """Whether a text may hold invisible characters. Most texts are plain ASCII, which is fast to check."""
    return not (text.isascii() and text.isprintable()) and _SUSPECT.search(text) is not None


def visible(text: str, *, keep_newlines: bool = False) -> str:
    """The text with every invisible character escaped.

    ``keep_newlines`` keeps LF; CR is always escaped.
    """
    if not _suspect(text):
        return text

    def show(match: re.Match[str]) -> str:
        found = match.group()
        if match.lastgroup is None or (keep_newlines and found == "\n"):
            return found
        return "".join(map(code_point, found))

    return _TOKEN.sub(show, text)


def hidden(text: str) -> Iterator[str]:
    """The characters that :func:`visible` would escape, except tabs and line endings."""
    return (char for _, char in hidden_at(text))


def hidden_at(text: str) -> Iterator[tuple[int, str]]:
    """The characters of :func:`hidden`, each with its index in the text."""
    if _suspect(text):
        for match in _TOKEN.finditer(text):
            if match.lastgroup == "hidden" and match.group() not in "\t\n":
                yield match.start(), match.group()


def has_hidden(text: str) -> bool:
    """Whether :func:`hidden` may find something. One check of a long text saves a check of each line."""
    return _suspect(text)


def quoted(value: Any) -> str:
    """A value as JSON on one line, with every character visible. Backslashes in strings are doubled, as JSON does."""
    return visible(json.dumps(value, ensure_ascii=False))


def guard(text: str) -> str:
    r"""The text without anything that a CI runner interprets as a workflow command.

    The first character of ``::`` at the start of a line, and of ``##[`` anywhere, is escaped. Guard lines that are
    joined from parts as a whole, since a command may form where two parts meet.
    """
    if "::" in text:
        text = _AT_START.sub(r"\1\\x3a", text)
    if "##" in text:
        text = _ANYWHERE.sub(r"\\x23", text)
    return text


def terminal(text: str, *, keep_newlines: bool = False) -> str:
    """The text for a terminal or a log: :func:`visible`, and without workflow commands."""
    return guard(visible(text, keep_newlines=keep_newlines))


# --- Markdown ------------------------------------------------------------------------------------------------

# A word that has no meaning in any Markdown dialect or forge: letters, or a short number, with the punctuation of a
# sentence around it. Anything else (a mention, a reference, a link, a commit, an emoji code, markup) is rendered as
# code, where nothing is interpreted.
_OPEN, _CLOSE = "\"'(“‘（「《", "\"'),.;:!?”’，。；：！？、）」》—–…"
_PLAIN_WORD = re.compile(
    f"[{_OPEN}]*(?:(?:[^\\W\\d_]+(?:['’][^\\W\\d_]+)?|[0-9]{{1,6}})(?:[，。；：！？、（）「」《》“”—][^\\W\\d_]*)*)?[{_CLOSE}]*"
)
_COMMIT = re.compile(r"[0-9a-f]{7,}", re.IGNORECASE)
_BACKTICKS = re.compile("`+")
_PIECE = re.compile(" +|`[^`]+`|`+|[^ `]+")


def markdown_code(text: str) -> str:
    """The text as a code span: the one place in Markdown where no markup, mention, reference or link works.

    Its delimiters are longer than any run of backticks in the text. An empty text gives a span of one space.
    """
    text = visible(text) or " "
    ticks = "`" * (_longest_run(text) + 1)
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def markdown_text(text: str) -> str:
    """Prose for the middle of a Markdown line: plain words are unchanged, all others become code spans.

    Text between two backticks becomes a code span too, as its author meant it.
    """
    parts: list[str] = []
    odd: list[str] = []  # consecutive pieces that are not plain words, with the spaces between them

    def flush() -> None:
        blanks = odd.pop() if odd and odd[-1].isspace() else ""
        if odd:
            whole = "".join(odd)
            parts.append(markdown_code(whole.strip("`") if len(odd) == 1 and whole.strip("`") else whole))
        parts.append(blanks)
        odd.clear()

    for piece in _PIECE.findall(visible(text)):
        if piece.isspace():
            (odd or parts).append(piece)
        elif _PLAIN_WORD.fullmatch(piece) and not _COMMIT.search(piece):
            flush()
            parts.append(piece)
        else:
            odd.append(piece)
    flush()
    return "".join(parts).strip(" ")


def fence(lines: str) -> str:
    """A fence for a code block, which none of its lines can close."""
    return "`" * max(3, _longest_run(lines) + 1)


def _longest_run(text: str) -> int:
    return max(map(len, _BACKTICKS.findall(text)), default=0)


# --- HTML ----------------------------------------------------------------------------------------------------


def html_text(text: str) -> str:
    """The text for an HTML element or a quoted attribute, where no template escapes it."""
    return html.escape(visible(text), quote=True)


# --- workflow commands ---------------------------------------------------------------------------------------


def workflow_data(text: str) -> str:
    """The message of a workflow command. LF starts a new line of the annotation."""
    shown = visible(text, keep_newlines=True).replace("%", "%25").replace("\n", "%0A")
    return _ANYWHERE.sub(r"\\x23", shown)


def workflow_property(text: str) -> str:
    """The value of a property of a workflow command, such as its title."""
    return workflow_data(text).replace(":", "%3A").replace(",", "%2C")
