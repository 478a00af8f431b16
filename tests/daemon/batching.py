"""What the tests of the batcher share."""

from __future__ import annotations

import numpy as np

from daemon.inference.batcher import Batcher
from daemon.records import Frame
from engines.pictures import BgrPicture


def frame(camera: str, sequence: int, at: float, live: bool = True) -> Frame:
    return Frame(camera, sequence, BgrPicture(np.zeros((2, 2, 3), np.uint8)), 0.0, at, None, live, lambda: None)


def batcher(
    cameras: str = "abcd", max_batch: int = 4, max_delay: float = 0.1, max_age: float = 1.0, model_of: str = ""
) -> Batcher:
    models = dict(zip(cameras, model_of or "m" * len(cameras), strict=True))
    b = Batcher(models, max_delay, max_age)
    for model in set(models.values()):
        b.ready(model, max_batch)
    return b


def names(frames: tuple[Frame, ...]) -> str:
    return " ".join(f"{f.camera}{f.sequence}" for f in frames)
