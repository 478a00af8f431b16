"""Models as their own projects export them, against an independent decoding of their raw outputs in NumPy.

`make exporters` makes the environment of those projects; without it these tests skip.
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
from engines.model import read_model
from engines.onnx_runtime import OnnxRuntimeSession
from engines.postprocess import Thresholds
from engines.precision import Precision
from engines.records import InputOverride
from engines.tensorrt.build import build_engines

HEIGHT, WIDTH = 128, 160
PICTURE = (96, 160)
"""rows and columns: a letterbox adds 32 rows to them and resizes nothing"""
FOUND = 30
"""detections that are compared"""
Array: TypeAlias = NDArray[Any]
Decoded: TypeAlias = "tuple[Array, Array, Array]"
"""boxes [N, 4] xyxy in input pixels, scores [N], classes [N]"""

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ospreyd-exporters"
PYTHON = CACHE / "bin" / "python"
pytestmark = [
    pytest.mark.skipif(not PYTHON.exists(), reason="the exporters' environment is not there: make exporters"),
    pytest.mark.xdist_group("exporters"),
    pytest.mark.timeout(400),
]


def corners(boxes: Array) -> Array:
    half = boxes[:, 2:4] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def of_cells(rows: Array) -> Decoded:
    """YOLOv8: [4 + C, N]."""
    return corners(rows[0, :4].T), rows[0, 4:].max(axis=0), rows[0, 4:].argmax(axis=0)


def of_rows(rows: Array) -> Decoded:
    """[N, 6]: corners, score, class."""
    return rows[0, :, :4], rows[0, :, 4], rows[0, :, 5]


def of_unit_rows(rows: Array) -> Decoded:
    """[N, 6]: centre and size from 0 to 1, score, class."""
    return corners(rows[0, :, :4] * [WIDTH, HEIGHT, WIDTH, HEIGHT]), rows[0, :, 4], rows[0, :, 5]


def of_softmax(logits: Array, boxes: Array) -> Decoded:
    raised = np.exp(logits[0] - logits[0].max(axis=1, keepdims=True))
    scores = (raised / raised.sum(axis=1, keepdims=True))[:, :-1]
    return corners(boxes[0] * [WIDTH, HEIGHT, WIDTH, HEIGHT]), scores.max(axis=1), scores.argmax(axis=1)


def of_sigmoid(logits: Array, boxes: Array) -> Decoded:
    scores = 1 / (1 + np.exp(-logits[0]))
    pairs = [np.repeat(corners(boxes[0] * [WIDTH, HEIGHT, WIDTH, HEIGHT]), scores.shape[1], axis=0), scores.ravel()]
    return pairs[0], pairs[1], np.tile(np.arange(scores.shape[1]), len(scores))


def of_torchvision(boxes: Array, scores: Array, labels: Array) -> Decoded:
    return boxes, scores, labels - 1


def of_yolox(rows: Array) -> Decoded:
    """[N, 5 + C], decoded: LibreYOLO's."""
    row = rows[0]
    return corners(row[:, :4]), row[:, 4] * row[:, 5:].max(axis=1), row[:, 5:].argmax(axis=1)


def centred(picture: Array) -> Array:
    """RGB from 0 to 1 between grey bars."""
    rows = (HEIGHT - picture.shape[0]) // 2
    return cv2.copyMakeBorder(picture, rows, rows, 0, 0, cv2.BORDER_CONSTANT, value=(114,) * 3)[..., ::-1] / 255


def stretched(picture: Array) -> Array:
    return cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)[..., ::-1] / 255


def imagenet(picture: Array) -> Array:
    return (stretched(picture) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]


def black_below(picture: Array) -> Array:
    rows = (HEIGHT - picture.shape[0]) // 2
    return cv2.copyMakeBorder(picture, rows, rows, 0, 0, cv2.BORDER_CONSTANT, value=(0,) * 3)[..., ::-1] / 255


def bgr(picture: Array) -> Array:
    """Square, top left, from 0 to 255."""
    scale = HEIGHT / picture.shape[1]
    size = HEIGHT, round(picture.shape[0] * scale)
    resized = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    return cv2.copyMakeBorder(resized, 0, HEIGHT - size[1], 0, 0, cv2.BORDER_CONSTANT, value=(114,) * 3)


def from_bars(boxes: Array) -> Array:
    rows = (HEIGHT - PICTURE[0]) // 2
    return boxes - [0, rows, 0, rows]


