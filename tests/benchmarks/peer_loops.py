"""What people write instead, each for many streams of one clip and in a program of its own: see peers.py."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.by_hand import letterboxed, suppressed

_WARM_UP = 4.0  # seconds
_CONFIDENCE, _OVERLAP = 0.25, 0.45
_SIDE = 640  # of the model's input, pixels
_BATCH = 16
_Picture: TypeAlias = "NDArray[np.uint8]"


class SkippedError(Exception):
    """Why a peer cannot run here."""


class Tally:
    """Counts results from the end of the warm-up on."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begin = time.monotonic() + _WARM_UP
        self._cpu: float | None = None
        self._ages: list[float] = []

    def add(self, captured: Sequence[float]) -> bool:
        """Results of pictures that were decoded then; whether that was enough."""
        now = time.monotonic()
        if now < self._begin:
            return False
        if self._cpu is None:
            self._begin, self._cpu = now, time.process_time()
            return False
        self._ages += [now - at for at in captured]
        return now - self._begin > self._seconds

    def figures(self) -> dict[str, float]:
        """Results a second, milliseconds from decoded to result, cores."""
        took = time.monotonic() - self._begin
        p50, p99 = np.percentile(self._ages, [50, 99]) * 1e3
        cores = (time.process_time() - (self._cpu or 0.0)) / took
        rate = len(self._ages) / took
        return {
            "fps": round(rate, 1),
            "age_p50_ms": round(p50, 1),
            "age_p99_ms": round(p99, 1),
            "cores": round(cores, 2),
        }


class Decoders:
    """A thread a stream with OpenCV; of each stream one picture waits."""

    def __init__(self, clip: str, streams: int, fps: float) -> None:
        """`fps` of each; 0: as fast as the pictures are taken. Else the newest picture replaces the one before."""
        if not cv2.VideoCapture(clip).isOpened():
            raise SkippedError(f"OpenCV does not open {clip}")
        self._clip, self._fps = clip, fps
        self._changed = threading.Condition()
        self._waiting: dict[int, tuple[_Picture, float]] = {}
        for index in range(streams):
            threading.Thread(target=self._decode, args=(index,), daemon=True).start()

    def take(self, most: int) -> list[tuple[_Picture, float]]:
        """At least one picture and when it was decoded, of as many streams as have one."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            taken = [self._waiting.pop(index) for index in list(self._waiting)[:most]]
            self._changed.notify_all()
            return taken

    def _decode(self, index: int) -> None:
        video = cv2.VideoCapture(self._clip)
        due = time.monotonic()
        while True:
            good, picture = video.read()
            if not good:
                video.set(cv2.CAP_PROP_POS_FRAMES, 0)
                continue
            with self._changed:
                if not self._fps:
                    self._changed.wait_for(lambda: index not in self._waiting)
                self._waiting[index] = picture, time.monotonic()  # type: ignore[assignment]  # bytes, for this clip
                self._changed.notify_all()
            if self._fps:
                due += 1 / self._fps
                time.sleep(max(0.0, due - time.monotonic()))


def tensorrt_loop(decoders: Decoders, tally: Tally, model: str, labels: str | None, cache: str) -> str:
    """TensorRT alone, one picture at a time: letterbox, copy, run, wait, copy, NMS."""
    from engines.backends import SessionSettings, choose, prepare  # noqa: PLC0415  packages are missing by name
    from engines.build.cache import EngineCache  # noqa: PLC0415
    from engines.model import read_model  # noqa: PLC0415
    from engines.precision import Precision  # noqa: PLC0415

    backend = choose()
    if backend.gpu is None:
        raise SkippedError(f"there is no TensorRT on a GPU here: {backend.reason}")
    from engines.tensorrt.backend import find  # noqa: PLC0415
    from tests.benchmarks.ceilings import alone  # noqa: PLC0415
    from tests.benchmarks.naive import NaiveLoop  # noqa: PLC0415

    settings = SessionSettings(max_batch=_BATCH, precision=Precision.FP16, cache=Path(cache))
    prepared = prepare(backend, read_model(Path(model), labels=labels), settings, lambda *_: None)
    if prepared.engines is None:
        raise SkippedError("there is no engine for this model")
    with alone(prepared.engines, find(backend.name), EngineCache(Path(cache))) as single:
        loop, enough = NaiveLoop(single.device, single.detector), False
        while not enough:
            ((picture, at),) = decoders.take(1)
            loop(picture, _CONFIDENCE)
            enough = tally.add([at])
    return f"{backend.name} {backend.version}, OpenCV {cv2.__version__}"


def torch_loop(decoders: Decoders, tally: Tally, *_: object) -> str:
    """PyTorch with FP16, in batches of what is there: OpenCV letterbox, copy, run, torchvision's NMS."""
    torch, ops, yolo = _module("torch"), _module("torchvision.ops"), _module("ultralytics")
    if not torch.cuda.is_available():
        raise SkippedError("PyTorch sees no GPU")
    network = yolo.YOLO("yolov8n.yaml").model.fuse().half().cuda().eval()
    enough = False
    with torch.inference_mode():
        while not enough:
            taken = decoders.take(_BATCH)
            batch = np.concatenate([letterboxed(picture, _SIDE, _SIDE) for picture, _ in taken])
            rows = network(torch.from_numpy(batch).cuda().half())[0].float()  # [B, 84, 8400]
            for row in rows:
                scores, kinds = row[4:].max(0)
                keep = scores > _CONFIDENCE
                boxes = row[:4, keep].T
                boxes = torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)
                ops.batched_nms(boxes, scores[keep], kinds[keep], _OVERLAP).cpu()
            enough = tally.add([at for _, at in taken])
    return _versions("torch", "torchvision", "ultralytics")


