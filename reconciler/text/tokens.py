"""How many tokens a model reads in a text, by a rule of thumb."""

from __future__ import annotations

import re

#: Han, kana and CJK signs: written without spaces, and counted in another way than letters.
CJK = "\u2e80-\u30ff\u3100-\u312f\u31a0-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff9f\U00020000-\U0003ffff"
_CJK_RUN = re.compile(f"[{CJK}]+")
# DeepSeek's own rule of thumb (https://api-docs.deepseek.com/quick_start/token_usage): 0.3 tokens an English
# character, 0.6 a Chinese one.
_TOKENS_PER_CHARACTER = 0.3
_TOKENS_PER_CJK_CHARACTER = 0.6


def estimate_tokens(text: str) -> int:
    """About how many tokens a model reads: 0.6 a Chinese (or kana) character, 0.3 any other, rounded."""
    if text.isascii():
        return round(len(text) * _TOKENS_PER_CHARACTER)
    cjk = sum(map(len, _CJK_RUN.findall(text)))
    return round(cjk * _TOKENS_PER_CJK_CHARACTER + (len(text) - cjk) * _TOKENS_PER_CHARACTER)
