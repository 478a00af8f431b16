"""Models as their own projects export them, against an independent decoding of their raw outputs in NumPy.

`make test-exporters` makes the environment of those projects and runs these tests.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from engines.backends import build_target
from engines.build.cache import EngineCache
from engines.build.specification import BuildSpec
from engines.errors import BackendError, ModelError
from engines.model import Model, read_model
from engines.onnx_runtime import OnnxRuntimeSession
from engines.postprocess import Thresholds
from engines.precision import Precision
from engines.records import InputOverride
from engines.tensorrt.build import build_engines

PICTURE = (96, 160)
"""rows and columns: a letterbox of 128 rows adds 32 to them and resizes nothing"""
OPEN = (128, 160)
"""height and width that are given for a file which leaves them open"""
FOUND = 30
"""detections that are compared"""
Array: TypeAlias = NDArray[Any]
Size: TypeAlias = "tuple[int, int]"
"""height and width of the model's input"""
Decoded: TypeAlias = "tuple[Array, Array, Array]"
"""boxes [N, 4] xyxy in input pixels, scores [N], classes [N]"""

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ospreyd-exporters"
PYTHON = CACHE / "bin" / "python"
pytestmark = [
    pytest.mark.exporters,
    pytest.mark.skipif(not PYTHON.exists(), reason="the exporters are not installed: make test-exporters"),
    pytest.mark.timeout(600),
]


def corners(boxes: Array) -> Array:
    half = boxes[:, 2:4] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def from_unit(boxes: Array, size: Size) -> Array:
    """Of centre and size from 0 to 1."""
    return corners(boxes * [size[1], size[0], size[1], size[0]])


def of_cells(_: Size, rows: Array) -> Decoded:
    """YOLOv8: [4 + C, N]."""
    return corners(rows[0, :4].T), rows[0, 4:].max(axis=0), rows[0, 4:].argmax(axis=0)


def of_rows(_: Size, rows: Array) -> Decoded:
    """[N, 6], best first: corners, score, class. What is there twice is one object, so it has its best class."""
    row = rows[0][np.sort(np.unique(rows[0, :, :4], axis=0, return_index=True)[1])]
    return row[:, :4], row[:, 4], row[:, 5]


def of_unit_rows(size: Size, rows: Array) -> Decoded:
    """[N, 6]: centre and size from 0 to 1, score, class."""
    return from_unit(rows[0, :, :4], size), rows[0, :, 4], rows[0, :, 5]


def of_softmax(size: Size, logits: Array, boxes: Array) -> Decoded:
    raised = np.exp(logits[0] - logits[0].max(axis=1, keepdims=True))
    scores = (raised / raised.sum(axis=1, keepdims=True))[:, :-1]
    return from_unit(boxes[0], size), scores.max(axis=1), scores.argmax(axis=1)


def of_sigmoid(size: Size, logits: Array, boxes: Array) -> Decoded:
    """One object of each query, so it has its best class."""
    scores = 1 / (1 + np.exp(-logits[0]))
    return from_unit(boxes[0], size), scores.max(axis=1), scores.argmax(axis=1)


def of_torchvision(_: Size, boxes: Array, scores: Array, labels: Array) -> Decoded:
    return boxes, scores, labels - 1


def of_yolox(_: Size, rows: Array) -> Decoded:
    """[N, 5 + C], decoded: LibreYOLO's."""
    row = rows[0]
    return corners(row[:, :4]), row[:, 4] * row[:, 5:].max(axis=1), row[:, 5:].argmax(axis=1)


def centred(picture: Array, size: Size) -> Array:
    """RGB from 0 to 1 between grey bars."""
    rows = (size[0] - picture.shape[0]) // 2
    return cv2.copyMakeBorder(picture, rows, rows, 0, 0, cv2.BORDER_CONSTANT, value=(114,) * 3)[..., ::-1] / 255


def stretched(picture: Array, size: Size) -> Array:
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR)[..., ::-1] / 255


def imagenet(picture: Array, size: Size) -> Array:
    return (stretched(picture, size) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]


def black_around(picture: Array, size: Size) -> Array:
    rows = (size[0] - picture.shape[0]) // 2
    return cv2.copyMakeBorder(picture, rows, rows, 0, 0, cv2.BORDER_CONSTANT, value=(0,) * 3)[..., ::-1] / 255


def top_left(picture: Array, size: Size) -> Array:
    """BGR from 0 to 255."""
    rows = round(picture.shape[0] * size[1] / picture.shape[1])
    resized = cv2.resize(picture, (size[1], rows), interpolation=cv2.INTER_LINEAR)
    return cv2.copyMakeBorder(resized, 0, size[0] - rows, 0, 0, cv2.BORDER_CONSTANT, value=(114,) * 3)


def from_bars(boxes: Array, size: Size) -> Array:
    rows = (size[0] - PICTURE[0]) // 2
    return boxes - [0, rows, 0, rows]


def from_stretch(boxes: Array, size: Size) -> Array:
    return boxes * ([PICTURE[1] / size[1], PICTURE[0] / size[0]] * 2)


def from_top_left(boxes: Array, size: Size) -> Array:
    rows = round(PICTURE[0] * size[1] / PICTURE[1])
    return boxes * ([PICTURE[1] / size[1], PICTURE[0] / rows] * 2)


