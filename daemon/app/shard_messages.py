"""What the daemon and the processes of its shards say to each other; pickled, between processes of one daemon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daemon.analysis.areas import Totals
from daemon.capture.picture_wishes import Filled
from daemon.config.schema import Config
from daemon.inference.model_revision import ModelRevision
from daemon.media.snapshots import Subject
from daemon.records import FrameResult, Latency, ModelInfo
from daemon.records.followed import Followed
from daemon.stats import Counted
from engines.backends import Backend
from engines.records import Detections

_NOTHING = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))


@dataclass(frozen=True, slots=True)
class Begin:
    """The first message to a process."""

    config: Config
    """with the cameras of this shard alone"""
    backend: Backend
    revisions: Mapping[str, ModelRevision]
    totals: Mapping[str, Totals]
    """crossings of lines by camera, which are counted on"""
    shard: int


@dataclass(frozen=True, slots=True)
class Apply:
    """Another configuration, and the models to load for it."""

    config: Config
    revisions: Mapping[str, ModelRevision]


@dataclass(frozen=True, slots=True)
class TakePicture:
    """A snapshot of a camera's next frame."""

    camera: str
    annotated: bool
    at: float
    """when it was asked for, time.monotonic(), which is the same in all processes"""


@dataclass(frozen=True, slots=True)
class ResetLines:
    """Totals of lines restart, of one camera or all (None)."""

    camera: str | None


@dataclass(frozen=True, slots=True)
class Retry:
    """Builds a model again, also one that failed."""

    model: str


@dataclass(frozen=True, slots=True)
class WantPicture:
    """A live picture; the descriptor of its memory comes with the message."""

    number: int
    camera: str
    width: int
    edited: bool


@dataclass(frozen=True, slots=True)
class ForgetPictures:
    """Nobody looks at live pictures any more."""


@dataclass(frozen=True, slots=True)
class HasRoom:
    """So many results that are not live have made room for others."""

    results: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Ends the process once what was captured is analysed and told, at the latest after so many seconds."""

    within: float


@dataclass(frozen=True, slots=True)
class Results:
    """Of some frames, in their order."""

    heads: Sequence[tuple[Any, ...]]
    boxes: bytes
    """of all frames, float32 [n, 4]"""
    scores: bytes
    """float32 [n]"""
    classes: bytes
    """int32 [n]"""

    @classmethod
    def packed(cls, results: Sequence[FrameResult], messages: Sequence[bytes | None], *, whole: bool) -> Results:
        """A few tuples and three arrays: what costs a fifth of pickling the records.

        `messages` of the results, see FrameResult.message. Those that have one go without their detections, unless
        `whole`.
        """
        keep = [whole or message is None for message in messages]
        found = [each.detections for each, kept in zip(results, keep, strict=True) if kept] or [_NOTHING]
        return cls(
            [_head(*each) for each in zip(results, messages, keep, strict=True)],
            np.concatenate([one.boxes for one in found]).astype(np.float32, copy=False).tobytes(),
            np.concatenate([one.scores for one in found]).astype(np.float32, copy=False).tobytes(),
            np.concatenate([one.labels for one in found]).astype(np.int32, copy=False).tobytes(),
        )

    def unpacked(self) -> list[FrameResult]:
        """The records."""
        boxes = np.frombuffer(self.boxes, np.float32).reshape(-1, 4)
        scores, classes = np.frombuffer(self.scores, np.float32), np.frombuffer(self.classes, np.int32)
        results, begin = [], 0
        for seen, count, batch, latency, picture, skipped, objects, *rest in self.heads:
            found = _NOTHING
            if count:
                here = slice(begin, begin := begin + count)
                found = Detections(boxes[here], scores[here], classes[here])
            followed = objects and tuple([each and Followed._make(each) for each in objects])
            results.append(FrameResult(*(*seen, found, batch, Latency(*latency), picture, skipped, followed, *rest)))
        return results


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A JPEG that was asked for, or belongs to an event."""

    subject: Subject
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class PictureFilled:
    """A live picture lies in its memory."""

    number: int
    filled: Filled


@dataclass(frozen=True, slots=True)
class Models:
    """All that is known of the shard's models."""

    infos: Mapping[str, ModelInfo]
    failed: frozenset[str]
    """whose latest revision has failed, though the one before may run"""


@dataclass(frozen=True, slots=True)
class Beat:
    """Twice a second: what was counted since, and what the shard is at."""

    counted: Counted
    queues: Mapping[str, int]
    """by name, how much waits in each"""
    busy_for: float
    """see InferenceWorker"""


def _head(result: FrameResult, message: bytes | None, keep: bool) -> tuple[Any, ...]:
    """All but the arrays; the first ten fields in their order."""
    latency, objects = result.latency, result.objects if keep else None
    return (
        (
            result.camera,
            result.sequence,
            result.width,
            result.height,
            result.captured_at,
            result.captured_mono,
            result.stream_time,
            result.live,
            result.model,
            result.labels,
        ),
        len(result.detections.scores) if keep else 0,
        result.batch,
        (latency.queue, latency.preprocess, latency.detector, latency.postprocess),
        result.picture,
        result.skipped,
        objects and tuple([each and tuple(each) for each in objects]),
        result.passes,
        message,
    )