def onnxruntime_loop(decoders: Decoders, tally: Tally, model: str, *_: object) -> str:
    """ONNX Runtime's CUDA provider, one picture at a time."""
    runtime = _module("onnxruntime")
    if "CUDAExecutionProvider" not in runtime.get_available_providers():
        raise SkippedError("this ONNX Runtime has no CUDA provider (onnxruntime-gpu has)")
    session = runtime.InferenceSession(model, providers=["CUDAExecutionProvider"])
    name, enough = session.get_inputs()[0].name, False
    while not enough:
        ((picture, at),) = decoders.take(1)
        (rows,) = session.run(None, {name: letterboxed(picture, _SIDE, _SIDE)})
        scores, kinds = rows[0, 4:].max(0), rows[0, 4:].argmax(0)
        keep = scores > _CONFIDENCE
        boxes = rows[0, :4, keep]
        boxes = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)
        suppressed(boxes, scores[keep], kinds[keep], _OVERLAP)
        enough = tally.add([at])
    return _versions("onnxruntime-gpu")


def ultralytics_loop(clip: str, streams: int, tally: Tally) -> str:
    """`YOLO.predict` of a list of streams, with its own decoding threads and batches; it takes the newest pictures."""
    stamps: dict[int, float] = {}

    class Endless(cv2.VideoCapture):
        """The clip again and again, as a camera; remembers when a picture was decoded."""

        def grab(self) -> bool:
            return super().grab() or (bool(super().set(cv2.CAP_PROP_POS_FRAMES, 0)) and super().grab())

        def retrieve(self, *more: Any) -> Any:
            good, picture = super().retrieve(*more)
            stamps[picture.ctypes.data] = time.monotonic()
            return good, picture

        def get(self, key: int) -> float:
            return 0.0 if key == cv2.CAP_PROP_FRAME_COUNT else super().get(key)

    os.environ["YOLO_OFFLINE"] = "true"
    yolo, torch = _module("ultralytics"), _module("torch")
    if not torch.cuda.is_available():
        raise SkippedError("PyTorch sees no GPU")
    cv2.VideoCapture = Endless  # type: ignore[misc]
    cv2.destroyAllWindows = lambda: None  # a headless OpenCV has none
    sources = Path(tempfile.mkdtemp()) / "peer.streams"
    sources.write_text("\n".join([clip] * streams))
    network = yolo.YOLO("yolov8n.yaml")
    for result in network.predict(str(sources), stream=True, half=True, device=0, conf=_CONFIDENCE, verbose=False):
        if tally.add([stamps.get(result.orig_img.ctypes.data, time.monotonic())]):
            break
    return _versions("ultralytics", "torch")


_LOOPS: dict[str, Callable[..., str]] = {
    "tensorrt": tensorrt_loop,
    "torch": torch_loop,
    "onnxruntime": onnxruntime_loop,
}
NAMES = (*_LOOPS, "ultralytics")


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SkippedError(f"{name} is not there: {error}") from error


def _versions(*names: str) -> str:
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def main() -> None:
    """Prints the figures of one peer, or why it is skipped."""
    name, clip, streams, fps, seconds, model, labels, cache = sys.argv[1:]
    tally = Tally(float(seconds))
    try:
        if name == "ultralytics":
            version = ultralytics_loop(clip, int(streams), tally)
        else:
            decoders = Decoders(clip, int(streams), float(fps))
            version = _LOOPS[name](decoders, tally, model, labels or None, cache)
        figures: dict[str, Any] = {**tally.figures(), "version": version}
    except SkippedError as error:
        figures = {"skipped": str(error)}
    print(json.dumps(figures), flush=True)
    os._exit(0)  # the decoders go on


if __name__ == "__main__":
    main()
