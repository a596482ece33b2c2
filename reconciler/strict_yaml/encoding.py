"""Decoding a file: UTF-8 with or without a byte order mark, nothing else."""

from __future__ import annotations

import codecs

from reconciler.errors import Problem

_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark it starts with
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}

_SAVE = "save the file as UTF-8"


def decode(file: str, data: bytes) -> str | Problem:
    """The text of a file without its byte order mark, or the problem with it. ``file`` is its name in the problem."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        for mark, name in _MARKS.items():
            if data.startswith(mark):
                return Problem(f"this file is {name}, not UTF-8", _SAVE, file, 1, 1)
        return _at(file, data, error)
    return text.removeprefix("\ufeff")


def _at(file: str, data: bytes, error: UnicodeDecodeError) -> Problem:
    start = max(data.rfind(b"\n", 0, error.start), data.rfind(b"\r", 0, error.start)) + 1
    before = data[:start].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    end = min((at for at in (data.find(b"\n", start), data.find(b"\r", start)) if at >= 0), default=len(data))
    message = f"byte {error.start} of this file, 0x{data[error.start]:02x}, is not UTF-8"
    if data[error.start] == 0xED and data[error.start + 1 : error.start + 2] >= b"\xa0":
        message = f"at byte {error.start} of this file is a lone surrogate, half of a character"
    return Problem(
        message,
        _SAVE,
        file,
        before.count(b"\n") + 1,
        len(data[start : error.start].decode("utf-8", "replace")) + 1,
        data[start:end].decode("utf-8", "backslashreplace"),
    )
