"""Pictures in a stream of bytes: the same ones however it is cut, in time and memory that grow with the bytes alone."""

from __future__ import annotations

import time
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.capture.sources.jpegs import JpegSplitter

_PICTURE = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xda\x00\x02abc\n--b\nx\xff\xd9"
_TOKENS = [
    _PICTURE,
    _PICTURE[:9],
    b"\xff\xd8",
    b"\xff",
    b"\xd8\xff",
    b"\xff\xd9",
    b"\n--b\r\n",
    b"--b",
    b"-",
    b" ",
    b"\n",
    b"x" * 300,
    b"-" * 254,
]
_PIECE = 512  # bytes
_WORST = {
    "nothing": b"\0",
    "lines": b"offline\r\n",
    "boundaries": b"\r\n--b\r\n",
    "filling": b"\xff",
}


@pytest.mark.parametrize("boundary", ["b", "--b", ""])
def test_a_part_that_is_no_picture_is_told_once(boundary: str) -> None:
    part, empty = b"\r\n--b\r\nContent-Type: image/jpeg\r\n\r\n", b"\r\n--b\r\n\r\nbusy"
    stream = part + _PICTURE + empty + empty + part + _PICTURE + part + _PICTURE
    assert JpegSplitter(boundary).feed(stream) == [_PICTURE, None, None, _PICTURE, _PICTURE]


@given(
    tokens=st.lists(st.sampled_from(_TOKENS), max_size=25),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=9),
    boundary=st.sampled_from(["b", "--b", ""]),
)
def test_what_is_found_does_not_depend_on_how_any_bytes_are_cut(
    tokens: list[bytes], sizes: list[int], boundary: str
) -> None:
    data, splitter, found, at = b"".join(tokens), JpegSplitter(boundary), [], 0
    for size in cycle(sizes):
        if at >= len(data):
            break
        found += splitter.feed(data[at : at + size])
        at += size
    assert found == JpegSplitter(boundary).feed(data)


@pytest.mark.parametrize("boundary", ["b", ""])
@pytest.mark.parametrize("head", [b"", b"\xff\xd8\xff\xda\x00\x02"], ids=["between pictures", "in a picture"])
@pytest.mark.parametrize("kind", _WORST)
def test_work_grows_with_the_bytes_alone(kind: str, head: bytes, boundary: str) -> None:
    """Four times as many would take 16 times as long if all that waits were searched or copied again."""
    data = (_WORST[kind] * _PIECE)[:_PIECE]

    def seconds(pieces: int) -> float:
        splitter = JpegSplitter(boundary)
        began = time.thread_time()
        splitter.feed(head)
        for _ in range(pieces):
            splitter.feed(data)
        return time.thread_time() - began

    few = 1000
    assert min(seconds(4 * few) for _ in range(3)) < 9 * min(seconds(few) for _ in range(3))


def test_what_is_no_picture_is_not_kept() -> None:
    splitter = JpegSplitter("b")
    for _ in range(100):
        splitter.feed(bytes(65536))
    assert len(splitter._data) < 1000


def test_a_picture_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether compressed data or only filling comes; the next picture is found."""
    monkeypatch.setattr("daemon.capture.sources.jpegs._LARGEST", 1000)
    for head, filling in ((b"\xff\xd8\xff\xda\x00\x02", b"\0"), (b"\xff\xd8\xff", b"\xff")):
        splitter = JpegSplitter("b")
        assert splitter.feed(head + filling * 1000) == [None]
        assert splitter.feed(_PICTURE) == [_PICTURE]
