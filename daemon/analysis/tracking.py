"""Objects followed from frame to frame by their boxes. Pure: the time comes with the frames.

A frame's detections are given to the known objects in stages: strong ones to established objects, weak ones to those
that are still missing, then what stands where something stood, then strong ones to objects that are still new. What is
left of the strong ones begins an object. Time that passes without frames ends nothing: an object that no frame
could show is not missed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daemon.analysis import motion
from daemon.analysis.association import Bools, Floats, Ints, assign, doubles, prefer_label, similarity
from daemon.analysis.motion import (
    ESTABLISHED,
    HITS,
    KEY,
    LABEL,
    LAST,
    MISSES,
    PATIENCE,
    PLACE,
    SEEN,
    SINCE,
    STANDING,
    STANDS_AFTER,
)

LOOKS = 5
"""that an object must have been missed in, however long ago it was seen"""
_STRONG, _WEAK, _NEW, _PLACE = 0.2, 0.6, 0.2, 0.5
"""least IoU by which a detection is the same object, by stage"""
_DOUBLE = 0.8
"""IoU above which a weaker box of another label is the same thing"""
_MARGIN, _LARGEST_MARGIN, _NEW_MARGIN = 0.5, 0.6, 0.6
"""by which boxes are enlarged: of the spread, of the box, and of the box of an object without a speed"""
_RESTED = 0.4
"""part of the time after which it stands, from which an object is waited for as long as it has been at its place"""
_NOTHING = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """How objects are followed."""

    confirm_frames: int = 3
    """sightings in a row that make an object established"""
    lost_after: float = 2.0
    """seconds of frames without it after which an established object has left"""
    max_objects: int = 200
    stationary: tuple[tuple[float, float], ...] = ((10.0, 60.0),)
    """by class index: seconds at one place after which an object stands (inf: never), and seconds of frames without it
    after which one that stands has left"""


@dataclass(frozen=True, slots=True)
class Sightings:
    """What one frame has shown; arrays [n] in the order of the frame's detections."""

    keys: Ints
    """of each detection's object, from 1, never used again; 0: it is none"""
    established: Bools
    """whether it has been seen often enough"""
    turned: tuple[tuple[int, bool, float], ...] = ()
    """objects that have come to stand, or move again: key, whether it stands, and since when, seconds of the clock"""
    left: tuple[int, ...] = ()
    """keys of established objects that have left"""
    forgotten: tuple[int, ...] = ()
    """keys of objects that were never established and are gone"""
    refused: int = 0
    """detections that would have begun an object if there were not too many"""


