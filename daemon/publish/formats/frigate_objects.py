"""The objects of Frigate's events where objects are not tracked: one is the presence of a class at a camera."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass
from typing import Any

import orjson

from daemon.records import FrameResult

_UPDATE_AFTER = 1.0  # seconds between two messages of one object, of frames; the first and the last come at once
_RANDOM = 6  # letters and digits of an identifier, after the time


@dataclass(frozen=True, slots=True)
class Sighting:
    """One detection of an object."""

    time: float
    """UTC, seconds since the epoch"""
    score: float
    box: tuple[int, int, int, int]
    """[x1, y1, x2, y2], pixels of the frame"""
    region: tuple[int, int, int, int]
    """the part of the frame that was analysed: all of it; pixels"""

    @property
    def area(self) -> int:
        """Of the box, square pixels."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])

    @property
    def ratio(self) -> float:
        """Width of the box in heights."""
        return round((self.box[2] - self.box[0]) / max(1, self.box[3] - self.box[1]), 4)


class SeenObject:
    """One object from its appearance until it is gone."""

    def __init__(self, camera: str, label: str, start: float, snapshots: bool) -> None:
        """`start`: when it appeared, UTC seconds; `snapshots`: whether a picture is taken of appearances."""
        random = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(_RANDOM))
        self._id = f"{start:.6f}-{random}"
        self._camera, self._label, self._start, self._snapshots = camera, label, start, snapshots
        self._top: Sighting | None = None
        self._latest: dict[str, Any] = {}
        self._last: dict[str, Any] = {}
        """state in the last message; empty before the first"""

    def see(self, result: FrameResult) -> bytes | None:
        """Takes a frame; the message `new`, or `update`, or None.

        There is an update when the score is better than in the last message, at most once a second.
        """
        if (now := _best(result, self._label)) is None:
            return None
        if self._top is None or now.score > self._top.score:
            self._top = now
        state = state_of(self._camera, self._label, self._snapshots, now, self._top)
        self._latest = {"id": self._id, "start_time": self._start, **state}
        if not self._last:
            return self._message("new")
        better = self._top.score > self._last["top_score"]
        return self._message("update") if better and now.time - self._last["frame_time"] >= _UPDATE_AFTER else None

    def end(self, time: float) -> bytes | None:
        """It is gone since `time`, UTC seconds; the message, None where there was none before."""
        if not self._last:
            return None
        self._latest = {**self._latest, "end_time": time, "active": False}
        return self._message("end")

    def _message(self, kind: str) -> bytes:
        before, self._last = self._last or self._latest, self._latest
        return orjson.dumps({"type": kind, "before": before, "after": self._latest})


def state_of(camera: str, label: str, snapshots: bool, now: Sighting, top: Sighting) -> dict[str, Any]:
    """What is said of an object that moves, but for its identifier and start; `snapshots`: there are pictures of it."""
    return {
        "camera": camera,
        "frame_time": now.time,
        "snapshot_time": top.time,
        "snapshot": {
            "frame_time": top.time,
            "box": top.box,
            "area": top.area,
            "region": top.region,
            "score": top.score,
            "attributes": [],
        },
        "label": label,
        "sub_label": None,
        "top_score": top.score,
        "false_positive": False,
        "end_time": None,
        "score": now.score,
        "box": now.box,
        "area": now.area,
        "ratio": now.ratio,
        "region": now.region,
        "active": True,
        "stationary": False,
        "motionless_count": 0,
        "position_changes": 0,
        "current_zones": [],
        "entered_zones": [],
        "attributes": {},
        "current_attributes": [],
        "pending_loitering": False,
        "has_clip": False,
        "has_snapshot": snapshots,
        "thumbnail": None,
    }


def _best(result: FrameResult, label: str) -> Sighting | None:
    """Detections come best first."""
    found = result.detections
    for index, class_id in enumerate(found.labels.tolist()):
        if result.labels[class_id] == label:
            x1, y1, x2, y2 = (round(value) for value in found.boxes[index].tolist())
            score = round(float(found.scores[index]), 4)
            return Sighting(result.captured_at, score, (x1, y1, x2, y2), (0, 0, result.width, result.height))
    return None
