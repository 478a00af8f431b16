"""Where known objects are and where they go: one row each, and filters that know the time between frames. Pure.

The middle, width and height of a box are four independent filters of position and velocity, so that prediction and
correction are a few operations on whole columns. Their noise scales with the box and with the time that has passed.
"""

from __future__ import annotations

import numpy as np

from daemon.analysis.association import Bools, Floats, iou

POSITION, VELOCITY = slice(0, 4), slice(4, 8)
"""middle x, middle y, width and height; pixels, and pixels a second"""
_VARIANCE, _COVARIANCE, _VELOCITY_VARIANCE = slice(8, 12), slice(12, 16), slice(16, 20)
LAST, _BEFORE, _BEFORE_THAT, PLACE = slice(20, 24), slice(24, 28), slice(28, 32), slice(32, 36)
"""boxes of the last sightings, newest first, and where it has stood since it last moved; x1 y1 x2 y2, pixels"""
SEEN, SINCE = 36, 37
"""when it was last seen, and since when it has been at its place; seconds"""
HITS, MISSES = 38, 39
"""sightings ever, and frames without it since the last"""
LABEL, STANDING, ESTABLISHED, KEY = 40, 41, 42, 43
STANDS_AFTER, PATIENCE = 44, 45
"""seconds at its place after which it stands, and unseen after which one that stands has left; of its label"""
WIDTH = 46

_ACCELERATION = 0.5  # box heights / s^2 / sqrt(Hz)
_SIZE_CHANGES = 0.3  # how fast a size changes, beside the position
_NOISE = 0.03  # of a detection of a high score, box heights
_DOUBT, _SURE = 2.0, 0.9  # by how much more the noise is for each point of score below this one
_FIRST_SPEED = 2.0  # box heights a second; how fast something may be that has been seen once
_SCALE = np.array([1.0, 1.0, _SIZE_CHANGES, _SIZE_CHANGES]) * _ACCELERATION
_POSITION_ONLY = np.array([1.0, 1.0, 0.0, 0.0])
_STAYS, _GOES = 0.6, 0.4  # IoU with its place: what moves has come to stand above, what stands has moved below


def middles(boxes: Floats) -> Floats:
    """Boxes [n, 4], x1 y1 x2 y2, as middle, width and height."""
    size = boxes[:, 2:] - boxes[:, :2]
    return np.concatenate([boxes[:, :2] + size * 0.5, size], axis=1)


def corners(state: Floats) -> Floats:
    """Where the objects are thought to be; [n, 4], x1 y1 x2 y2."""
    half = state[:, 2:4] * 0.5
    return np.concatenate([state[:, :2] - half, state[:, :2] + half], axis=1)


def new_rows(boxes: Floats, measured: Floats, now: float) -> Floats:
    """Rows of objects that are seen for the first time; their label and key are still to be set."""
    rows = np.zeros((len(boxes), WIDTH))
    square = np.maximum(measured[:, 3:4], 1.0) ** 2
    rows[:, POSITION] = measured
    rows[:, _VARIANCE] = square * _NOISE**2
    rows[:, _VELOCITY_VARIANCE] = square * _FIRST_SPEED**2
    rows[:, LAST] = rows[:, _BEFORE] = rows[:, _BEFORE_THAT] = rows[:, PLACE] = boxes
    rows[:, SEEN] = rows[:, SINCE] = now
    rows[:, HITS] = 1.0
    return rows


def predict(state: Floats, seconds: float) -> None:
    """Moves every row on by so much time."""
    noise = (_SCALE * np.maximum(state[:, 3:4], 1.0)) ** 2 * seconds
    position, variance, covariance = state[:, POSITION], state[:, _VARIANCE], state[:, _COVARIANCE]
    velocity_variance = state[:, _VELOCITY_VARIANCE]
    position += state[:, VELOCITY] * seconds
    np.maximum(position[:, 2:], 1.0, out=position[:, 2:])
    variance += (2 * seconds) * covariance + (seconds * seconds) * velocity_variance + noise * (seconds * seconds / 3)
    covariance += seconds * velocity_variance + noise * (seconds / 2)
    velocity_variance += noise


def correct(rows: Floats, boxes: Floats, measured: Floats, scores: Floats, now: float) -> None:
    """Takes sightings of the rows: boxes [n, 4], the same as middles with sizes, and their scores [n]."""
    doubt = 1.0 + _DOUBT * np.maximum(_SURE - scores, 0.0)
    noise = ((_NOISE * doubt)[:, None] * np.maximum(measured[:, 3:4], 1.0)) ** 2
    variance, covariance = rows[:, _VARIANCE], rows[:, _COVARIANCE]
    total = variance + noise
    gain, velocity_gain = variance / total, covariance / total
    off = measured - rows[:, POSITION]
    rows[:, POSITION] += gain * off
    rows[:, VELOCITY] += velocity_gain * off
    rows[:, _VELOCITY_VARIANCE] -= velocity_gain * covariance
    covariance *= 1.0 - gain
    variance *= 1.0 - gain
    second = np.flatnonzero(rows[:, HITS] == 1.0)
    if len(second):  # two sightings make a velocity: at a few frames a second the filter would learn it too late
        passed = np.maximum(now - rows[second, SEEN], 1e-3)[:, None]
        moved = measured[second] - middles(rows[second, LAST])
        rows[second, VELOCITY] = moved / passed * _POSITION_ONLY
    rows[:, _BEFORE_THAT] = rows[:, _BEFORE]
    rows[:, _BEFORE] = rows[:, LAST]
    rows[:, LAST] = boxes
    rows[:, SEEN] = now
    rows[:, HITS] += 1.0
    rows[:, MISSES] = 0.0


def spread(state: Floats) -> Floats:
    """How far from where they are thought to be the objects may be, horizontally and vertically; pixels, [n, 2]."""
    result: Floats = np.sqrt(state[:, _VARIANCE][:, :2])
    return result


def stand(rows: Floats, passed: Floats, now: float) -> Bools:
    """Judges which of the rows stand still, just seen, `passed` seconds after the last time; which have changed, [n].

    What counts is the median of the last three boxes. An object's place is the mean of where it has been since it
    last moved, of as many seconds at most as it takes to stand: what creeps stands, and takes its place along.
    """
    after = rows[:, STANDS_AFTER]
    a, b, c = rows[:, LAST], rows[:, _BEFORE], rows[:, _BEFORE_THAT]
    middle = np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
    standing = rows[:, STANDING] > 0
    moved = iou(middle, rows[:, PLACE]) < np.where(standing, _GOES, _STAYS)
    stood = now - rows[:, SINCE]
    weight = np.clip(passed / np.maximum(np.minimum(stood, after), 1e-6), 0.0, 1.0)
    weight[moved] = 1.0
    rows[:, PLACE] += (middle - rows[:, PLACE]) * weight[:, None]
    rows[moved, SINCE] = now
    stands = ~moved & (standing | (stood >= after))
    rows[:, STANDING] = stands
    changed: Bools = stands != standing
    return changed
