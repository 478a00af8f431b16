"""Which backends there are, and opening a lane on one of them."""

from __future__ import annotations

from engines.errors import BackendError
from engines.model import Model
from engines.onnx_runtime import OnnxRuntimeLane
from engines.postprocess import Thresholds
from engines.records import Lane

BACKENDS = ("auto", "onnxruntime")


def open_lane(
    model: Model, thresholds: Thresholds, backend: str = "auto", max_batch: int = 1, threads: int | None = None
) -> Lane:
    """A lane for `model` on the named backend; 'auto' takes the fastest that works here.

    Raises BackendError for a backend that does not exist, ModelError where the backend cannot run the model.
    """
    if backend not in BACKENDS:
        raise BackendError(f"there is no backend {backend!r}; known: {', '.join(BACKENDS)}")
    return OnnxRuntimeLane(model, thresholds, max_batch, threads)
