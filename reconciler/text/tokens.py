"""Estimates the number of tokens in a text."""

from __future__ import annotations

import re

#: Han, kana and CJK symbols: written without spaces, and counted differently from letters.
CJK = "\u2e80-\u30ff\u3100-\u312f\u31a0-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff9f\U00020000-\U0003ffff"
_CJK_RUN = re.compile(f"[{CJK}]+")
# DeepSeek's own rule of thumb (https://api-docs.deepseek.com/quick_start/token_usage): 0.3 tokens an English
# character, 0.6 a Chinese one.
_TOKENS_PER_CHARACTER = 0.3
_TOKENS_PER_CJK_CHARACTER = 0.6


def estimate_tokens(text: str) -> int:
    """The approximate number of tokens: 0.6 per Chinese or kana character, 0.3 per other character, rounded."""
    if text.isascii():
        return round(len(text) * _TOKENS_PER_CHARACTER)
    cjk = sum(map(len, _CJK_RUN.findall(text)))
    return round(cjk * _TOKENS_PER_CJK_CHARACTER + (len(text) - cjk) * _TOKENS_PER_CHARACTER)
