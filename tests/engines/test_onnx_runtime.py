"""The CPU lane against reference detections, and how it behaves as a double buffer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from engines.errors import BackendError
from engines.model import Model, read_model
from engines.models import street_onnx
from engines.onnx_runtime import OnnxRuntimeLane
from engines.pictures import read_picture
from engines.postprocess import Thresholds
from engines.records import Detections
from tests.reference import MODELS, disagreements, expected_of


@pytest.fixture(scope="module", params=sorted(MODELS))
def model(request: pytest.FixtureRequest, material: Path) -> Model:
    return read_model(material / "models" / f"{request.param}.onnx", labels="coco")


@pytest.fixture(scope="module")
def lane(model: Model) -> Iterator[OnnxRuntimeLane]:
    lane = OnnxRuntimeLane(model, Thresholds(0.1, 0.45), max_batch=4)
    yield lane
    lane.close()


def test_finds_what_the_reference_finds(model: Model, lane: OnnxRuntimeLane, material: Path) -> None:
    references = expected_of(material, model.path.stem)
    assert len(references) == 12
    for reference in references:
        picture = read_picture(material / "images" / reference.image)
        found = lane.collect(lane.submit([picture])).detections[0]
        assert disagreements(reference, found) == []


def test_a_static_export_takes_batches_and_gives_the_same(lane: OnnxRuntimeLane, material: Path) -> None:
    pictures = [read_picture(material / "images" / name) for name in ("dog.jpg", "bus.jpg", "zidane.jpg")]
    assert lane.max_batch == 4
    together = lane.collect(lane.submit(pictures)).detections
    for picture, in_batch in zip(pictures, together, strict=True):
        alone = lane.collect(lane.submit([picture])).detections[0]
        assert alone.labels.tolist() == in_batch.labels.tolist()
        assert np.allclose(alone.boxes, in_batch.boxes, atol=0.05)
        assert np.allclose(alone.scores, in_batch.scores, atol=1e-4)


@pytest.fixture
def small() -> Iterator[OnnxRuntimeLane]:
    lane = OnnxRuntimeLane(read_model(street_onnx()), Thresholds(0.01, 0.45), max_batch=2, threads=1)
    yield lane
    lane.close()


def same(a: Detections, b: Detections) -> bool:
    return np.array_equal(a.boxes, b.boxes) and np.array_equal(a.scores, b.scores)


def noise(seed: int, height: int = 120, width: int = 200) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_two_batches_on_their_way_do_not_mix(small: OnnxRuntimeLane) -> None:
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


def test_a_picture_of_another_shape_leaves_nothing_behind(small: OnnxRuntimeLane) -> None:
    wide, tall = noise(1, 60, 300), noise(2, 300, 60)
    fresh = small.collect(small.submit([wide])).detections[0]
    for picture in (tall, tall, wide, wide):
        found = small.collect(small.submit([picture])).detections[0]
        assert picture is tall or same(found, fresh)


def test_results_survive_the_next_batch(small: OnnxRuntimeLane) -> None:
    kept = small.collect(small.submit([noise(1)])).detections[0]
    before = kept.boxes.copy()
    for seed in range(2, 6):
        small.collect(small.submit([noise(seed)]))
    assert np.array_equal(kept.boxes, before)


def test_no_more_than_it_has_room_for(small: OnnxRuntimeLane) -> None:
    with pytest.raises(BackendError, match="3 pictures with 0 batches pending: no room"):
        small.submit([noise(1)] * 3)
    for seed in range(small.slots):
        small.submit([noise(seed)])
    with pytest.raises(BackendError, match="no room"):
        small.submit([noise(9)])


def test_a_model_that_mixes_the_pictures_of_a_batch_runs_one_by_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its output depends on the mean over the whole batch, so opening the batch would change what it finds."""
    grid = onnx.numpy_helper.from_array(np.random.default_rng(0).random((1, 84, 7)).astype(np.float32), "grid")
    nodes = [
        onnx.helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        onnx.helper.make_node("Mul", ["grid", "mean"], ["out"]),
    ]
    make = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes, "mixes", [make("images", 1, [1, 3, 64, 64])], [make("out", 1, [1, 84, 7])], [grid]
    )
    file = tmp_path / "mixes.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), file)
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    lane = OnnxRuntimeLane(
        read_model(file, labels=str(tmp_path / "names.txt")), Thresholds(0.1, 0.45), max_batch=4, threads=1
    )
    lane.close()
    assert lane.max_batch == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"{file}: exported for batch 1 and mixes the pictures of larger ones; it runs one by one"
    ]
