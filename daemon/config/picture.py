"""Sizes, rectangles, polygons and formats of pictures as configured; positions are normalised coordinates (0..1)."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from daemon.config.section import MISTAKE, MISTAKEN_VALUE

_ANGLES = [0, 90, 180, 270]


def _is_right(angle: int) -> int:
    if angle not in _ANGLES:
        raise PydanticCustomError(MISTAKEN_VALUE, f"must be one of {', '.join(map(str, _ANGLES))}")
    return angle


def _is_size(numbers: tuple[int, ...]) -> tuple[int, ...]:
    if len(numbers) != 2:
        raise PydanticCustomError(MISTAKE, "must be two whole numbers: width and height")
    return numbers


def _is_rectangle(edges: tuple[float, ...]) -> tuple[float, ...]:
    if len(edges) != 4:
        raise PydanticCustomError(MISTAKE, "must be four numbers from 0 to 1: left, top, right and bottom")
    left, top, right, bottom = edges
    if left >= right or top >= bottom:
        raise PydanticCustomError(MISTAKE, "holds nothing: left must be less than right, and top less than bottom")
    return edges


def _is_point(numbers: tuple[float, ...]) -> tuple[float, ...]:
    if len(numbers) != 2:
        raise PydanticCustomError(MISTAKE, "must be two numbers from 0 to 1: x and y")
    return numbers


def _is_polygon(points: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    if len(points) < 3:
        raise PydanticCustomError(MISTAKE, "must be three points or more")
    return points


# Tuples of any length, so that a wrong number of values gives one error, with the sentences above.
Angle = Annotated[int, AfterValidator(_is_right), Field(json_schema_extra={"enum": _ANGLES})]
"""Clockwise, degrees."""
Size = Annotated[tuple[Annotated[int, Field(ge=1, le=16384)], ...], AfterValidator(_is_size)]
"""Width, height; pixels."""
Part = Annotated[float, Field(ge=0, le=1)]
Rectangle = Annotated[tuple[Part, ...], AfterValidator(_is_rectangle)]
"""Left, top, right, bottom."""
Point = Annotated[tuple[Part, ...], AfterValidator(_is_point)]
Polygon = Annotated[tuple[Point, ...], AfterValidator(_is_polygon)]
PixelFormat = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9]{4}$",
        json_schema_extra={"patternErrorMessage": "must be four letters or digits, such as MJPG or YUYV"},
    ),
]
