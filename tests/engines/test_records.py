"""Letterbox geometry: in whole pixels, and back to the source without loss."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.records import Fit, Letterbox

SIZES = st.integers(1, 4096)


@pytest.mark.parametrize(
    ("source", "model", "fit", "expected"),
    [
        ((1920, 1080), (640, 640), Fit.CENTRED, (640, 360, 0, 140)),
        ((1080, 1920), (640, 640), Fit.CENTRED, (360, 640, 140, 0)),
        ((1920, 1080), (416, 416), Fit.TOP_LEFT, (416, 234, 0, 0)),
        ((1920, 1080), (300, 300), Fit.STRETCH, (300, 300, 0, 0)),
        ((640, 640), (640, 640), Fit.CENTRED, (640, 640, 0, 0)),
        ((641, 427), (640, 640), Fit.CENTRED, (640, 426, 0, 107)),
        ((4000, 3), (320, 320), Fit.CENTRED, (320, 1, 0, 159)),
    ],
)
def test_place(source: tuple[int, int], model: tuple[int, int], fit: Fit, expected: tuple[int, ...]) -> None:
    box = Letterbox.of(*source, *model, fit)
    assert (box.width, box.height, box.left, box.top) == expected


@given(w=SIZES, h=SIZES, model_w=st.integers(32, 1280), model_h=st.integers(32, 1280), fit=st.sampled_from(Fit))
def test_the_whole_image_maps_back(w: int, h: int, model_w: int, model_h: int, fit: Fit) -> None:
    box = Letterbox.of(w, h, model_w, model_h, fit)
    assert box.left >= 0
    assert box.top >= 0
    assert 1 <= box.width <= model_w - box.left
    assert 1 <= box.height <= model_h - box.top
    place = np.array([[box.left, box.top, box.left + box.width, box.top + box.height]], np.float32)
    assert np.allclose(box.to_source(place), [[0, 0, w, h]], rtol=1e-5)


def test_boxes_are_clipped_to_the_image() -> None:
    box = Letterbox.of(100, 50, 200, 200, Fit.CENTRED)
    assert box.to_source(np.array([[-50, -50, 500, 500]], np.float32)).tolist() == [[0, 0, 100, 50]]
