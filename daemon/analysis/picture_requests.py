"""Of which frames pictures are taken: of classes that have appeared, and of the best sightings of objects. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from daemon.config.schema import Config
from daemon.records import Event, EventType, FrameResult
from daemon.records.followed import Portrait
from daemon.records.object_events import ObjectEvent
from engines.pictures import Picture

_BETTER = 1.1
"""times as good as the last picture of an object must be what is taken again: a few dozen of one that comes near"""
_EDGE = 0.004
"""part of the picture's width or height, nearer than which to its edge a box may be cut off"""


@dataclass(frozen=True, slots=True)
class PictureOutputs:
    """What takes pictures; called in the thread `analysis`, and none of these may wait."""

    request: Callable[[str, bool, str], None]
    """of the frame that `offer` is called with next: camera, whether annotated, class that has appeared"""
    offer: Callable[[FrameResult, Picture], None]
    """every result with its image, which is valid during the call only"""
    portray: Callable[[FrameResult, Picture, Sequence[Portrait]], bool]
    """the same, of some of the objects in it; False: there is no room, to be tried again"""
    end_portrait: Callable[[str, bool], None]
    """object, and whether its best picture is to be published; there will be no other"""


class PictureRequests:
    """As `events.snapshot` says. Without `best` a frame costs a comparison."""

    def __init__(self, config: Config, outputs: PictureOutputs) -> None:
        self._outputs = outputs
        self._best: dict[str, tuple[bool, float]] = {}
        """by object: how good its best picture is"""
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Takes another configuration; where it asks for no best pictures, those that were taken are dropped."""
        self._config = config
        self._snapshot = config.events.snapshot
        if self._snapshot != "best":
            for each in self._best:
                self._outputs.end_portrait(each, False)
            self._best = {}

    def event(self, event: Event) -> None:
        """Takes an event; before the result that it is of."""
        if self._snapshot == "none":
            return
        if event.type is EventType.APPEARED and event.label is not None:
            if self._snapshot != "best" or self._config.tracked(event.camera) is None:
                self._outputs.request(event.camera, self._snapshot != "plain", event.label)
        elif isinstance(event, ObjectEvent) and event.type is EventType.OBJECT_LEFT and event.object is not None:
            left = event.object.id
            if self._best.pop(left, None) is not None:
                self._outputs.end_portrait(left, True)

    def result(self, result: FrameResult, image: Picture) -> None:
        """Takes a result with its image."""
        self._outputs.offer(result, image)
        if self._snapshot != "best" or not result.objects:
            return
        goodness = _goodness(result)
        better = [
            Portrait(each.id, index, each.id not in self._best)
            for index, each in enumerate(result.objects)
            if each is not None and _is_better(goodness[index], self._best.get(each.id))
        ]
        if better and self._outputs.portray(result, image, better):
            self._best.update({each.object: goodness[each.index] for each in better})


def _goodness(result: FrameResult) -> list[tuple[bool, float]]:
    """Of each detection: whether its box touches no edge of the frame, then its score x the square root of its area."""
    boxes = result.detections.boxes.astype(np.float64)
    size = np.array([result.width, result.height])
    inside = np.concatenate([boxes[:, :2] > _EDGE * size, boxes[:, 2:] < (1 - _EDGE) * size], axis=1)
    area = np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0).prod(axis=1)
    value = result.detections.scores * np.sqrt(area)
    return [(all(sides), each) for sides, each in zip(inside.tolist(), value.tolist(), strict=True)]


def _is_better(new: tuple[bool, float], old: tuple[bool, float] | None) -> bool:
    return old is None or new[0] > old[0] or (new[0] == old[0] and new[1] >= _BETTER * old[1])
