"""The session on ONNX Runtime: the CPU backend, and the reference for every other backend."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeAlias

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import numpy_helper

from engines.errors import BackendError, ModelError
from engines.graphs.compose import canonical_detector, dynamic_batch, fixed_batch, with_batch, with_frame_input
from engines.graphs.heads.base import CANONICAL
from engines.graphs.outputs import DATA_DEPENDENT
from engines.graphs.preprocess import FRAMES
from engines.model import Model
from engines.pictures import Nv12Picture, Pixels
from engines.postprocess import Thresholds, of_batch
from engines.records import BatchDetections, Handle, Letterbox
from engines.session_options import ERROR, FATAL, session_options
from engines.text import counted

_log = logging.getLogger("ospreyd.engines")
SLOTS = 2
"""how many batches may be in flight"""
_Outputs: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]
"""boxes, scores, labels as in heads.base.CANONICAL"""


@dataclass(frozen=True, slots=True)
class _Pending:
    letterboxes: tuple[Letterbox, ...]
    outputs: Future[tuple[_Outputs, float]]
    preprocess: float


class OnnxRuntimeSession:
    """One model on the CPU: while one batch computes in a thread of its own, the next is letterboxed."""

    def __init__(
        self,
        model: Model,
        thresholds: Thresholds,
        max_batch: int,
        threads: int | None = None,
        detector: onnx.ModelProto | None = None,
    ) -> None:
        """`threads` compute one batch together; None: one a core. `detector` is the model's canonical detector at
        another precision. Raises ModelError where it cannot be run."""
        self._model = model
        self._thresholds = thresholds
        self._session, any_batch = open_detector(model, threads, detector)
        self._max_batch = max_batch if any_batch else 1
        if self._max_batch < max_batch:
            warn_one_by_one(model)
        shape = (SLOTS, self._max_batch, model.height, model.width, 3)
        self._canvas = np.full(shape, model.geometry.pad, np.uint8)
        self._placed: list[list[Letterbox | None]] = [[None] * self._max_batch for _ in range(SLOTS)]
        self._pending: dict[Handle, _Pending] = {}
        self._submitted = 0
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="onnxruntime")

    @property
    def slots(self) -> int:
        """How many batches may be submitted and not yet collected."""
        return SLOTS

    @property
    def max_batch(self) -> int:
        """Most pictures in a batch; 1 where the model mixes the pictures of a batch."""
        return self._max_batch

    def set_confidence(self, confidence: float) -> None:
        """See DetectorSession.set_confidence."""
        self._thresholds = replace(self._thresholds, confidence=confidence)

    def submit(self, pictures: Sequence[Pixels]) -> Handle:
        """Starts a batch of pictures, each of any size; NV12 is converted."""
        began = time.perf_counter()
        if len(self._pending) == SLOTS or not 1 <= len(pictures) <= self._max_batch:
            raise BackendError(
                f"{counted(len(pictures), 'picture')} with {counted(len(self._pending), 'batch')} pending: no room"
            )
        handle = Handle(self._submitted)
        self._submitted += 1
        slot = handle % SLOTS
        letterboxes = tuple(self._place(picture, slot, index) for index, picture in enumerate(pictures))
        outputs = self._worker.submit(self._run, self._canvas[slot, : len(pictures)])
        self._pending[handle] = _Pending(letterboxes, outputs, time.perf_counter() - began)
        return handle

    def is_done(self, handle: Handle) -> bool:
        """Whether `collect` would not have to wait."""
        return self._pending[handle].outputs.done()

    def collect(self, handle: Handle) -> BatchDetections:
        """Waits for a batch, in the order submitted. Raises BackendError where ONNX Runtime failed."""
        pending = self._pending.pop(handle)
        (boxes, scores, labels), detector = pending.outputs.result()
        began = time.perf_counter()
        size, nms = len(pending.letterboxes), self._model.family.nms
        candidates = boxes[:size], scores[:size], labels[:size]
        detections = of_batch(*candidates, pending.letterboxes, self._thresholds, nms)
        return BatchDetections(detections, pending.preprocess, detector, time.perf_counter() - began)

    def close(self) -> None:
        """Ends the thread; batches not collected are lost."""
        self._worker.shutdown(cancel_futures=True)

    def _place(self, pixels: Pixels, slot: int, index: int) -> Letterbox:
        """Letterboxes a picture into its place of the slot's canvas."""
        picture = pixels.host() if isinstance(pixels, Nv12Picture) else pixels
        height, width = picture.shape[:2]
        model, canvas = self._model, self._canvas[slot, index]
        box = Letterbox.of(width, height, model.width, model.height, model.geometry.fit)
        before = self._placed[slot][index]
        if before is not None and before != box:
            canvas[:] = model.geometry.pad  # what the last picture left outside this one's place
        self._placed[slot][index] = box
        inside = canvas[box.top : box.top + box.height, box.left : box.left + box.width]
        cv2.resize(picture, (box.width, box.height), dst=inside, interpolation=cv2.INTER_LINEAR)
        return box

    def _run(self, frames: NDArray[np.uint8]) -> tuple[_Outputs, float]:
        began = time.perf_counter()
        try:
            boxes, scores, labels = self._session.run(list(CANONICAL), {FRAMES: frames})
        except Exception as error:  # ONNX Runtime's errors share no public base class
            raise BackendError(f"{self._model.path}: ONNX Runtime failed while running the model: {error}") from error
        return (boxes, scores, labels), time.perf_counter() - began


