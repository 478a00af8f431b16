"""What a session's slots do at the same time, from CUDA events, and a picture of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.postprocess import Thresholds
from engines.tensorrt.device import Device
from engines.tensorrt.loading import LoadedEngine
from engines.tensorrt.results import results_maker
from engines.tensorrt.slots import Slot

STAGES = ("upload", "preprocess", "detector", "read-back")
_COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2")
_THRESHOLDS = Thresholds(0.25, 0.45)
_WIDTH, _ROW, _LEFT, _TOP = 1000, 34, 70, 40


@dataclass(frozen=True, slots=True)
class Batch:
    """When one batch was where."""

    slot: int
    times: tuple[float, ...]
    """milliseconds: begun, uploaded, preprocessed, detected, read back"""


def record(
    device: Device, preprocess: LoadedEngine, detector: LoadedEngine, pictures: Sequence[NDArray[np.uint8]], slots: int
) -> list[Batch]:
    """Runs the pictures as one batch again and again, each slot as soon as it is free; some batches in full flow."""
    make_results = results_maker(device, nms=True)
    running = [Slot(device, preprocess, detector, [len(pictures)], make_results) for _ in range(slots)]
    stream, epoch = device.stream(), device.event()
    batches: list[Batch] = []
    for slot in running:
        slot.start(pictures, _THRESHOLDS)
    for number in range(12 * slots):
        index = number % slots
        running[index].wait()
        if number == 8 * slots:
            epoch.record(stream)
            epoch.synchronize()
            batches.clear()
        if number > 8 * slots:
            batches.append(Batch(index, tuple(e.time_since(epoch) for e in running[index].events)))
        running[index].start(pictures, _THRESHOLDS)
    for slot in running:
        slot.wait()
        slot.close()
    return [b for b in batches if b.times[0] > 0]


def draw(batches: Sequence[Batch], title: str, file: Path) -> None:
    """An SVG with a row for each slot and a bar for each stage."""
    first, last = min(b.times[0] for b in batches), max(b.times[-1] for b in batches)
    scale = (_WIDTH - _LEFT - 20) / (last - first)
    slots = 1 + max(b.slot for b in batches)
    height = _TOP + slots * _ROW + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        _text(_LEFT, 18, title),
        *(_text(8, _TOP + slot * _ROW + 20, f"slot {slot}") for slot in range(slots)),
    ]
    for index, (stage, colour) in enumerate(zip(STAGES, _COLOURS, strict=True)):
        x = _WIDTH - 400 + 100 * index
        parts += [_bar(x, 24, 10, 10, colour), _text(x + 14, 33, stage)]
    for batch in batches:
        y = _TOP + batch.slot * _ROW + 4
        for begin, end, colour in zip(batch.times, batch.times[1:], _COLOURS):  # noqa: B905  one fewer
            parts.append(_bar(_LEFT + (begin - first) * scale, y, max(0.5, (end - begin) * scale), _ROW - 8, colour))
    bottom = _TOP + slots * _ROW
    for tick in range(int(last - first) + 1):
        left = _LEFT + tick * scale
        parts += [_bar(left, _TOP, 0.5, bottom - _TOP, "#999"), _text(left - 3, bottom + 16, str(tick))]
    parts += [_text(_WIDTH / 2, bottom + 32, "milliseconds"), "</svg>"]
    file.write_text("\n".join(parts) + "\n")


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="12">{text}</text>'


def _bar(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'
