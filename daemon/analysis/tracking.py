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
        self._rows: Floats = np.zeros((0, motion.WIDTH))
        self._now = 0.0
        self._next = 1
        self._stationary = np.array(settings.stationary)

    def __len__(self) -> int:
        return len(self._rows)

    def see(self, boxes: Floats, scores: Floats, labels: Ints, strong: Bools, now: float) -> Sightings:
        """Takes a frame's detections: boxes [n, 4] x1 y1 x2 y2 in pixels, and which of them may begin an object [n].

        `now` in seconds never goes back. Weak detections keep known objects alive.
        """
        left = self._end(now)
        if len(self._rows) and now > self._now:
            motion.predict(self._rows, now - self._now)
        self._now = now
        usable = ~doubles(boxes, scores, labels, _DOUBLE)
        rows, found, rest = self._match(
            boxes, labels, np.flatnonzero(strong & usable), np.flatnonzero(~strong & usable)
        )
        measured = motion.middles(boxes)
        turned = self._update(rows, boxes[found], measured[found], scores[found], now)
        keys, established = np.zeros(len(boxes), np.int64), np.zeros(len(boxes), bool)
        keys[found] = self._rows[rows, KEY]
        established[found] = self._rows[rows, ESTABLISHED] > 0
        forgotten = self._forget()
        room = max(0, self.settings.max_objects - len(self._rows))
        new, refused = rest[:room], max(0, len(rest) - room)
        if len(new):
            keys[new] = self._begin(boxes[new], measured[new], labels[new], now)
            established[new] = self.settings.confirm_frames <= 1
        return Sightings(keys, established, turned, left, forgotten, refused)

    def relabel(self, key: int, label: int) -> None:
        """The object's own label is this one from now on."""
        row = self._rows[:, KEY] == key
        self._rows[row, LABEL] = label
        self._rows[row, STANDS_AFTER : PATIENCE + 1] = self._stationary[label]

    def look_away(self) -> tuple[int, ...]:
        """No frame comes for a while: what is not stationary has left; their keys."""
        stays = self._rows[:, STANDING] > 0
        gone = tuple(self._keys(~stays).tolist())
        self._rows = self._rows[stays]
        self._rows[:, MISSES] = np.maximum(self._rows[:, MISSES], LOOKS)  # to be found at its place and nowhere else
        return gone

    def skip(self, seconds: float) -> None:
        """So much time has passed that does not count."""
        self._now += seconds
        self._rows[:, SEEN] += seconds
        self._rows[:, SINCE] += seconds

    def _keys(self, which: Bools) -> Ints:
        keys: Ints = self._rows[which, KEY].astype(np.int64)
        return keys

    def _end(self, now: float) -> tuple[int, ...]:
        """Takes out what has not been seen for too long."""
        if not len(self._rows):
            return ()
        standing = self._rows[:, STANDING] > 0
        stood = self._rows[:, SEEN] - self._rows[:, SINCE]
        rested = np.where(stood >= _RESTED * self._rows[:, STANDS_AFTER], stood, 0.0)
        patience = np.maximum(np.minimum(rested, self._rows[:, PATIENCE]), self.settings.lost_after)
        patience = np.where(standing, self._rows[:, PATIENCE], patience)
        unseen = self._rows[:, MISSES] >= LOOKS
        gone = (now - self._rows[:, SEEN] > patience) & unseen
        if (waiting := standing & unseen).any():
            gone |= self._displaced(waiting, standing & (self._rows[:, MISSES] == 0))
        if not gone.any():
            return ()
        left = tuple(self._keys(gone).tolist())
        self._rows = self._rows[~gone]
        return left

    def _displaced(self, waiting: Bools, standing: Bools) -> Bools:
        """Which of those that are waited for have left, because another of their class stands in their place."""
        there, others = self._rows[waiting], self._rows[standing]
        taken = similarity(there[:, PLACE], others[:, PLACE]) >= _PLACE
        taken &= there[:, LABEL, None] == others[:, LABEL]
        result = np.zeros(len(self._rows), bool)
        result[waiting] = taken.any(axis=1)
        return result

    def _match(self, boxes: Floats, labels: Ints, strong: Ints, weak: Ints) -> tuple[Ints, Ints, Ints]:
        """Rows and their detections, and the strong detections that are left."""
        state = self._rows
        free = np.ones(len(state), bool)
        rows, found = [_NOTHING], [_NOTHING]

        def stage(wanted: Bools, offered: Ints, source: Floats, margin: Floats | None, least: float) -> Ints:
            candidates = np.flatnonzero(wanted & free)
            if not len(candidates) or not len(offered):
                return offered
            enlarged = None if margin is None else margin[candidates]
            similar = similarity(source[candidates], boxes[offered], enlarged)
            similar = prefer_label(similar, state[candidates, LABEL], labels[offered])
            row, column = assign(similar, least)
            free[candidates[row]] = False
            rows.append(candidates[row])
            found.append(offered[column])
            remaining = np.ones(len(offered), bool)
            remaining[column] = False
            return offered[remaining]

        established = state[:, ESTABLISHED] > 0
        unseen = self._now - state[:, SEEN] > self.settings.lost_after
        waiting = ((state[:, STANDING] > 0) | unseen) & (state[:, MISSES] >= LOOKS)
        followed = established & ~waiting
        thought = motion.corners(state)
        margin = np.minimum(_MARGIN * motion.spread(state), _LARGEST_MARGIN * state[:, 2:4])
        strong = stage(followed, strong, thought, margin, _STRONG)
        weak = stage(followed, weak, thought, None, _WEAK)
        if waiting.any():
            strong = stage(waiting, strong, state[:, PLACE], None, _PLACE)
            stage(waiting, weak, state[:, PLACE], None, _PLACE)
        if not established.all():
            last = state[:, LAST]
            strong = stage(~established, strong, last, _NEW_MARGIN * np.maximum(last[:, 2:] - last[:, :2], 1.0), _NEW)
        return np.concatenate(rows), np.concatenate(found), strong

    def _update(
        self, rows: Ints, boxes: Floats, measured: Floats, scores: Floats, now: float
    ) -> tuple[tuple[int, bool, float], ...]:
        """Takes the sightings of rows; which have come to stand or to move."""
        self._rows[:, MISSES] += 1.0
        if not len(rows):
            return ()
        seen = self._rows[rows]
        passed, since = now - seen[:, SEEN], seen[:, SINCE].copy()
        motion.correct(seen, boxes, measured, scores, now)
        seen[:, ESTABLISHED] = np.maximum(seen[:, ESTABLISHED], seen[:, HITS] >= self.settings.confirm_frames)
        changed = motion.stand(seen, passed, now)
        self._rows[rows] = seen
        return tuple(
            (int(key), bool(stands), float(began + after) if stands else now)
            for key, stands, after, began in zip(
                seen[changed, KEY], seen[changed, STANDING], seen[changed, STANDS_AFTER], since[changed], strict=True
            )
        )

    def _forget(self) -> tuple[int, ...]:
        """Takes out what was missed before it was established."""
        gone = (self._rows[:, ESTABLISHED] == 0) & (self._rows[:, MISSES] > 0)
        if not gone.any():
            return ()
        forgotten = tuple(self._keys(gone).tolist())
        self._rows = self._rows[~gone]
        return forgotten

    def _begin(self, boxes: Floats, measured: Floats, labels: Ints, now: float) -> Ints:
        rows = motion.new_rows(boxes, measured, now)
        keys = np.arange(self._next, self._next + len(boxes))
        self._next += len(boxes)
        rows[:, LABEL], rows[:, KEY] = labels, keys
        rows[:, STANDS_AFTER : PATIENCE + 1] = self._stationary[labels]
        rows[:, ESTABLISHED] = self.settings.confirm_frames <= 1
        self._rows = np.concatenate([self._rows, rows])
        return keys
