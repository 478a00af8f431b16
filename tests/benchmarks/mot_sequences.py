"""Sequences in the layout of the MOT Challenge: `det.txt`, `gt.txt` and `seqinfo.ini` in a folder each."""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_PEDESTRIAN = 1
_DISTRACTORS = [2, 7, 8, 12]
"""classes that are neither to be found nor wrong to be found"""
_IRREGULAR_GAPS = [0.5, 1.5, 5.0], [0.70, 0.25, 0.05]
"""mean intervals between two frames, and how often"""
RATES = ("full", "10", "5", "irregular")


@dataclass(frozen=True)
class Truth:
    """What is in one frame."""

    ids: NDArray[np.int64]
    boxes: Floats
    """[n, 4] x1 y1 x2 y2, pixels"""
    counts: NDArray[np.bool_]
    """whether it is to be found"""
    distracts: NDArray[np.bool_]
    """whether finding it is not wrong"""


@dataclass(frozen=True)
class Sequence:
    """Frames count from 1."""

    name: str
    rate: float
    """frames a second"""
    length: int
    width: int
    height: int
    truth: dict[int, Truth]
    found: dict[int, tuple[Floats, Floats]]
    """boxes [n, 4] x1 y1 x2 y2 and scores [n], best first"""
    parked: dict[int, set[int]] | None
    """ids of the objects that stand, by frame; None: nobody knows"""


def read(folder: Path) -> Sequence:
    """Reads one; raises OSError or ValueError where it is none."""
    info = configparser.ConfigParser()
    with (folder / "seqinfo.ini").open() as file:
        info.read_file(file)
    section = info["Sequence"]
    length = int(section["seqLength"])
    truth = np.loadtxt(folder / "gt.txt", delimiter=",", ndmin=2)
    found = np.loadtxt(folder / "det.txt", delimiter=",", ndmin=2, usecols=range(7))
    return Sequence(
        folder.name,
        float(section["frameRate"]),
        length,
        int(section["imWidth"]),
        int(section["imHeight"]),
        _truth(truth, length, folder.name),
        _found(found, length),
        _parked(folder / "parked.txt"),
    )


def _truth(rows: Floats, length: int, name: str) -> dict[int, Truth]:
    classes = rows[:, 7].astype(int) if rows.shape[1] > 7 else np.full(len(rows), _PEDESTRIAN)
    if name.startswith(("TUD", "AIC")) or (classes < 1).all():
        classes = np.full(len(rows), _PEDESTRIAN)  # other datasets have other things in that column
    considered = rows[:, 6] != 0 if not name.startswith("AIC") else np.ones(len(rows), bool)
    result = {}
    for frame in range(1, length + 1):
        here = rows[:, 0] == frame
        result[frame] = Truth(
            rows[here, 1].astype(np.int64),
            _corners(rows[here, 2:6]),
            (classes[here] == _PEDESTRIAN) & considered[here],
            np.isin(classes[here], _DISTRACTORS),
        )
    return result


def _found(rows: Floats, length: int) -> dict[int, tuple[Floats, Floats]]:
    rows = rows[(rows[:, 4] > 1) & (rows[:, 5] > 1)]
    result = {}
    for frame in range(1, length + 1):
        here = rows[rows[:, 0] == frame]
        here = here[np.argsort(-here[:, 6], kind="stable")]
        result[frame] = _corners(here[:, 2:6]), here[:, 6]
    return result


def _parked(path: Path) -> dict[int, set[int]] | None:
    if not path.exists():
        return None
    parked: dict[int, set[int]] = {}
    for line in path.read_text().split():
        frame, number = map(int, line.split(",")[:2])
        parked.setdefault(frame, set()).add(number)
    return parked


def _corners(boxes: Floats) -> Floats:
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def looked_at(sequence: Sequence, rate: str, seed: int = 0) -> list[tuple[int, float]]:
    """The frames that a camera looks at, with their times in seconds: all, so many a second, or 5 with uneven gaps."""
    if rate == "full" or (rate != "irregular" and float(rate) >= sequence.rate):
        return [(frame, (frame - 1) / sequence.rate) for frame in range(1, sequence.length + 1)]
    irregular = rate == "irregular"
    wanted = 5.0 if irregular else float(rate)
    random = np.random.default_rng(seed + sum(map(ord, sequence.name)))
    gaps, often = _IRREGULAR_GAPS
    mean = float(np.dot(gaps, often))
    frames: list[tuple[int, float]] = []
    time = 0.0
    while (frame := round(time * sequence.rate) + 1) <= sequence.length:
        if not frames or frame > frames[-1][0]:
            frames.append((frame, (frame - 1) / sequence.rate))
        time += (random.choice(gaps, p=often) / mean if irregular else 1.0) / wanted
    return frames
