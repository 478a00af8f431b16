"""What a model gives for two pictures, before it serves: results that its family cannot mean refuse it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engines.errors import ModelError
from engines.model import read_model
from tests.engines.decoding import HEIGHT, SIZE, WIDTH, Array
from tests.engines.making import Making
from tests.engines.test_heads_lists import listed_rows

LISTED = 60
Change = Callable[[Array], None]


def turn(rows: Array) -> None:
    rows[..., [0, 2]] = rows[..., [2, 0]]


def enlarge(rows: Array) -> None:
    rows[..., :4] *= 100


def normalise(rows: Array) -> None:
    rows[..., :4] /= (WIDTH, HEIGHT, WIDTH, HEIGHT)


def as_logits(rows: Array) -> None:
    rows[..., 4] = np.log(rows[..., 4] / (1 - rows[..., 4]))


def as_per_cent(rows: Array) -> None:
    rows[..., 4] *= 100


def with_half_a_class(rows: Array) -> None:
    rows[..., 5] += 0.5


def is_nan(rows: Array) -> None:
    rows[..., 0] = np.nan


def has_no_class(rows: Array) -> None:
    rows[..., 4:] = np.nan


def saved(folder: Path, change: Change, share: float) -> Path:
    """Rows of boxes in pixels, scores and classes, of which a share is changed."""
    boxes, scores, labels = listed_rows(LISTED, 2)
    rows = np.concatenate([boxes, scores[..., None], labels[..., None]], axis=2).astype(np.float32)
    some = rows[:, : int(LISTED * share)]
    change(some)
    rows[:, : some.shape[1]] = some
    return Making({"output0": rows}, size=SIZE).save(folder / "m.onnx")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (turn, "boxes end before they begin"),
        (is_nan, "boxes end before they begin"),
        (enlarge, "boxes are far outside the picture"),
        (normalise, "boxes are fractions of the picture and no pixels"),
        (as_logits, "a score is "),
        (as_per_cent, "above 1"),
        (with_half_a_class, "its classes are no whole numbers"),
        (has_no_class, "its classes are no whole numbers"),
    ],
)
@pytest.mark.parametrize("family", ["auto", "yolov10"])
def test_it_is_refused(change: Change, sentence: str, family: str, tmp_path: Path) -> None:
    """Whether the family was found or given."""
    with pytest.raises(ModelError, match=rf"is not of the family yolov10 .* read that way .*{sentence}"):
        read_model(saved(tmp_path, change, share=1), family)


@pytest.mark.parametrize("change", [turn, enlarge, normalise])
def test_a_weak_model_may_have_some_such_boxes(change: Change, tmp_path: Path) -> None:
    assert read_model(saved(tmp_path, change, share=0.1)).family.name == "yolov10"