@dataclass(frozen=True)
class Case:
    family: str
    decode: Callable[..., Decoded]
    place: Callable[[Array, Size], Array]
    back: Callable[[Array, Size], Array]
    names: bool = True
    """whether the file has those of its classes"""
    is_open: bool = False
    """whether the size of the input has to be given"""
    has_nms: bool = False
    """which TensorRT for RTX does not run"""


CASES = {
    "yolov8n": Case("yolov8", of_cells, centred, from_bars),
    "yolo11n": Case("yolov10", of_rows, centred, from_bars, has_nms=True),
    "yolo11n_open": Case("yolov8", of_cells, centred, from_bars),
    "yolo26n": Case("yolov10", of_rows, centred, from_bars),
    "rtdetr": Case("rtdetr", of_unit_rows, stretched, from_stretch),
    "hf_yolos": Case("detr-softmax", of_softmax, imagenet, from_stretch, names=False, is_open=True),
    "hf_detr": Case("detr-softmax", of_softmax, imagenet, from_stretch, names=False, is_open=True),
    "hf_rtdetr": Case("detr-raw", of_sigmoid, stretched, from_stretch, names=False, is_open=True),
    "hf_dfine": Case("detr-raw", of_sigmoid, stretched, from_stretch, names=False, is_open=True),
    "torchvision": Case("torchvision", of_torchvision, black_around, from_bars, names=False, has_nms=True),
    "libre_yolox": Case("yolox", of_yolox, top_left, from_top_left),
    "libre_dfine": Case("detr-raw", of_sigmoid, stretched, from_stretch),
    "libre_deim": Case("detr-raw", of_sigmoid, stretched, from_stretch),
}


def as_read(name: str, exported: Path) -> Model:
    case = CASES[name]
    return read_model(
        exported / f"{name}.onnx",
        labels=None if case.names else str(exported / "names.txt"),
        override=InputOverride(size=OPEN if case.is_open else None),
    )


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    script = Path(__file__).with_name("export.py")
    beside = tmp_path_factory.mktemp("beside")  # where exporters put files of names that they choose
    done = subprocess.run(
        [PYTHON, script, folder], cwd=beside, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (folder / "names.txt").write_text("cat\ndog\n", encoding="utf-8")
    return folder


def picture() -> NDArray[np.uint8]:
    coarse = np.random.default_rng(1).integers(0, 256, (12, 20, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, PICTURE[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.mark.parametrize("name", CASES)
def test_is_read_as_its_project_means_it(name: str, exported: Path) -> None:
    case, model = CASES[name], as_read(name, exported)
    assert model.family.name == case.family
    size = model.height, model.width
    session = OnnxRuntimeSession(model, Thresholds(0.0, 1.0, one_class=True), max_batch=1)
    found = session.collect(session.submit([picture()])).detections[0]
    session.close()
    raw = ort.InferenceSession(exported / f"{name}.onnx", providers=["CPUExecutionProvider"])
    pixels = case.place(picture(), size).transpose(2, 0, 1)[None].astype(np.float32)
    feeds = {value.name: np.ones((1, *size), np.int64) for value in raw.get_inputs()[1:]}  # DETR's mask
    boxes, scores, classes = case.decode(size, *raw.run(None, {raw.get_inputs()[0].name: pixels, **feeds}))
    boxes = np.clip(case.back(boxes, size), 0, [PICTURE[1], PICTURE[0]] * 2)
    assert len(found) >= min(FOUND, len(scores))
    for box, score, label in list(zip(found.boxes, found.scores, found.labels, strict=True))[:FOUND]:
        same = (np.abs(boxes - box).max(axis=1) <= 0.5) & (classes == label) & (np.abs(scores - score) <= 0.005)
        assert same.any(), (box, score, label)
    best = np.sort(scores)[::-1][:FOUND]
    assert np.allclose(found.scores[: len(best)], best, atol=0.005)


@pytest.mark.parametrize("name", CASES)
def test_is_built_where_its_operators_allow(name: str, exported: Path, tmp_path: Path) -> None:
    """TensorRT for RTX needs no GPU to build."""
    spec = BuildSpec(as_read(name, exported), Precision.FP16, 1)
    try:
        target = build_target()
    except BackendError as error:
        pytest.skip(str(error))
    if CASES[name].has_nms:
        with pytest.raises(ModelError, match="set the backend to onnxruntime"):
            build_engines(spec, target, EngineCache(tmp_path), lambda _what, _done: None)
    else:
        built = build_engines(spec, target, EngineCache(tmp_path), lambda _what, _done: None)
        assert built.detector.exists()


def test_corners_in_the_place_of_centre_and_size_are_refused(exported: Path) -> None:
    """LibreYOLO's YOLOv9 has the shape of a YOLOv8, and says in its metadata alone that it is none."""
    with pytest.raises(ModelError, match="LibreYOLO's layout of yolo9 is unknown"):
        read_model(exported / "libre_yolo9.onnx")


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.is_open])
def test_an_open_size_has_to_be_given(name: str, exported: Path) -> None:
    with pytest.raises(ModelError, match="the input size is left open; give it"):
        read_model(exported / f"{name}.onnx", labels=str(exported / "names.txt"))
