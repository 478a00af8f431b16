"""One object that is followed: its label by votes, its scores, where it was. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from statistics import median

from daemon.analysis.lines import Crossing, Sides
from daemon.analysis.zones import Stays
from daemon.records.followed import Followed
from daemon.records.objects import ObjectSnapshot

_VOTES = 15
"""sightings whose labels count"""
_SCORES = 10
"""frames whose scores count for the threshold"""
_HEADING = 1.0
"""seconds of the way that the heading is of"""
_MOVED = 0.1
"""box heights that it must have moved in that time to have a heading"""

Box = tuple[float, float, float, float]


class TrackedObject:
    """Made at the first sighting, before it is reported."""

    def __init__(
        self, key: int, identity: tuple[str, int], label: int, stays: Stays, sides: Sides, now: float, utc: float
    ) -> None:
        """`now` and `utc`: when it is seen for the first time, by the frames' clock and in UTC."""
        self.key = key
        self.id, self.number = identity
        self.label = label
        """class index; fixed when it is reported"""
        self.told = False
        self.score = self.top_score = 0.0
        self.scores: deque[float] = deque(maxlen=_SCORES)
        self.box: Box = (0.0, 0.0, 0.0, 0.0)
        self.first_seen = self.last_seen = utc
        self.first_mono = self.last_mono = now
        """by the frames' clock, which seconds are counted by"""
        self.unseen = 0.0
        """seconds from the sighting before the last one to the last"""
        self.sequence = 0
        self.stationary = False
        self.stationary_since = now
        """when it came to stand, or moved after that, by the frames' clock"""
        self.stays = stays
        self.sides = sides
        self.crossed: list[Crossing] = []
        """before it was told of"""
        self.visited: list[str] = []
        self.followed: Followed | None = None
        """as it is known to others; None: something of it has changed"""
        self._votes: deque[tuple[int, float]] = deque(maxlen=_VOTES)
        self._other_labels = False
        self._path: deque[tuple[float, Box]] = deque()

    def see(self, box: Box, score: float, label: int, now: float, utc: float, sequence: int) -> None:
        """Takes a sighting."""
        self.box, self.score, self.sequence = box, score, sequence
        self.unseen = now - self.last_mono
        self.last_mono, self.last_seen = now, utc
        self.top_score = max(self.top_score, score)
        if not self.told:
            self.scores.append(score)
            self._votes.append((label, score))
            self._other_labels |= label != self.label
        path = self._path
        path.append((now, box))
        while now - path[0][0] > _HEADING:
            path.popleft()

    def correct(self, seconds: float) -> None:
        """The system clock was set by so much."""
        self.first_seen += seconds
        self.last_seen += seconds

    def miss(self) -> None:
        """A frame did not have it."""
        if not self.told:
            self.scores.append(0.0)

    def vote(self) -> int:
        """The label of most of its last sightings, by score; the one that it has where that is one of them."""
        if self._other_labels and not self.told:
            weights: dict[int, float] = {self.label: 0.0}
            for label, score in self._votes:
                weights[label] = weights.get(label, 0.0) + score
            self.label = max(weights, key=lambda label: weights[label])
        return self.label

    def is_above(self, threshold: float) -> bool:
        """Whether the median of its last scores reaches the threshold."""
        return threshold <= 0 or median(self.scores) >= threshold

    def heading(self) -> float | None:
        """Degrees clockwise from up; None where it hardly moved."""
        if self.stationary or len(self._path) < 2:
            return None
        (x0, y0), (x1, y1) = _middle(self._path[0][1]), _middle(self.box)
        if math.hypot(x1 - x0, y1 - y0) < _MOVED * (self.box[3] - self.box[1]):
            return None
        return round(math.degrees(math.atan2(x1 - x0, y0 - y1)) % 360.0, 1)

    def snapshot(self, labels: Sequence[str], zones: Sequence[str], size: tuple[int, int]) -> ObjectSnapshot:
        """How it is now, with the names of all classes and zones and the frame's width and height."""
        return ObjectSnapshot(
            id=self.id,
            number=self.number,
            label=labels[self.label],
            score=self.score,
            top_score=self.top_score,
            box=self.box,
            width=size[0],
            height=size[1],
            first_seen=self.first_seen,
            last_seen=self.last_seen,
            stationary=self.stationary,
            zones=tuple(zones[index] for index in self.stays.current()),
            visited=tuple(self.visited),
            heading=self.heading(),
            sequence=self.sequence,
            age=self.last_mono - self.first_mono,
        )


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) * 0.5, (box[1] + box[3]) * 0.5