def warn_one_by_one(model: Model) -> None:
    """Logs that a model runs its batches one image at a time."""
    _log.warning("%s: exported for batch 1, and a larger batch would mix its images; they run one by one", model.path)


def open_detector(
    model: Model, threads: int | None = None, detector: onnx.ModelProto | None = None
) -> tuple[ort.InferenceSession, bool]:
    """A session of the canonical detector, and whether its batch is dynamic. Raises ModelError."""
    detector = canonical_detector(model, batched_body(model)) if detector is None else quantizing_in_float32(detector)
    any_batch = not detector.graph.input[0].type.tensor_type.shape.dim[0].HasField("dim_value")
    return _session(with_frame_input(model, detector), threads, str(model.path)), any_batch


def batched_body(model: Model) -> onnx.ModelProto:
    """The model with a dynamic batch if it then computes the same for each image, else with batch 1.

    Raises ModelError if it supports neither.
    """
    proto, name = model.proto, model.input_name
    size = fixed_batch(proto, name)
    if size is None and _runs_batches(model):
        return proto
    dynamic = dynamic_batch(proto, name)
    if _same(model, dynamic):
        return dynamic
    if size is not None and size > 1:
        raise ModelError(f"{model.path}: was exported for batches of {size} only; export it with batch 1")
    return with_batch(proto, name, 1)


def _runs_batches(model: Model) -> bool:
    """Whether a model with a dynamic batch returns outputs of the right shape for a batch of two.

    Values are not compared: the exporter is more reliable than a comparison on noise.
    """
    session = _session(model.proto, None, str(model.path), FATAL)
    pictures = _noise(model)
    try:
        alone = session.run(None, {model.input_name: pictures[:1]})
        together = session.run(None, {model.input_name: pictures})
    except Exception:  # ONNX Runtime's errors share no public base class
        return False
    counts = not model.raw.operators.isdisjoint(DATA_DEPENDENT)
    return counts or all(
        b.shape == (len(pictures) * a.shape[0], *a.shape[1:]) for a, b in zip(alone, together, strict=True) if a.shape
    )


def _same(model: Model, dynamic: onnx.ModelProto) -> bool:
    """Whether `dynamic` computes for a batch what the model computes for each of its images."""
    if not model.raw.operators.isdisjoint(DATA_DEPENDENT):
        return False  # they find nothing in noise, so equal outputs would prove nothing
    size = fixed_batch(model.proto, model.input_name) or 1
    as_exported = _session(model.proto, None, str(model.path))
    pictures = _noise(model)
    singles = [as_exported.run(None, {model.input_name: np.stack([picture] * size)}) for picture in pictures]
    try:
        batch = _session(dynamic, None, str(model.path), FATAL).run(None, {model.input_name: pictures})
    except Exception:  # a rewritten graph that does not load or run is not the same
        return False
    expected = [np.concatenate([p[: len(p) // size] for p in parts]) for parts in zip(*singles, strict=True)]
    return all(
        got.shape == want.shape and np.allclose(got, want, rtol=1e-3, atol=1e-4 * max(1.0, float(np.abs(want).max())))
        for got, want in zip(batch, expected, strict=True)
    )


def _noise(model: Model) -> NDArray[np.generic]:
    """A batch of two images of noise, as the model takes them."""
    shape = (3, model.height, model.width) if model.planar else (model.height, model.width, 3)
    noise = np.random.default_rng(0).uniform(0, 255, (2, *shape))
    return noise.astype(onnx.helper.tensor_dtype_to_np_dtype(model.input_type))


def quantizing_in_float32(detector: onnx.ModelProto) -> onnx.ModelProto:
    """Quantizes from float32: ONNX Runtime 1.23, the last for Python 3.10, truncates in QuantizeLinear of float16."""
    constants = {c.name: c for c in detector.graph.initializer}
    mended = onnx.ModelProto()
    mended.CopyFrom(detector)
    del mended.graph.node[:]
    for node in detector.graph.node:
        new = mended.graph.node.add()
        new.CopyFrom(node)
        kinds = [constants[name].data_type for name in node.input[1:] if name in constants]
        if node.op_type == "QuantizeLinear" and kinds == [onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8]:
            data, scale = f"{node.output[0]}/data", f"{node.output[0]}/scale"
            values = numpy_helper.to_array(constants[node.input[1]]).astype(np.float32)
            mended.graph.initializer.append(numpy_helper.from_array(values, scale))
            new.CopyFrom(onnx.helper.make_node("Cast", [node.input[0]], [data], name=data, to=onnx.TensorProto.FLOAT))
            quantize = mended.graph.node.add()
            quantize.CopyFrom(node)
            quantize.input[0], quantize.input[1] = data, scale
    return mended


def _session(proto: onnx.ModelProto, threads: int | None, path: str, severity: int = ERROR) -> ort.InferenceSession:
    options = session_options(severity, threads)
    if any(constant.data_type == onnx.TensorProto.FLOAT16 for constant in proto.graph.initializer):
        # it would convert biases to integers through a float16 quotient, which overflows
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        return ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no public base class
        raise ModelError(f"{path}: ONNX Runtime cannot load this model: {error}") from error