def from_stretch(boxes: Array) -> Array:
    return boxes * ([1, PICTURE[0] / HEIGHT] * 2)


def from_square(boxes: Array) -> Array:
    rows = round(PICTURE[0] * HEIGHT / PICTURE[1])
    return boxes * ([PICTURE[1] / HEIGHT, PICTURE[0] / rows] * 2)


@dataclass(frozen=True)
class Case:
    family: str
    decode: Callable[..., Decoded]
    place: Callable[[Array], Array]
    back: Callable[[Array], Array]
    size: tuple[int, int] | None = None


CASES = {
    "yolov8n": Case("yolov8", of_cells, centred, from_bars),
    "yolo11n": Case("yolov10", of_rows, centred, from_bars),
    "yolo26n": Case("yolov10", of_rows, centred, from_bars),
    "rtdetr": Case("rtdetr", of_unit_rows, stretched, from_stretch),
    "hf_yolos": Case("detr-softmax", of_softmax, imagenet, from_stretch),
    "hf_detr": Case("detr-softmax", of_softmax, imagenet, from_stretch),
    "hf_rtdetr": Case("detr-raw", of_sigmoid, stretched, from_stretch, (HEIGHT, WIDTH)),
    "torchvision": Case("torchvision", of_torchvision, black_below, from_bars),
    "libre_yolox": Case("yolox", of_yolox, bgr, from_square),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    script = Path(__file__).with_name("export.py")
    done = subprocess.run(
        [PYTHON, script, folder], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (folder / "names.txt").write_text("cat\ndog\n", encoding="utf-8")
    return folder


def picture() -> NDArray[np.uint8]:
    coarse = np.random.default_rng(1).integers(0, 256, (12, 20, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, PICTURE[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.mark.parametrize("name", CASES)
def test_is_read_as_its_project_means_it(name: str, exported: Path) -> None:
    case, file = CASES[name], exported / f"{name}.onnx"
    names = str(exported / "names.txt") if name.startswith(("hf", "torchvision")) else None
    model = read_model(file, labels=names, override=InputOverride(size=case.size))
    assert model.family.name == case.family
    session = OnnxRuntimeSession(model, Thresholds(0.0, 1.0, one_class=False), max_batch=1)
    found = session.collect(session.submit([picture()])).detections[0]
    session.close()
    raw = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    pixels = case.place(picture()).transpose(2, 0, 1)[None].astype(np.float32)
    boxes, scores, classes = case.decode(*raw.run(None, {raw.get_inputs()[0].name: pixels}))
    boxes = np.clip(case.back(boxes), 0, [PICTURE[1], PICTURE[0]] * 2)
    assert len(found) >= min(FOUND, len(scores))
    for box, score, label in list(zip(found.boxes, found.scores, found.labels, strict=True))[:FOUND]:
        same = (np.abs(boxes - box).max(axis=1) <= 0.5) & (classes == label) & (np.abs(scores - score) <= 0.005)
        assert same.any(), (box, score, label)
    best = np.sort(scores)[::-1][:FOUND]
    assert np.allclose(found.scores[: len(best)], best, atol=0.005)


@pytest.mark.parametrize("name", ["hf_yolos", "rtdetr", "libre_yolox", "torchvision"])
def test_is_built_where_its_operators_allow(name: str, exported: Path, tmp_path: Path) -> None:
    """TensorRT for RTX needs no GPU to build; torchvision's NMS is what it cannot run."""
    names = str(exported / "names.txt") if name.startswith(("hf", "torchvision")) else None
    spec = BuildSpec(read_model(exported / f"{name}.onnx", labels=names), Precision.FP16, 1)
    try:
        target = build_target()
    except BackendError as error:
        pytest.skip(str(error))
    if name == "torchvision":
        with pytest.raises(ModelError, match="set the backend to onnxruntime"):
            build_engines(spec, target, EngineCache(tmp_path), lambda _what, _done: None)
        return
    assert build_engines(spec, target, EngineCache(tmp_path), lambda _what, _done: None).detector.exists()


def test_corners_in_the_place_of_centre_and_size_are_refused(exported: Path) -> None:
    """LibreYOLO's YOLOv9 has the shape of a YOLOv8, and says in its metadata alone that it is none."""
    with pytest.raises(ModelError, match="LibreYOLO's layout of yolo9 is unknown"):
        read_model(exported / "libre_yolo9.onnx")
