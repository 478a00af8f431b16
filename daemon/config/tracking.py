"""Which objects are followed, and the zones and lines in which it matters, as configured."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import Self

from daemon.config.picture import Part, Point, Polygon
from daemon.config.section import MISTAKE, Score, Section

Corner = tuple[float, ...]
Anchor = Literal["bottom", "centre"]
Seconds = Annotated[float, Field(ge=0)]


def turn(a: Corner, b: Corner, c: Corner) -> float:
    """Twice the area of the triangle: positive where c is right of the way from a to b, as seen in a picture."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def meet(a: Corner, b: Corner, c: Corner, d: Corner) -> bool:
    """Whether the way from a to b touches the one from c to d."""
    return turn(c, d, a) * turn(c, d, b) <= 0 and turn(a, b, c) * turn(a, b, d) <= 0 and _side_by_side(a, b, c, d)


def _side_by_side(a: Corner, b: Corner, c: Corner, d: Corner) -> bool:
    """Whether their bounding boxes touch: two ways on one straight line need not."""
    return all(max(min(a[i], b[i]), min(c[i], d[i])) <= min(max(a[i], b[i]), max(c[i], d[i])) for i in (0, 1))


def _is_simple(points: tuple[Corner, ...]) -> tuple[Corner, ...]:
    if len(points) > 32:
        raise PydanticCustomError(MISTAKE, "must be 32 points or fewer")
    edges = list(zip(points, points[1:] + points[:1], strict=True))
    if any(a == b for a, b in edges):
        raise PydanticCustomError(MISTAKE, "has the same point twice in a row")
    for i, (a, b) in enumerate(edges):
        for j in range(i + 2, len(edges) - (i == 0)):
            if meet(a, b, *edges[j]):
                raise PydanticCustomError(
                    MISTAKE, "crosses itself: give its points in the order in which they lie around it"
                )
    area = sum(a[0] * b[1] - a[1] * b[0] for a, b in edges) / 2
    if abs(area) < 1e-6:
        raise PydanticCustomError(MISTAKE, "holds nothing: its points lie on one line")
    return points


def _is_segment(points: tuple[Corner, ...]) -> tuple[Corner, ...]:
    if len(points) != 2 or points[0] == points[1]:
        raise PydanticCustomError(MISTAKE, "must be two different points")
    return points


def _as_list(value: object) -> object:
    return (value,) if isinstance(value, (int, float, str)) else value


def _is_rising(values: tuple[float, ...]) -> tuple[float, ...]:
    if any(a >= b for a, b in pairwise(values)):
        raise PydanticCustomError(MISTAKE, "must rise")
    return values


ZonePolygon = Annotated[Polygon, AfterValidator(_is_simple)]
Segment = Annotated[tuple[Point, ...], AfterValidator(_is_segment)]
Dwell = Annotated[
    tuple[Annotated[float, Field(gt=0)], ...],
    BeforeValidator(_as_list),
    AfterValidator(_is_rising),
    Field(
        json_schema_extra={
            "type": ["number", "array"],
            "patternErrorMessage": "must be a positive number or a rising list of them",
        }
    ),
]


class Stationary(Section):
    """When an object stands."""

    after: float = Field(10.0, gt=0, description="seconds at one place after which an object stands")
    lost_after: float = Field(
        60.0, gt=0, description="seconds of frames without a standing object after which it has left"
    )


class Tracking(Section):
    """How objects are followed from frame to frame."""

    confirm_frames: int = Field(
        3, ge=1, le=100, description="frames in a row that an object must be seen in before it is confirmed"
    )
    lost_after: float = Field(
        2.0,
        gt=0,
        description="seconds of frames without an object after which it has left, and at least 5 frames; a gap between "
        "frames ends nothing",
    )
    low_score: Score = Field(
        0.1,
        description="detections from this score up to `confidence` keep known objects alive; they begin none and are "
        "not published",
    )
    max_objects: int = Field(200, ge=1, le=1000, description="most objects of a camera; more are not followed")
    stationary: Stationary | None = Field(
        Stationary(), description="when an object stands, and how long it is remembered; null: never"
    )


class Sizes(Section):
    """Which detections count."""

    min_score: Score = Field(0.0, description="least score")
    min_height: Part = Field(0.0, description="least height, part of the picture's height")
    min_area: Part = Field(0.0, description="least area, part of the picture's area")
    max_area: Part = Field(1.0, description="greatest area, part of the picture's area")
    min_ratio: float = Field(0.0, ge=0, description="least width divided by height")
    max_ratio: float | None = Field(None, gt=0, description="greatest width divided by height; default: any")

    @model_validator(mode="after")
    def _leaves_something(self) -> Self:
        if self.min_area > self.max_area:
            raise PydanticCustomError(MISTAKE, "leaves nothing: `min_area` is above `max_area`")
        if self.max_ratio is not None and self.min_ratio > self.max_ratio:
            raise PydanticCustomError(MISTAKE, "leaves nothing: `min_ratio` is above `max_ratio`")
        return self


class ObjectFilter(Sizes):
    """Which detections of a class may begin an object."""

    threshold: Score = Field(
        0.0, description="an object is confirmed when the median of its last 10 scores is above this"
    )
    stationary: Stationary | None = Field(
        None, description="when objects of this class stand; default: as in `tracking`"
    )


class Zone(Sizes):
    """A part of the picture in which it matters who is there."""

    polygon: ZonePolygon = Field(
        description="3 to 32 points [x, y], from 0 to 1 of the turned picture, in the order around the zone"
    )
    labels: tuple[str, ...] | None = Field(None, description="classes that count; default: all")
    anchor: Anchor = Field(
        "bottom", description="point of a box that must be inside: bottom, the middle of its lower edge, or centre"
    )
    enter_after: Seconds = Field(0.2, description="seconds inside after which an object is in the zone")
    leave_after: Seconds = Field(0.5, description="seconds outside after which it is out")
    dwell: Dwell = Field((), description="seconds in the zone at which `zone-dwell` is sent; a number or a rising list")
    max_count: int | None = Field(
        None, ge=0, description="`zone-crowded` is sent when there are more objects for 3 seconds; default: never"
    )


class Line(Section):
    """A line that objects cross."""

    points: Segment = Field(description="two points [x, y], from 0 to 1 of the turned picture")
    inside: Point = Field(alias="in", description="any point [x, y] of the side that counts as in")
    labels: tuple[str, ...] | None = Field(None, description="classes that count; default: all")
    anchor: Anchor = Field(
        "bottom", description="point of a box that must cross: bottom, the middle of its lower edge, or centre"
    )

    @model_validator(mode="after")
    def _has_two_sides(self) -> Self:
        if abs(turn(self.points[0], self.points[1], self.inside)) < 1e-6:
            raise PydanticCustomError(MISTAKE, "`in` must not lie on the line")
        return self
