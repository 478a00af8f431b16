"""Pictures of decoders as BGR, against the definitions of their colours."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.pictures import BgrPicture, ColourMatrix, Nv12Picture
from tests.nv12 import Planes, bgr_of, nv12, planes_of

BLUE, GREEN, RED, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)

COLOURS = [
    (ColourMatrix.BT601, False, {BLUE: (41, 240, 110), GREEN: (145, 54, 34), RED: (81, 90, 240)}),
    (ColourMatrix.BT709, False, {BLUE: (32, 240, 118), GREEN: (173, 42, 26), RED: (63, 102, 240)}),
    (ColourMatrix.BT601, True, {BLUE: (29, 255, 107), GREEN: (150, 44, 21), RED: (76, 85, 255)}),
    (ColourMatrix.BT709, True, {BLUE: (18, 255, 116), GREEN: (182, 30, 12), RED: (54, 99, 255)}),
]
"""as tables of the standards have them: Y, U and V"""


def flat(yuv: tuple[int, int, int], width: int = 4, height: int = 4) -> Planes:
    y, *uv = yuv
    chroma = np.tile(np.array(uv, np.uint8), (height // 2, width // 2))
    return np.full((height, width), y, np.uint8), chroma


@pytest.mark.parametrize(("matrix", "full_range", "colours"), COLOURS)
def test_colours_are_those_of_the_standards(
    matrix: ColourMatrix, full_range: bool, colours: dict[tuple[int, int, int], tuple[int, int, int]]
) -> None:
    greys = {WHITE: (255 if full_range else 235, 128, 128), BLACK: (0 if full_range else 16, 128, 128)}
    for bgr, yuv in {**colours, **greys}.items():
        planes = flat(yuv)
        got = Nv12Picture.in_host_memory(planes, 4, matrix, full_range, planes).host()
        assert np.abs(got.astype(int) - bgr).max() <= 2, (bgr, got[0, 0])


@pytest.mark.parametrize("matrix", ColourMatrix)
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(
    ("size", "pitch"), [((64, 48), 64), ((64, 48), 256), ((63, 47), 128), ((1, 1), 2), ((5, 2), 6)]
)
def test_any_size_and_pitch(matrix: ColourMatrix, full_range: bool, size: tuple[int, int], pitch: int) -> None:
    """Of any bytes, also those that are no colour, within one grey level."""
    width, height = size
    rng = np.random.default_rng(1)
    luma = rng.integers(0, 256, (height, pitch)).astype(np.uint8)
    planes = luma, rng.integers(0, 256, ((height + 1) // 2, pitch)).astype(np.uint8)
    picture = Nv12Picture.in_host_memory(planes, width, matrix, full_range, planes)
    got = picture.host()
    assert got.shape == (height, width, 3)
    assert got.dtype == np.uint8
    assert (picture.width, picture.height) == size
    assert np.abs(got - bgr_of(planes, width, matrix, full_range)).max() <= 1


def test_memory_is_used_again_where_it_fits() -> None:
    picture = nv12(np.full((6, 8, 3), 90, np.uint8))
    fits, other = np.empty((6, 8, 3), np.uint8), np.empty((8, 6, 3), np.uint8)
    assert picture.host(fits) is fits
    assert np.abs(fits.astype(int) - 90).max() <= 1
    assert picture.host(other).shape == (6, 8, 3)


def test_threads_convert_at_the_same_time() -> None:
    """Each with memory of its own, whatever sizes it has had before."""
    rng = np.random.default_rng(2)
    shown = [nv12(rng.integers(0, 256, (300, width, 3)).astype(np.uint8)) for width in (320, 318) * 4]
    alone = [picture.host() for picture in shown]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(10):
            assert all(map(np.array_equal, threads.map(Nv12Picture.host, shown), alone))


def test_bgr_is_its_own_pixels() -> None:
    pixels = np.zeros((6, 8, 3), np.uint8)
    picture = BgrPicture(pixels)
    assert picture.host() is picture.host(np.empty_like(pixels)) is pixels
    assert (picture.width, picture.height) == (8, 6)


def test_planes_are_where_the_picture_says() -> None:
    """As a GPU's kernel would take them."""
    picture = nv12(np.full((6, 8, 3), 90, np.uint8), pitch=32)
    luma, chroma = picture.read()
    assert [plane.__array_interface__["data"][0] for plane in (luma, chroma)] == [picture.luma, picture.chroma]
    assert picture.pitch == luma.strides[0] == chroma.strides[0] == 32
    assert (picture.gpu, picture.ready) == (None, None)


@pytest.mark.parametrize(
    ("luma", "chroma", "width"),
    [((6, 8), (2, 8), 8), ((6, 8), (3, 6), 8), ((6, 8), (3, 8), 9), ((5, 7), (3, 7), 7)],
)
def test_planes_of_another_shape_are_refused(luma: tuple[int, int], chroma: tuple[int, int], width: int) -> None:
    planes = np.zeros(luma, np.uint8), np.zeros(chroma, np.uint8)
    with pytest.raises(ValueError, match="not NV12"):
        Nv12Picture.in_host_memory(planes, width, ColourMatrix.BT601, False, planes)


def test_rows_apart_in_memory_are_refused() -> None:
    rows: NDArray[np.uint8] = np.zeros((6, 16), np.uint8)[:, :8]
    with pytest.raises(ValueError, match="not NV12"):
        Nv12Picture.in_host_memory((rows, np.zeros((3, 8), np.uint8)), 8, ColourMatrix.BT601, False, None)


def test_a_copy_is_of_its_own() -> None:
    original = np.random.default_rng(5).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    pixels, planes = original.copy(), planes_of(original, ColourMatrix.BT601, True)
    for picture, memory in (
        (BgrPicture(pixels), (pixels,)),
        (Nv12Picture.in_host_memory(planes, 9, ColourMatrix.BT601, True, planes), planes),
    ):
        copy, wanted = picture.copied(), picture.host().copy()
        for array in memory:
            array[:] = 0
        assert np.array_equal(copy.host(), wanted)
        assert not np.array_equal(picture.host(), wanted)


def test_a_digest_is_of_what_is_shown() -> None:
    """Not of what fills up the rows."""
    original = np.random.default_rng(5).integers(0, 256, (6, 10, 3)).astype(np.uint8)
    changed = original.copy()
    changed[0, 0] = 255 - changed[0, 0]
    assert BgrPicture(original).digest() == BgrPicture(original.copy()).digest() != BgrPicture(changed).digest()
    assert nv12(original, pitch=16).digest() == nv12(original, pitch=64).digest() != nv12(changed, pitch=16).digest()
