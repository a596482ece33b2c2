"""Keys from names in any script: readable, unique and reproducible.

Chinese is transliterated by pypinyin, which knows words: it reads 音乐 as yin-yue and 银行 as yin-hang, where single
characters would give yin-le and yin-xing. Keys are permanent, so the reading should be right. Other scripts are
transliterated by anyascii, character by character. Both are imported when first needed, since importing pypinyin takes
a third of a second.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from reconciler.ownership.key import LONGEST_KEY

#: Where nothing is left of a name.
NAMELESS: Final = "session"

_HAN = re.compile("[\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]+")
_APOSTROPHES = re.compile("(?<=\\w)['`\u2018\u2019\u02bc\uff07](?=\\w)")
_OTHER = re.compile("[^a-z0-9]+")


def key_from_name(name: str) -> str:
    """A key for a name on its own: at most ``LONGEST_KEY`` lower-case letters and digits, separated by hyphens."""
    text = _APOSTROPHES.sub("", name)
    if not text.isascii():
        text = _in_ascii(text)
    return truncate_key(_OTHER.sub("-", text.lower()).strip("-"), LONGEST_KEY) or NAMELESS


def _in_ascii(text: str) -> str:
    from anyascii import anyascii

    if _HAN.search(text):
        from pypinyin import lazy_pinyin

        # Syllables are separated from each other and from the text around them. Other scripts are returned unchanged.
        text = _HAN.sub(lambda han: f" {' '.join(lazy_pinyin(han.group()))} ", text)
    return _APOSTROPHES.sub("", anyascii(text))


def truncate_key(key: str, length: int) -> str:
    """A key of at most this length, cut between words if one ends in its second half."""
    if len(key) <= length:
        return key
    cut = key[: length + 1].rfind("-")
    return key[: cut if cut > length // 2 else length].strip("-")


def make_keys(names: Iterable[tuple[int, str]], taken: Collection[str] = ()) -> dict[int, str]:
    """Keys for sessions, by session id, from their ids and names. None is in ``taken``.

    If several sessions have the same key, the one with the lowest id gets it, and the others get their ids as a suffix.
    So a later session, which has a higher id, never changes the key of another.
    """
    used = set(taken)
    keys: dict[int, str] = {}
    for session_id, name in sorted(names):
        key = plain = key_from_name(name)
        while key in used:
            suffix = f"-{session_id}"
            plain = truncate_key(plain, LONGEST_KEY - len(suffix))
            key = plain = plain + suffix
        used.add(key)
        keys[session_id] = key
    return keys
