"""The language of a text, as far as its script tells it: for fonts, line breaking and screen readers."""

from __future__ import annotations

import re

_SAMPLE = 20_000
_KANA = re.compile("[\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f]")
_HANGUL = re.compile("[\u1100-\u11ff\uac00-\ud7a3]")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_OTHER_WORD = re.compile(
    "(?:(?![\u1100-\u11ff\u3041-\u30ff\u31f0-\u31ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9f]"
    "|[\U00020000-\U0003ffff])[^\\W\\d_])+"
)


def language(text: str) -> str:
    """``zh``, ``ja`` or ``ko`` for a text that is mostly in that script; empty for all others.

    Mostly: it has more such characters than words of other scripts. Of Chinese characters and kana, a tenth of kana
    makes it Japanese.
    """
    if text.isascii():
        return ""
    text = text[:_SAMPLE]
    kana, hangul, han = (len(script.findall(text)) for script in (_KANA, _HANGUL, _HAN))
    if kana + hangul + han <= len(_OTHER_WORD.findall(text)):
        return ""
    if hangul > kana + han:
        return "ko"
    return "ja" if kana * 10 >= kana + han else "zh"
