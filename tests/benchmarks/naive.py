"""The loop that people write today: OpenCV letterbox, copy, run, wait, copy, NMS in NumPy; one picture at a time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.graphs.heads.base import CANONICAL
from engines.graphs.preprocess import IMAGES
from engines.tensorrt.device import Device
from engines.tensorrt.driver import download, upload
from engines.tensorrt.loading import LoadedEngine, set_shape


def naive_rate(
    device: Device, detector: LoadedEngine, pictures: Sequence[NDArray[np.uint8]], confidence: float, seconds: float
) -> float:
    """Pictures per second with the same detector engine, whose candidates need no further decoding."""
    context, stream = detector.context(), device.stream()
    shape = (1, *detector.largest(IMAGES)[1:])
    set_shape(context, IMAGES, shape)
    hosts = [np.empty(tuple(context.get_tensor_shape(n)), detector.dtype(n)) for n in CANONICAL]
    buffers = [device.memory(h.nbytes) for h in hosts]
    images = device.memory(int(np.prod(shape)) * detector.dtype(IMAGES).itemsize)
    for name, buffer in zip((*CANONICAL, IMAGES), (*buffers, images), strict=True):
        context.set_tensor_address(name, int(buffer))
    done = 0
    began = time.perf_counter()
    for picture in itertools.cycle(pictures):
        image = letterboxed(picture, shape[3], shape[2]).astype(detector.dtype(IMAGES))
        upload(int(images), image, stream)
        context.execute_async_v3(stream.handle)
        for host, buffer in zip(hosts, buffers, strict=True):
            download(host, int(buffer), stream)
        stream.synchronize()
        boxes, scores, labels = (host[0] for host in hosts)
        keep = scores > confidence
        suppressed(boxes[keep], scores[keep], labels[keep])
        done += 1
        if time.perf_counter() - began > seconds:
            break
    rate = done / (time.perf_counter() - began)
    del context
    for buffer in (*buffers, images):
        buffer.free()
    return rate


def letterboxed(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.float32]:
    """[1, 3, height, width] RGB, 0 to 1."""
    scale = min(width / picture.shape[1], height / picture.shape[0])
    new = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    left, top = (width - new[0]) // 2, (height - new[1]) // 2
    canvas = cv2.copyMakeBorder(
        cv2.resize(picture, new), top, height - new[1] - top, left, width - new[0] - left, cv2.BORDER_CONSTANT,
        value=(114, 114, 114),
    )  # fmt: skip
    image = cv2.cvtColor(canvas, cv2.COLOR_BGR2RGB).astype(np.float32) / 255.0
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None])


def suppressed(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[np.int32], overlap: float = 0.45
) -> list[int]:
    """Greedy NMS within each class; indices of what is kept."""
    kept: list[int] = []
    order = list(np.argsort(-scores))
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while order:
        best = int(order.pop(0))
        kept.append(best)
        rest = np.array(order, int)
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        inside = np.clip(high - low, 0, None).prod(axis=1)
        ratio = inside / (areas[best] + areas[rest] - inside)
        order = list(rest[(ratio <= overlap) | (labels[rest] != labels[best])])
    return kept
