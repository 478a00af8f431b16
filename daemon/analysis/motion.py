"""Where known objects are and where they go: one column each, and filters that know the time between frames. Pure.

The middle, width and height of a box are four independent filters of position and velocity, so that prediction and
correction are a few operations on whole rows. Their noise scales with the box and with the time that has passed. With
few objects the number of operations is what a frame costs, so rows that are treated alike lie side by side.
"""

from __future__ import annotations

import numpy as np

from daemon.analysis.association import Bools, Floats, iou

POSITION, _VELOCITY = slice(0, 4), slice(4, 8)
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
HEIGHT = 46
"""rows"""

_ACCELERATION = 0.5  # box heights / s^2 / sqrt(Hz)
_SIZE_CHANGES = 0.3  # how fast a size changes, beside the position
_NOISE = 0.03  # of a detection of a high score, box heights
_DOUBT, _SURE = 2.0, 0.9  # by how much more the noise is for each point of score below this one
_FIRST_SPEED = 2.0  # box heights a second; how fast something may be that has been seen once
_SCALE = (np.array([[1.0], [1.0], [_SIZE_CHANGES], [_SIZE_CHANGES]]) * _ACCELERATION) ** 2
_STAYS, _GOES = 0.6, 0.4  # IoU with its place: what moves has come to stand above, what stands has moved below


def middles(boxes: Floats) -> Floats:
    """Boxes [4, n], x1 y1 x2 y2, as middle, width and height."""
    size = boxes[2:] - boxes[:2]
    return np.concatenate([boxes[:2] + size * 0.5, size])


def corners(state: Floats) -> Floats:
    """Where the objects are thought to be; [4, n], x1 y1 x2 y2."""
    half = state[2:4] * 0.5
    return np.concatenate([state[:2] - half, state[:2] + half])


def new_columns(boxes: Floats, now: float) -> Floats:
    """Of objects that are seen for the first time, in boxes [4, n]; their label and key are still to be set."""
    state = np.zeros((HEIGHT, boxes.shape[1]))
    state[POSITION] = middles(boxes)
    square = np.maximum(state[3], 1.0) ** 2
    state[_VARIANCE] = square * _NOISE**2
    state[_VELOCITY_VARIANCE] = square * _FIRST_SPEED**2
    state[LAST] = state[_BEFORE] = state[_BEFORE_THAT] = state[PLACE] = boxes
    state[SEEN] = state[SINCE] = now
    state[HITS] = 1.0
    return state


def predict(state: Floats, seconds: float) -> None:
    """Moves every column on by so much time."""
    height = np.maximum(state[3], 1.0)
    noise = _SCALE * (height * height * seconds)
    position, variance, covariance = state[POSITION], state[_VARIANCE], state[_COVARIANCE]
    velocity_variance = state[_VELOCITY_VARIANCE]
    position += state[_VELOCITY] * seconds
    np.maximum(position[2:], 1.0, out=position[2:])
    variance += (2 * seconds) * covariance + (seconds * seconds) * velocity_variance + noise * (seconds * seconds / 3)
    covariance += seconds * velocity_variance + noise * (seconds / 2)
    velocity_variance += noise


def correct(state: Floats, boxes: Floats, scores: Floats, now: float) -> None:
    """Takes a sighting of every column: boxes [4, n] and their scores [n]. The state must be contiguous."""
    measured = middles(boxes)
    doubt = np.maximum(_SURE - scores, 0.0)
    doubt *= _DOUBT * _NOISE
    doubt += _NOISE
    noise = (doubt * np.maximum(measured[3], 1.0)) ** 2
    filters = state[POSITION.start : _COVARIANCE.stop].reshape(2, 2, 4, -1)
    moving, variances = filters  # position and velocity; variance of the position, and covariance
    gains = variances / (variances[0] + noise)
    state[_VELOCITY_VARIANCE] -= gains[1] * variances[1]
    moving += gains * (measured - moving[0])
    variances *= 1.0 - gains[0]
    second = (state[HITS] == 1.0).nonzero()[0]
    if len(second):  # two sightings make a velocity: at a few frames a second the filter would learn it too late
        passed = np.maximum(now - state[SEEN, second], 1e-3)
        moved = measured[:2, second] - middles(state[LAST, second])[:2]
        state[_VELOCITY, second] = 0.0
        state[_VELOCITY.start : _VELOCITY.start + 2, second] = moved / passed
    state[_BEFORE.start : _BEFORE_THAT.stop] = state[LAST.start : _BEFORE.stop]
    state[LAST] = boxes
    state[SEEN] = now
    state[HITS] += 1.0
    state[MISSES] = 0.0


def spread(state: Floats) -> Floats:
    """How far from where they are thought to be the objects may be, horizontally and vertically; pixels, [2, n]."""
    result: Floats = np.sqrt(state[_VARIANCE][:2])
    return result


def stand(state: Floats, passed: Floats, now: float) -> Bools:
    """Judges which of the columns stand, just seen, `passed` seconds after the last time; which have changed, [n].

    What counts is the median of the last three boxes. An object's place is the mean of where it has been since it
    last moved, of as many seconds at most as it takes to stand: what creeps stands, and takes its place along.
    """
    after, place = state[STANDS_AFTER], state[PLACE]
    a, b, c = state[LAST], state[_BEFORE], state[_BEFORE_THAT]
    middle = np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
    standing = state[STANDING] > 0
    moved = iou(middle, place) < np.where(standing, _GOES, _STAYS)
    stood = now - state[SINCE]
    weight = np.minimum(passed / np.maximum(np.minimum(stood, after), 1e-6), 1.0)
    weight[moved] = 1.0
    middle -= place
    middle *= weight
    place += middle
    state[SINCE, moved] = now
    stands = (standing | (stood >= after)) & ~moved
    state[STANDING] = stands
    changed: Bools = stands != standing
    return changed
