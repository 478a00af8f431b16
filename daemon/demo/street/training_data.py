"""Pictures for training: drawn streets, letterboxed and encoded as cameras do."""

from __future__ import annotations

import math
import multiprocessing
import os
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.demo.street.generator import COUNTS_FROM, StreetScene
from engines.records import Fit, Letterbox

WIDTH, HEIGHT = 416, 256
PAD = 114
_MOST = 48  # objects kept of one picture
_SIZES = ((640, 480), (640, 360), (512, 384), (854, 480), (960, 540), (720, 480), (1280, 720), (416, 256), (480, 640))
_PER_SCENE = 24


@dataclass(frozen=True)
class Pictures:
    """Rendered pictures and their objects."""

    pixels: NDArray[np.uint8]
    """[n, HEIGHT, WIDTH, 3] BGR, letterboxed"""
    boxes: NDArray[np.float32]
    """[n, _MOST, 4] xyxy in model-input pixels; zeros where there is no object"""
    labels: NDArray[np.int64]
    """[n, _MOST] class; -1 none; -2 an object that may be found or not"""


def as_sent(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """A BGR picture after JPEG of that quality (0 to 100), as a camera would send it."""
    encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if decoded is None:
        raise RuntimeError("OpenCV cannot read the JPEG that it wrote")
    return decoded.astype(np.uint8, copy=False)


def draw(seed: int) -> Pictures:
    """_PER_SCENE pictures of one street, as a camera would send them."""
    rng = np.random.default_rng(seed)
    cv2.setNumThreads(1)
    width, height = _SIZES[int(rng.integers(len(_SIZES)))]
    scene = StreetScene(width, height, seed)
    pixels = np.full((_PER_SCENE, HEIGHT, WIDTH, 3), PAD, np.uint8)
    boxes = np.zeros((_PER_SCENE, _MOST, 4), np.float32)
    labels = np.full((_PER_SCENE, _MOST), -1, np.int64)
    box = Letterbox.of(width, height, WIDTH, HEIGHT, Fit.TOP_LEFT)
    scale = np.array([box.width / width, box.height / height] * 2, np.float32)
    for i, t in enumerate(rng.uniform(0, 240, _PER_SCENE)):
        picture, truths = scene.render(float(t))
        if rng.random() < 0.8:
            quality = int(rng.integers(35, 96))
            picture = as_sent(picture, quality)
        pixels[i, : box.height, : box.width] = cv2.resize(picture, (box.width, box.height))
        for j, truth in enumerate(sorted(truths, key=lambda t: -t.visible)[:_MOST]):
            boxes[i, j] = np.array(truth.box, np.float32) * scale
            labels[i, j] = truth.label if truth.visible >= COUNTS_FROM else -2
    return Pictures(pixels, boxes, labels)


def draw_many(first_seed: int, count: int) -> Pictures:
    """About `count` pictures, drawn in all cores."""
    seeds = range(first_seed, first_seed + math.ceil(count / _PER_SCENE))
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        parts = pool.map(draw, seeds, chunksize=4)
    return Pictures(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("pixels", "boxes", "labels")))
