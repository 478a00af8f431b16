"""What becomes of a detector's candidates: a score above 1 never leaves, and an object has one class."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from engines.errors import ModelError
from engines.postprocess import Thresholds, of_batch, of_kept, suppress, to_detections
from engines.records import Detections, Fit, Letterbox
from tests.engines.candidates import KINDS, candidates

BOXES = np.array([[0, 0, 10, 10], [20, 20, 40, 40], [0, 0, 10, 10]], np.float32)
LABELS = np.array([0, 0, 1], np.int32)


def found(scores: list[float], nms: bool = False, **thresholds: Any) -> Detections:
    box = Letterbox.of(64, 64, 64, 64, Fit.CENTRED)
    return to_detections(BOXES, np.array(scores, np.float32), LABELS, box, Thresholds(**thresholds), nms)


@pytest.mark.parametrize("score", [1.02, 2.0, 77.0, np.inf])
@pytest.mark.parametrize("nms", [False, True])
def test_a_score_above_1_ends_the_model(score: float, nms: bool) -> None:
    with pytest.raises(ModelError, match=rf"a score of {score:.2f}, which is above 1"):
        found([score, 0.5, 0.4], nms)


@pytest.mark.parametrize("scores", [[np.nan, 0.5, 0.4], [0.9, np.nan, 0.4], [0.9, 0.8, np.nan]])
@pytest.mark.parametrize("nms", [False, True])
def test_a_score_that_is_nan_ends_the_model(scores: list[float], nms: bool) -> None:
    with pytest.raises(ModelError, match="NaN"):
        found(scores, nms)


@pytest.mark.parametrize("nms", [False, True])
def test_a_box_that_is_nan_ends_the_model(nms: bool) -> None:
    box, scores = Letterbox.of(64, 64, 64, 64, Fit.CENTRED), np.array([0.9, 0.8, 0.1], np.float32)
    boxes = BOXES.copy()
    boxes[2, 1] = np.nan  # below the threshold nobody reads it
    assert len(to_detections(boxes, scores, LABELS, box, Thresholds(), nms)) == 2
    boxes[1, 1] = np.nan
    with pytest.raises(ModelError, match="NaN"):
        to_detections(boxes, scores, LABELS, box, Thresholds(), nms)


def test_rounding_is_no_score_above_1() -> None:
    """What 8 and 16 bits add to a sigmoid of 1."""
    assert found([1.004, 0.5, 0.4]).scores.max() == 1


@pytest.mark.parametrize(("one_class", "labels"), [(True, [0, 0]), (False, [0, 0, 1])])
def test_an_object_has_its_best_class(one_class: bool, labels: list[int]) -> None:
    """Equal boxes are one object that a model gives two classes; COCO's measure wants both."""
    seen = found([0.9, 0.8, 0.7], one_class=one_class)
    assert seen.labels.tolist() == labels
    assert seen.scores[:2].tolist() == pytest.approx([0.9, 0.8])


def test_a_class_below_the_threshold_takes_nothing_away() -> None:
    assert found([0.9, 0.3, 0.2], confidence=0.5).labels.tolist() == [0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_after_nms_elsewhere_is_what_each_picture_is(kind: str) -> None:
    """`of_kept` on what `suppress` keeps, as the GPU's kernel leaves it, with the rest of its memory as it was."""
    places = [Letterbox.of(640 - 2 * i, 360, 320, 320, Fit.CENTRED) for i in (0, 0, 1, 2)]
    for iou, confidence in product((0.0, 0.45, 0.5, 1.0), (0.25, 0.99)):
        given = candidates(kind, len(places), 80, 5)
        counts = np.zeros(len(places), np.int32)
        boxes, scores, labels = (
            np.full_like(given.boxes, 7),
            np.full_like(given.scores, 7),
            np.full_like(given.labels, 7),
        )
        for i in range(len(places)):
            n = int(np.count_nonzero(given.scores[i] >= 0.1))
            keep = suppress(given.boxes[i, :n], given.scores[i, :n], given.labels[i, :n], iou)
            counts[i] = k = len(keep)
            boxes[i, :k], scores[i, :k], labels[i, :k] = (
                given.boxes[i, keep],
                given.scores[i, keep],
                given.labels[i, keep],
            )
        scores[:, 0] = given.scores[:, 0]
        found = of_kept(boxes, scores, labels, counts, places, confidence)
        for i, place in enumerate(places):
            thresholds = Thresholds(confidence, iou)
            wanted = to_detections(given.boxes[i], given.scores[i], given.labels[i], place, thresholds, nms=True)
            assert np.array_equal(found[i].boxes, wanted.boxes)
            assert np.array_equal(found[i].scores, wanted.scores)
            assert np.array_equal(found[i].labels, wanted.labels)


def test_a_batch_with_nan_or_a_score_above_1_ends_the_model() -> None:
    place = Letterbox.of(64, 64, 64, 64, Fit.CENTRED)
    for score, count, said in ((0.9, -1, "NaN"), (2.0, 3, "a score of 2.00"), (77.0, 0, "a score of 77.00")):
        scores = np.array([[0.5, 0.4, 0.3], [score, 0.4, 0.3]], np.float32)
        counts = np.array([1, count], np.int32)
        with pytest.raises(ModelError, match=said):
            of_kept(np.stack([BOXES] * 2), scores, np.stack([LABELS] * 2), counts, [place] * 2, 0.4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("nms", [False, True])
def test_a_batch_is_what_each_of_its_pictures_is(kind: str, nms: bool) -> None:
    places = [Letterbox.of(640 - 2 * i, 360, 320, 320, Fit.CENTRED) for i in (0, 0, 1, 2)]
    for one_class, confidence in product((False, True), (0.25, 0.6, 0.99, 1.0)):
        given = candidates(kind, len(places), 40, 5)
        given.boxes[:2, 1::4] = given.boxes[:2, ::4]  # an object with two classes
        thresholds = Thresholds(confidence, one_class=one_class)
        found = of_batch(given.boxes, given.scores, given.labels, places, thresholds, nms)
        for i, place in enumerate(places):
            wanted = to_detections(given.boxes[i], given.scores[i], given.labels[i], place, thresholds, nms)
            for name in ("boxes", "scores", "labels"):
                assert np.array_equal(getattr(found[i], name), getattr(wanted, name))
                assert not np.shares_memory(getattr(found[i], name), getattr(given, name))


def test_nan_in_a_batch_counts_where_it_is_used() -> None:
    place = Letterbox.of(64, 64, 64, 64, Fit.CENTRED)
    scores = np.array([[0.9, 0.8, 0.1], [0.9, 0.2, 0.1]], np.float32)
    boxes, labels = np.stack([BOXES] * 2), np.stack([LABELS] * 2)
    boxes[1, 1] = boxes[0, 2] = np.nan
    assert [len(each) for each in of_batch(boxes, scores, labels, [place] * 2, Thresholds(), nms=False)] == [2, 1]
    boxes[1, 0, 3] = np.nan
    with pytest.raises(ModelError, match="NaN"):
        of_batch(boxes, scores, labels, [place] * 2, Thresholds(), nms=False)
    scores[1, 2] = np.nan
    with pytest.raises(ModelError, match="NaN"):
        of_batch(np.stack([BOXES] * 2), scores, labels, [place] * 2, Thresholds(), nms=False)
    scores[0, 0] = 3
    with pytest.raises(ModelError):
        of_batch(np.stack([BOXES] * 2), scores, labels, [place] * 2, Thresholds(), nms=False)
