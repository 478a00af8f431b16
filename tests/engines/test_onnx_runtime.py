"""The CPU session against reference detections, and how it behaves as a double buffer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from daemon.demo.street.generator import StreetScene
from engines.errors import BackendError, ModelError
from engines.image_file import read_image
from engines.model import Model, read_model
from engines.models import street_onnx
from engines.onnx_runtime import OnnxRuntimeSession
from engines.postprocess import Thresholds
from engines.records import Detections
from tests.nv12 import nv12
from tests.reference import MODELS, disagreements, expected_of

ONE_BY_ONE = {"nanodet_m_320", "fastestdet_352", "ssd_mobilenet_v1_300_nms_qdq.derived"}
"""exported for one picture in ways that cannot be opened: channels shuffled across the batch, NMS inside"""


@pytest.fixture(scope="module", params=sorted(MODELS))
def model(request: pytest.FixtureRequest, material: Path) -> Model:
    return read_model(material / "models" / f"{request.param}.onnx", labels="coco")


@pytest.fixture(scope="module")
def session(model: Model) -> Iterator[OnnxRuntimeSession]:
    session = OnnxRuntimeSession(model, Thresholds(0.1, 0.45, one_class=False), max_batch=4)
    yield session
    session.close()


def test_finds_what_the_reference_finds(model: Model, session: OnnxRuntimeSession, material: Path) -> None:
    references = expected_of(material, model.path.stem)
    assert len(references) == 12
    for reference in references:
        picture = read_image(material / "images" / reference.image)
        found = session.collect(session.submit([picture])).detections[0]
        assert disagreements(reference, found) == []


def test_a_static_export_takes_batches_and_gives_the_same(
    model: Model, session: OnnxRuntimeSession, material: Path
) -> None:
    pictures = [read_image(material / "images" / name) for name in ("dog.jpg", "bus.jpg", "zidane.jpg")]
    assert session.max_batch == (1 if model.path.stem in ONE_BY_ONE else 4)
    if session.max_batch == 1:
        return
    together = session.collect(session.submit(pictures)).detections
    for picture, in_batch in zip(pictures, together, strict=True):
        alone = session.collect(session.submit([picture])).detections[0]
        assert alone.labels.tolist() == in_batch.labels.tolist()
        assert np.allclose(alone.boxes, in_batch.boxes, atol=0.05)
        assert np.allclose(alone.scores, in_batch.scores, atol=1e-4)


@pytest.fixture
def small() -> Iterator[OnnxRuntimeSession]:
    session = OnnxRuntimeSession(read_model(street_onnx()), Thresholds(0.01, 0.45), max_batch=2, threads=1)
    yield session
    session.close()


def same(a: Detections, b: Detections) -> bool:
    return np.array_equal(a.boxes, b.boxes) and np.array_equal(a.scores, b.scores)


def noise(seed: int, height: int = 120, width: int = 200) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_two_batches_in_flight_do_not_mix(small: OnnxRuntimeSession) -> None:
    pictures = [noise(seed) for seed in range(6)]
    alone = [small.collect(small.submit([picture])).detections[0] for picture in pictures]
    first = small.submit(pictures[:1])
    found = []
    for picture in pictures[1:]:
        second = small.submit([picture])
        found.append(small.collect(first).detections[0])
        first = second
    found.append(small.collect(first).detections[0])
    assert all(map(same, found, alone))


def test_an_image_of_another_shape_leaves_no_pixels_behind(small: OnnxRuntimeSession) -> None:
    wide, tall = noise(1, 60, 300), noise(2, 300, 60)
    fresh = small.collect(small.submit([wide])).detections[0]
    for picture in (tall, tall, wide, wide):
        found = small.collect(small.submit([picture])).detections[0]
        assert picture is tall or same(found, fresh)


def test_results_survive_the_next_batch(small: OnnxRuntimeSession) -> None:
    kept = small.collect(small.submit([noise(1)])).detections[0]
    before = kept.boxes.copy()
    for seed in range(2, 6):
        small.collect(small.submit([noise(seed)]))
    assert np.array_equal(kept.boxes, before)


def test_too_many_batches_or_images_are_refused(small: OnnxRuntimeSession) -> None:
    with pytest.raises(BackendError, match="3 pictures with 0 batches pending: no room"):
        small.submit([noise(1)] * 3)
    for seed in range(small.slots):
        small.submit([noise(seed)])
    with pytest.raises(BackendError, match="no room"):
        small.submit([noise(9)])


def reshaping(size: int | str, folder: Path) -> Model:
    """A grid cut from the picture itself, by shapes for a batch of `size`; a name only says that it takes any."""
    fixed = size if isinstance(size, int) else 1
    constants = {"flat": [fixed, 3 * 64 * 64], "grid": [fixed, 84, 7], "from": [0], "to": [84 * 7], "axis": [1]}
    nodes = [
        onnx.helper.make_node("Reshape", ["images", "flat"], ["pixels"]),
        onnx.helper.make_node("Slice", ["pixels", "from", "to", "axis"], ["some"]),
        onnx.helper.make_node("Mul", ["some", "scale"], ["small"]),
        onnx.helper.make_node("Reshape", ["small", "grid"], ["out"]),
    ]
    make = onnx.helper.make_tensor_value_info
    weights = [onnx.numpy_helper.from_array(np.array(value), name) for name, value in constants.items()]
    weights.append(onnx.numpy_helper.from_array(np.array(1 / 255, np.float32), "scale"))
    graph = onnx.helper.make_graph(
        nodes, "reshapes", [make("images", 1, [size, 3, 64, 64])], [make("out", 1, [size, 84, 7])], weights
    )
    file = folder / f"{size}.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), file)
    (folder / "names.txt").write_text("cat\ndog\n")
    return read_model(file, "yolox", str(folder / "names.txt"))


@pytest.mark.parametrize("size", [1, 2, "any"])
def test_any_batch_size_whatever_the_export_had(size: int | str, tmp_path: Path) -> None:
    session = OnnxRuntimeSession(reshaping(size, tmp_path), Thresholds(0.0, 1.0), max_batch=3, threads=1)
    assert session.max_batch == 3
    pictures = [noise(seed) for seed in range(3)]
    together = session.collect(session.submit(pictures)).detections
    alone = [session.collect(session.submit([picture])).detections[0] for picture in pictures]
    session.close()
    assert all(map(same, together, alone))
    assert not same(alone[0], alone[1])


def mixing(size: int, folder: Path) -> Model:
    """Its output depends on the mean over the whole batch, so opening the batch would change what it finds."""
    values = np.random.default_rng(0).random((size, 84, 7)).astype(np.float32) / 256  # of pixels up to 255
    grid = onnx.numpy_helper.from_array(values, "grid")
    nodes = [
        onnx.helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        onnx.helper.make_node("Mul", ["grid", "mean"], ["out"]),
    ]
    make = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes, "mixes", [make("images", 1, [size, 3, 64, 64])], [make("out", 1, [size, 84, 7])], [grid]
    )
    file = folder / "mixes.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), file)
    (folder / "names.txt").write_text("cat\ndog\n")
    return read_model(file, "yolox", str(folder / "names.txt"))


def test_a_model_that_mixes_the_images_of_a_batch_runs_one_by_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    session = OnnxRuntimeSession(mixing(1, tmp_path), Thresholds(0.1, 0.45, one_class=False), max_batch=4, threads=1)
    session.close()
    assert session.max_batch == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}/mixes.onnx: exported for batch 1, and a larger batch would mix its images; they run one by one"
    ]


def test_a_model_that_mixes_the_images_of_its_fixed_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as error:
        OnnxRuntimeSession(mixing(2, tmp_path), Thresholds(0.1, 0.45, one_class=False), max_batch=4, threads=1)
    assert str(error.value) == (f"{tmp_path}/mixes.onnx: was exported for batches of 2 only; export it with batch 1")


def test_nv12_is_seen_as_the_bgr_that_it_shows() -> None:
    """In a batch with BGR."""
    session = OnnxRuntimeSession(read_model(street_onnx()), Thresholds(0.3, 0.45), max_batch=2)
    picture = nv12(StreetScene(640, 480, seed=3).render(5.0)[0], pitch=768)
    found, wanted = session.collect(session.submit([picture, picture.host()])).detections
    session.close()
    assert len(wanted) > 0
    assert np.array_equal(found.boxes, wanted.boxes)
    assert np.array_equal(found.scores, wanted.scores)
