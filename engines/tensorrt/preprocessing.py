"""A batch's BGR pictures, each of its own size, through the preprocess engine and into the detector's input."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, TypeAlias

from engines.errors import BackendError
from engines.graphs.preprocess import FRAMES, IMAGES
from engines.tensorrt.device import ALIGNMENT, Device
from engines.tensorrt.driver import copy
from engines.tensorrt.graphs import Graph
from engines.tensorrt.loading import LoadedEngine, set_shape

_GRAPHS = 16
"""kept for batches that come again, and as many batches are remembered"""
_SHAPES = 16
"""of pictures that are prepared for; when there are more, all is forgotten"""

_Shape: TypeAlias = "tuple[int, ...]"
_Batch: TypeAlias = "tuple[tuple[_Shape, int, int], ...]"
"""of each picture: its shape [H, W, 3], its device address, and its place in the detector's batch"""


class Preprocessing:
    """One slot's part of the work: one picture does not fill the GPU, so two go through it side by side.

    A batch of the same sizes at the same addresses as one before is launched as a CUDA graph.
    """

    def __init__(self, device: Device, loaded: LoadedEngine, stream: Any, images: int, picture_bytes: int) -> None:
        """`images` is the address of the detector's input, where each picture takes `picture_bytes`."""
        self._images = images
        self._picture_bytes = picture_bytes
        self._stream = stream
        # where places in the batch would not be aligned, pictures are written elsewhere first
        aside = picture_bytes if picture_bytes % ALIGNMENT else 0
        self._branches = [_Branch(device, loaded, s, aside) for s in (stream, device.stream())]
        self._fork, self._join = device.marker(), device.marker()
        self._graphs: OrderedDict[_Batch, Graph | None] = OrderedDict()
        """the latest batches; None: has come once"""

    @property
    def side_stream(self) -> Any:
        """The one of the two branches that is not in order with the rest of the slot."""
        return self._branches[1].stream

    def enqueue(self, batch: _Batch) -> None:
        """Enqueues some pictures; what the last call enqueued is done."""
        known = batch in self._graphs
        graph = self._graphs.pop(batch, None)
        if graph is not None:
            graph.launch()
        elif known:
            graph = Graph(self._stream, lambda: self._run(batch))
            graph.launch()
        else:
            self._run(batch)
        self._graphs[batch] = graph
        if any(branch.shapes > _SHAPES for branch in self._branches):
            self._stream.synchronize()
            self._forget()
        elif len(self._graphs) > _GRAPHS:
            _, oldest = self._graphs.popitem(last=False)
            if oldest is not None:
                oldest.close()

    def close(self) -> None:
        """Frees everything; nothing may be in flight."""
        self._forget()
        for branch in self._branches:
            branch.free()

    def _forget(self) -> None:
        """Frees what belongs to single batches and sizes."""
        for graph in self._graphs.values():
            if graph is not None:
                graph.close()
        self._graphs.clear()
        for branch in self._branches:
            branch.forget()

    def _run(self, batch: _Batch) -> None:
        main, side = self._branches
        if len(batch) > 1:
            self._fork.record(main.stream)
            side.stream.wait_for_event(self._fork)
        for number, (shape, address, place) in enumerate(batch):
            branch = side if number % 2 else main
            branch.enqueue(shape, address, self._images + place * self._picture_bytes, self._picture_bytes)
        if len(batch) > 1:
            self._join.record(side.stream)
            main.stream.wait_for_event(self._join)


class _Branch:
    """Execution contexts, and the stream that their work is in order on."""

    def __init__(self, device: Device, loaded: LoadedEngine, stream: Any, aside: int) -> None:
        """`aside`: bytes of a picture that is written elsewhere first, or 0."""
        self.stream = stream
        self._loaded = loaded
        self._aside = device.memory(aside) if aside else None
        self._executions: dict[_Shape, Any] = {}

    @property
    def shapes(self) -> int:
        """How many are prepared for."""
        return len(self._executions)

    def enqueue(self, shape: _Shape, source: int, target: int, size: int) -> None:
        """Writes the picture at `source` to `target`, where it takes `size` bytes. Raises BackendError."""
        execution = self._executions.get(shape)
        if execution is None:
            # one for each size: when a CUDA graph is launched, it reads what its context computed last from a size
            execution = self._executions[shape] = self._loaded.context()
            set_shape(execution, FRAMES, (1, *shape))
        execution.set_tensor_address(FRAMES, source)
        execution.set_tensor_address(IMAGES, target if self._aside is None else int(self._aside))
        if not execution.execute_async_v3(self.stream.handle):
            raise BackendError("TensorRT could not start the preprocess engine; its log says why")
        if self._aside is not None:
            copy(target, int(self._aside), size, self.stream)

    def forget(self) -> None:
        """Frees the contexts; nothing may be in flight."""
        self._executions.clear()

    def free(self) -> None:
        """Frees the rest."""
        if self._aside is not None:
            self._aside.free()
