"""Finds the JPEG pictures in a stream of bytes, whatever frames them: pure."""

from __future__ import annotations

import re

_BEGIN = b"\xff\xd8\xff"
_STANDALONE = {0x01, *range(0xD0, 0xD8)}  # markers without a length
_BEGIN_MARKER, _END_MARKER, _SCAN_MARKER = 0xD8, 0xD9, 0xDA
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_LARGEST = 64 << 20  # bytes of a picture
_LONGEST_BOUNDARY = 256  # bytes of its line; RFC 2046 allows 74


class JpegSplitter:
    """Takes a stream as it comes and gives whole pictures, and None for each part that is no picture or a piece of one.

    Pictures are found by their own markers, so lengths and boundaries may be missing or wrong. A boundary only tells
    that something else came in a picture's place.
    """

    def __init__(self, boundary: str = "") -> None:
        """`boundary` is that of a multipart stream as its head announces it; empty: any line that begins with --."""
        token = re.escape(boundary.strip('"- ').encode())
        self._boundary = re.compile(
            rb"(?:\A|\n)-*" + token + rb"[ \t\r]*(?=\n)" if token else rb"(?:\A|\n)--[^\n]+(?=\n)"
        )
        self._data = bytearray()
        """from the last line between two pictures on, or from the beginning of this picture"""
        self._searched = 0
        """how many of these bytes hold no beginning of a picture, except the last ones"""
        self._boundary_seen = False
        """whether a boundary came after the last picture"""
        self._at = 0
        """of the next marker in this picture; 0: its beginning is not found yet"""
        self._in_scan = False
        """whether compressed data is there, up to the next marker"""

    def feed(self, data: bytes) -> list[bytes | None]:
        """What is complete with the next bytes of the stream; looks at these alone, however many wait."""
        self._data += data
        found: list[bytes | None] = []
        while self._find_begin(found) if self._at == 0 else self._follow(found):
            pass
        if self._at and len(self._data) > _LARGEST:
            self._give_up(found, len(self._data))
        return found

    def _find_begin(self, found: list[bytes | None]) -> bool:
        """Whether a picture begins; drops what is before it."""
        data = self._data
        begin = data.find(_BEGIN, max(0, self._searched - len(_BEGIN) + 1))
        end = len(data) if begin < 0 else begin
        line = data.rfind(b"\n", self._searched, end)
        if line >= 0:  # else no line is complete
            lines = self._boundary.finditer(data, 0, end)
            seen = self._boundary_seen + sum(each.end() - each.start() <= _LONGEST_BOUNDARY for each in lines)
            found += [None] * (seen - 1)
            self._boundary_seen = seen > 0
            del lines  # which keeps the data from being cut
        if begin >= 0:
            del data[:begin]
            self._at, self._boundary_seen = 2, False
            return True
        del data[: max(0, line)]
        if len(data) > _LONGEST_BOUNDARY:
            data[: 1 - len(_BEGIN)] = b"\0"  # stands for the beginning of a line that is no boundary
        self._searched = len(data)
        return False

    def _follow(self, found: list[bytes | None]) -> bool:
        """Goes on to the next marker of the picture. Returns whether that has come."""
        data = self._data
        if self._in_scan:
            marker = _AFTER_SCAN.search(data, self._at)
            if marker is None:
                self._at = max(self._at, len(data) - 1)
                return False
            self._at, self._in_scan = marker.start(), False
        if len(data) < self._at + 4 and not data.startswith(bytes([0xFF, _END_MARKER]), self._at):
            return False
        if data[self._at] != 0xFF or data[self._at + 1] == _BEGIN_MARKER:
            self._give_up(found, self._at)
            return True
        kind = data[self._at + 1]
        if kind == _END_MARKER:
            found.append(bytes(data[: self._at + 2]))
            self._cut(self._at + 2)
        elif kind == 0xFF or kind in _STANDALONE:
            self._at += 1 if kind == 0xFF else 2
        else:
            self._at += 2 + int.from_bytes(data[self._at + 2 : self._at + 4], "big")
            self._in_scan = kind == _SCAN_MARKER
        return True

    def _give_up(self, found: list[bytes | None], at: int) -> None:
        """The picture is cut short or damaged; goes on behind."""
        found.append(None)
        self._cut(at)

    def _cut(self, at: int) -> None:
        """Looks for the next picture from there on."""
        del self._data[:at]
        self._at = self._searched = 0
        self._in_scan = False
