"""The library's front door: what it finds, what it refuses, and that it builds nothing by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.demo.street.generator import StreetScene
from engines import Detection, Detector, Precision, SessionSettings, Thresholds
from engines.detector import Image
from engines.errors import BackendError, DetectorError, ImageError, ModelError, NotPreparedError
from engines.model import read_model
from engines.models import street_onnx
from engines.onnx_runtime import OnnxRuntimeSession
from engines.records import Handle

CPU = "onnxruntime"


@pytest.fixture(scope="module")
def images() -> list[Image]:
    """Three moments of the street, of different sizes."""
    scenes = StreetScene(640, 360, seed=3), StreetScene(320, 240, seed=4), StreetScene(640, 480, seed=5)
    return [scene.render(4.0)[0] for scene in scenes]


@pytest.fixture
def detector() -> Iterator[Detector]:
    settings = SessionSettings(max_batch=3, threads=1)
    with Detector.load(street_onnx(), backend=CPU, settings=settings) as detector:
        yield detector


def test_detections_equal_those_of_the_session(detector: Detector, images: list[Image]) -> None:
    session = OnnxRuntimeSession(read_model(street_onnx()), Thresholds(), max_batch=1, threads=1)
    for image in images:
        expected = session.collect(session.submit([image])).detections[0]
        found = detector.detect(image)
        assert len(found) == len(expected) > 0
        assert [d.class_id for d in found] == expected.labels.tolist()
        assert [d.label for d in found] == [detector.labels[label] for label in expected.labels]
        assert [d.score for d in found] == pytest.approx(expected.scores.tolist())
        assert np.allclose([d.box for d in found], expected.boxes)
        assert [d.score for d in found] == sorted((d.score for d in found), reverse=True)
    session.close()


def test_a_batch_equals_single_images(detector: Detector, images: list[Image]) -> None:
    alone = [detector.detect(image) for image in images]
    first = detector.submit(images)
    second = detector.submit(images[:1])
    assert labels(detector.collect(first)) == labels(alone)
    assert labels(detector.collect(second)) == labels(alone[:1])


def test_a_view_is_accepted(detector: Detector, images: list[Image]) -> None:
    turned = images[0][:, ::-1]
    assert not turned.flags.c_contiguous
    assert detector.detect(turned) == detector.detect(turned.copy())


def test_confidence_can_be_changed(detector: Detector, images: list[Image]) -> None:
    detector.set_confidence(0.9)
    few = detector.detect(images[0])
    detector.set_confidence(0.1)
    many = detector.detect(images[0])
    assert 0 < len(few) < len(many)
    assert all(d.score >= 0.9 for d in few)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((0, 10, 3), np.uint8),
        None,
    ],
    ids=["grey", "alpha", "float", "empty", "none"],
)
def test_invalid_images_are_refused(detector: Detector, image: NDArray[np.uint8], images: list[Image]) -> None:
    with pytest.raises(ImageError):
        detector.detect(image)
    assert detector.detect(images[0])


def test_batches_are_bounded_and_collected_in_order(detector: Detector, images: list[Image]) -> None:
    for wrong in ([], images * 2):
        with pytest.raises(DetectorError):
            detector.submit(wrong)
    handles = [detector.submit([images[0]]) for _ in range(detector.slots)]
    refused: list[Callable[[], object]] = [
        lambda: detector.submit([images[0]]),
        lambda: detector.detect(images[0]),
        lambda: detector.collect(handles[1]),
        lambda: detector.collect(Handle(99)),
    ]
    for call in refused:
        with pytest.raises(DetectorError):
            call()
    assert len({str(detector.collect(handle)) for handle in handles}) == 1
    with pytest.raises(DetectorError):
        detector.collect(handles[0])


def test_a_closed_detector_refuses(images: list[Image]) -> None:
    detector = Detector.load(street_onnx(), backend=CPU)
    handle = detector.submit([images[0]])
    detector.close()
    detector.close()
    refused: list[Callable[[], object]] = [
        lambda: detector.detect(images[0]),
        lambda: detector.submit([images[0]]),
        lambda: detector.collect(handle),
        lambda: detector.set_confidence(0.5),
        lambda: detector.max_batch,
    ]
    for call in refused:
        with pytest.raises(DetectorError):
            call()


def test_threads_may_share_a_detector(detector: Detector, images: list[Image]) -> None:
    expected = [detector.detect(image) for image in images]
    wrong: list[object] = []

    def work(index: int) -> None:
        wrong.extend(1 for _ in range(20) if detector.detect(images[index]) != expected[index])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_load_builds_nothing(tmp_path: Path, images: list[Image]) -> None:
    settings = SessionSettings(precision=Precision.FP16, cache=tmp_path / "cache")
    with pytest.raises(NotPreparedError, match=r"Detector\.prepare"):
        Detector.load(street_onnx(), backend=CPU, settings=settings)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]
    told: list[tuple[str, float]] = []
    Detector.prepare(street_onnx(), backend=CPU, settings=settings, progress=lambda *how: told.append(how))
    assert told
    assert all(0 <= fraction <= 1 for _, fraction in told)
    with Detector.load(street_onnx(), backend=CPU, settings=settings) as detector:
        assert detector.detect(images[0])


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        Detector.load(tmp_path / "none.onnx")
    with pytest.raises(BackendError):
        Detector.load(street_onnx(), backend="vulkan")


def labels(batch: list[list[Detection]]) -> list[list[str]]:
    return [[d.label for d in found] for found in batch]
