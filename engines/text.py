"""Text that people write: files as editors of all systems save them, and counted nouns."""

from __future__ import annotations

import codecs
import re

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SEVERAL_ACCENTS = re.compile(r"[^\x00-\x7f]{2}")


class EncodingError(ValueError):
    """Bytes in no encoding that can be told for sure."""

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line} is not UTF-8 text")
        self.line = line
        """the first one that is not UTF-8, from 1 on"""


def decode(data: bytes) -> str:
    """UTF-8, or UTF-16 and UTF-32 with their byte order mark, which is left out. Raises EncodingError."""
    encoding = "utf-8"
    for mark, name in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            data, encoding = data[len(mark) :], name
            break
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(encoding, "replace")
        raise EncodingError(before.count("\n") + 1) from None


def decode_western(data: bytes) -> str:
    """The same, or Windows-1252 (Latin-1) where accented letters stand alone, as in Western European words.

    In other one-byte encodings they follow one another. Raises EncodingError.
    """
    try:
        return decode(data)
    except EncodingError:
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError:
            text = ""
        if not text or "\0" in text or _SEVERAL_ACCENTS.search(text):
            raise
        return text


def counted(number: int, noun: str) -> str:
    """`1 camera`, `2 cameras`, `2 classes`, `2 batches`."""
    ending = "es" if noun.endswith(("s", "ch")) else "s"
    return f"{number} {noun}{'' if number == 1 else ending}"