class Tracker:
    """The objects of one camera."""

    def __init__(self, settings: TrackerSettings) -> None:
        self.settings = settings
        self._state: Floats = np.zeros((motion.HEIGHT, 0))
        """a column an object"""
        self._now = 0.0
        self._next = 1
        self._stationary = np.array(settings.stationary).T

    def __len__(self) -> int:
        return int(self._state.shape[1])

    def see(self, boxes: Floats, scores: Floats, labels: Ints, strong: Bools, now: float) -> Sightings:
        """Takes a frame's detections: boxes [n, 4] x1 y1 x2 y2 in pixels, and which of them may begin an object [n].

        `now` in seconds never goes back. Weak detections keep known objects alive.
        """
        left = self._end(now)
        if len(self) and now > self._now:
            motion.predict(self._state, now - self._now)
        self._now = now
        columns = np.ascontiguousarray(boxes.T)
        places, found, rest = self._match(columns, labels, *_usable(strong, doubles(columns, scores, labels, _DOUBLE)))
        turned = self._update(places, columns.take(found, axis=1), scores[found], now)
        keys, established = np.zeros(len(boxes), np.int64), np.zeros(len(boxes), bool)
        keys[found] = self._state[KEY, places]
        established[found] = self._state[ESTABLISHED, places]
        forgotten = self._forget()
        room = max(0, self.settings.max_objects - len(self))
        new, refused = rest[:room], max(0, len(rest) - room)
        if len(new):
            keys[new] = self._begin(columns[:, new], labels[new], now)
            established[new] = self.settings.confirm_frames <= 1
        return Sightings(keys, established, turned, left, forgotten, refused)

    def relabel(self, key: int, label: int) -> None:
        """The object's own label is this one from now on."""
        column = (self._state[KEY] == key).nonzero()[0]
        self._state[LABEL, column] = label
        self._state[STANDS_AFTER : PATIENCE + 1, column] = self._stationary[:, label, None]

    def look_away(self) -> tuple[int, ...]:
        """No frame comes for a while: what is not stationary has left; their keys."""
        gone = self._take_out(self._state[STANDING] == 0)
        misses = self._state[MISSES]
        np.maximum(misses, LOOKS, out=misses)  # to be found at its place and nowhere else
        return gone

    def skip(self, seconds: float) -> None:
        """So much time has passed that does not count."""
        self._now += seconds
        self._state[SEEN] += seconds
        self._state[SINCE] += seconds

    def _take_out(self, gone: Bools) -> tuple[int, ...]:
        """The keys of these objects, which are no more."""
        if not np.count_nonzero(gone):
            return ()
        keys = tuple(self._state[KEY, gone].astype(np.int64).tolist())
        self._state = self._state.compress(~gone, axis=1)
        return keys

    def _end(self, now: float) -> tuple[int, ...]:
        """Takes out what has not been seen for too long."""
        state = self._state
        unseen = state[MISSES] >= LOOKS
        if not np.count_nonzero(unseen):
            return ()
        standing, stood = state[STANDING] > 0, state[SEEN] - state[SINCE]
        rested = np.where(stood >= _RESTED * state[STANDS_AFTER], stood, 0.0)
        patience = np.maximum(np.minimum(rested, state[PATIENCE]), self.settings.lost_after)
        patience = np.where(standing, state[PATIENCE], patience)
        gone = (now - state[SEEN] > patience) & unseen
        if np.count_nonzero(waiting := standing & unseen):
            gone |= self._displaced(waiting, standing & (state[MISSES] == 0))
        return self._take_out(gone)

    def _displaced(self, waiting: Bools, standing: Bools) -> Bools:
        """Which of those that are waited for have left, because another of their class stands in their place."""
        there, others = self._state[:, waiting], self._state[:, standing]
        taken = similarity(there[PLACE], others[PLACE]) >= _PLACE
        taken &= there[LABEL][:, None] == others[LABEL]
        result = np.zeros(len(self), bool)
        result[waiting] = taken.any(axis=1)
        return result

    def _match(self, boxes: Floats, labels: Ints, strong: Ints, weak: Ints) -> tuple[Ints, Ints, Ints]:
        """Columns of objects and their detections, and the strong detections that are left."""
        state = self._state
        if not len(self):
            return _NOTHING, _NOTHING, strong
        free = np.ones(len(self), bool)
        columns, found = [_NOTHING], [_NOTHING]

        def stage(wanted: Bools, offered: Ints, source: Floats, margin: Floats | None, least: float) -> Ints:
            candidates = (wanted & free).nonzero()[0]
            if not len(candidates) or not len(offered):
                return offered
            enlarged = None if margin is None else margin.take(candidates, axis=1)
            similar = similarity(source.take(candidates, axis=1), boxes.take(offered, axis=1), enlarged)
            similar = prefer_label(similar, state[LABEL, candidates], labels[offered])
            row, column = assign(similar, least)
            free[candidates[row]] = False
            columns.append(candidates[row])
            found.append(offered[column])
            if len(column) == len(offered):
                return _NOTHING
            remaining = np.ones(len(offered), bool)
            remaining[column] = False
            return offered[remaining]

        established = followed = state[ESTABLISHED] > 0
        missing = state[MISSES] >= LOOKS
        waiting = None
        if np.count_nonzero(missing):
            waiting = ((state[STANDING] > 0) | (self._now - state[SEEN] > self.settings.lost_after)) & missing
            followed = established & ~waiting
        thought = motion.corners(state)
        margin = np.minimum(_MARGIN * motion.spread(state), _LARGEST_MARGIN * state[2:4])
        strong = stage(followed, strong, thought, margin, _STRONG)
        weak = stage(followed, weak, thought, None, _WEAK)
        if waiting is not None:
            strong = stage(waiting, strong, state[PLACE], None, _PLACE)
            stage(waiting, weak, state[PLACE], None, _PLACE)
        if np.count_nonzero(established) < len(self):
            last = state[LAST]
            strong = stage(~established, strong, last, _NEW_MARGIN * np.maximum(last[2:] - last[:2], 1.0), _NEW)
        return np.concatenate(columns), np.concatenate(found), strong

    def _update(self, places: Ints, boxes: Floats, scores: Floats, now: float) -> tuple[tuple[int, bool, float], ...]:
        """Takes the sightings of the objects in these columns; which have come to stand or to move."""
        self._state[MISSES] += 1.0
        if not len(places):
            return ()
        seen = self._state.take(places, axis=1)
        passed, since = now - seen[SEEN], seen[SINCE].copy()
        motion.correct(seen, boxes, scores, now)
        established = seen[ESTABLISHED]
        np.maximum(established, seen[HITS] >= self.settings.confirm_frames, out=established)
        changed = motion.stand(seen, passed, now).nonzero()[0]
        self._state[:, places] = seen
        return tuple(
            (int(key), bool(stands), float(began + after) if stands else now)
            for key, stands, after, began in zip(
                seen[KEY, changed], seen[STANDING, changed], seen[STANDS_AFTER, changed], since[changed], strict=True
            )
        )

    def _forget(self) -> tuple[int, ...]:
        """Takes out what was missed before it was established."""
        if np.count_nonzero(self._state[ESTABLISHED]) == len(self):
            return ()
        return self._take_out((self._state[ESTABLISHED] == 0) & (self._state[MISSES] > 0))

    def _begin(self, boxes: Floats, labels: Ints, now: float) -> Ints:
        state = motion.new_columns(boxes, now)
        keys = np.arange(self._next, self._next + len(labels))
        self._next += len(labels)
        state[LABEL], state[KEY] = labels, keys
        state[STANDS_AFTER : PATIENCE + 1] = self._stationary[:, labels]
        state[ESTABLISHED] = self.settings.confirm_frames <= 1
        self._state = np.concatenate([self._state, state], axis=1)
        return keys


def _usable(strong: Bools, doubled: Bools | None) -> tuple[Ints, Ints]:
    """Indices of detections that may begin an object, and of the others; without those that are doubles."""
    if doubled is None:
        return strong.nonzero()[0], (~strong).nonzero()[0]
    return (strong & ~doubled).nonzero()[0], (~strong & ~doubled).nonzero()[0]
