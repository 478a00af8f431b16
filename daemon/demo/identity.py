"""What was told of objects, a line and a zone against the truth of the street: identity and counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import lap
import numpy as np
from numpy.typing import NDArray

from daemon.demo.film import Film
from daemon.demo.score import pairs, seen_in
from daemon.demo.street.generator import COUNTS_FROM, Truth

LINE = 0.5
"""part of the picture's width where the line stands; right of it is in"""
ZONE = (0.3, 0.7)
"""parts of the picture's width between which the zone is"""
AREAS: dict[str, Any] = {
    "lines": {"middle": {"points": [[LINE, 0], [LINE, 1]], "in": [1, 0.5]}},
    "zones": {"centre": {"polygon": [[ZONE[0], 0], [ZONE[1], 0], [ZONE[1], 1], [ZONE[0], 1]]}},
}
_CLEARLY = 0.02
"""parts of the picture's width from a place, beyond which it is clear on which side of it something is"""
_PATH = 30
"""frames"""
_Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Identity:
    """Counts over any number of passes of a film."""

    same: int = 0
    """detections whose track is the one that stands for their object"""
    true: int = 0
    """objects in all frames"""
    followed: int = 0
    """detections in all frames that belong to a track"""
    crossings: tuple[int, int] = (0, 0)
    """of the line: told, and true"""
    entries: tuple[int, int] = (0, 0)
    """to the zone: told, and true"""

    @property
    def idf1(self) -> float:
        """Part of detections and objects that agree on who is who, over 0 to 1 (IDF1)."""
        return 2 * self.same / max(1, self.true + self.followed)

    def __add__(self, other: Identity) -> Identity:
        return Identity(
            self.same + other.same,
            self.true + other.true,
            self.followed + other.followed,
            (self.crossings[0] + other.crossings[0], self.crossings[1] + other.crossings[1]),
            (self.entries[0] + other.entries[0], self.entries[1] + other.entries[1]),
        )


def identity(film: Film, messages: Sequence[_Message], events: Iterable[_Message]) -> Identity:
    """Of one camera: messages of its detections topic, oldest first, and its events."""
    told = Counter(event["type"] for event in events)
    total = Identity(crossings=(told["line-crossed"], 0), entries=(told["zone-entered"], 0))
    for frames in _passes(film, messages):
        crossings, entries = _true_counts(film, max(frames))
        total += _agreement(film, frames)
        total += Identity(crossings=(0, crossings), entries=(0, entries))
    return total


def _passes(film: Film, messages: Sequence[_Message]) -> Iterator[dict[int, _Message]]:
    """Messages by frame, of each time that the film was played."""
    frames: dict[int, _Message] = {}
    for message in messages:
        frame = film.frame_at(message["stream_time"])
        if frames and frame < max(frames):
            yield frames
            frames = {}
        frames[frame] = message
    if frames:
        yield frames


def _agreement(film: Film, frames: Mapping[int, _Message]) -> Identity:
    """Each object gets the track that it shares most detections with, none twice."""
    shared: Counter[tuple[int, str]] = Counter()
    true = followed = 0
    for frame, message in frames.items():
        truths = film.truths[frame]
        seen = [each for each in seen_in(message) if each.track is not None]
        found = pairs(truths, seen)
        hidden = sum(truth.visible < COUNTS_FROM for truth, _ in found)
        true += sum(truth.visible >= COUNTS_FROM for truth in truths)
        followed += len(seen) - hidden
        shared.update((truth.actor, each.track or "") for truth, each in found if truth.visible >= COUNTS_FROM)
    if not shared:
        return Identity(0, true, followed)
    actors, tracks = (sorted({key[part] for key in shared}, key=str) for part in (0, 1))
    matrix = np.array([[-float(shared[actor, track]) for track in tracks] for actor in actors])  # type: ignore[index]
    _, chosen, _ = lap.lapjv(matrix, extend_cost=True)
    same = -sum(matrix[row, column] for row, column in enumerate(chosen) if column >= 0)
    return Identity(int(same), true, followed)


def _true_counts(film: Film, last: int) -> tuple[int, int]:
    """Crossings of the line and entries to the zone until a frame, by the middle of what can be seen well enough."""
    paths: dict[int, list[float]] = defaultdict(list)
    for truths in film.truths[: last + 1]:
        for truth in truths:
            if truth.visible >= COUNTS_FROM:
                paths[truth.actor].append(_across(truth, film.shot.width))
    crossings = sum(len(_changes(path, LINE, 2.0)) for path in paths.values())
    return crossings, sum(sum(_changes([-1.0, *path], *ZONE)) for path in paths.values())


def _changes(path: Sequence[float], low: float, high: float) -> list[bool]:
    """Each time that a path comes to be clearly between two places, True, or clearly outside of them, False."""
    inside = [low + _CLEARLY < at < high - _CLEARLY for at in path]
    outside = [at < low - _CLEARLY or at > high + _CLEARLY for at in path]
    sides = [within for within, without in zip(inside, outside, strict=True) if within or without]
    return [b for a, b in pairwise(sides) if a != b]


def _across(truth: Truth, width: int) -> float:
    return (truth.box[0] + truth.box[2]) / 2 / width


def draw_tracks(picture: NDArray[np.uint8], messages: Sequence[_Message], until: _Message) -> NDArray[np.uint8]:
    """Draws on a BGR picture [H, W, 3] where the objects of a message have been in the last frames."""
    there = {each["track_id"] for each in until["objects"]} - {None}
    paths: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for message in messages:
        if 0 <= until["sequence"] - message["sequence"] <= _PATH:
            for each in message["objects"]:
                if each["track_id"] in there:
                    x1, _, x2, y2 = each["box"]
                    paths[each["track_id"]].append((round((x1 + x2) / 2), round(y2)))
    for path in paths.values():
        cv2.polylines(picture, [np.array(path, np.int32)], False, (255, 255, 255), 2, cv2.LINE_AA)
    return picture
