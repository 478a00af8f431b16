"""Cars and buses, seen from the side and facing right."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from daemon.demo.street.drawing.canvas import Canvas, Colour, Point, Sprite, rgb, shade, smooth

_PAINTS = [
    rgb(c) for c in (0xB23A48, 0x2A6F97, 0xE8E6E1, 0x3C4148, 0x9FA8B0, 0x3A6B57, 0xD9A441, 0x6D597A, 0xC9653B, 0x86B6C9)
]
_LIVERIES = [rgb(c) for c in (0xC1442E, 0x2B6CA3, 0x2F7F5F, 0xE3B23C, 0xEFEBE2, 0x6A4C93)]
_GLASS, _TYRE, _RIM = rgb(0x3B4B57), rgb(0x222427), rgb(0xC3C8CC)
_HEAD, _TAIL, _TRIM = rgb(0xFFF3CF), rgb(0xC42B2B), rgb(0x2B2E32)


@dataclass(frozen=True, slots=True)
class Shape:
    """The outline of a kind of car, in metres from its middle."""

    length: float
    height: float
    body: tuple[Point, ...]
    glass: tuple[tuple[Point, ...], ...]
    axles: tuple[float, float]


_HATCH = Shape(
    4.0,
    1.5,
    (
        *((-1.95, 0.3), (-2.0, 0.75), (-1.86, 1.02), (-1.5, 1.44), (-1.1, 1.5), (0.1, 1.5), (0.45, 1.42)),
        *((1.05, 0.98), (1.75, 0.86), (1.98, 0.7), (2.0, 0.3)),
    ),
    (
        ((-1.62, 1.0), (-1.32, 1.36), (-0.95, 1.41), (-0.85, 1.0)),
        ((-0.74, 1.0), (-0.84, 1.41), (0.02, 1.41), (0.08, 1.0)),
        ((0.19, 1.0), (0.13, 1.4), (0.34, 1.35), (0.86, 0.98)),
    ),
    (-1.22, 1.27),
)
_SALOON = Shape(
    4.5,
    1.42,
    (
        *((-2.2, 0.3), (-2.25, 0.8), (-2.12, 0.98), (-1.45, 1.03), (-0.95, 1.38), (-0.55, 1.43), (0.2, 1.42)),
        *((0.55, 1.34), (1.15, 0.97), (1.95, 0.86), (2.22, 0.7), (2.25, 0.3)),
    ),
    (
        ((-1.25, 1.02), (-0.82, 1.31), (-0.35, 1.35), (-0.3, 1.0)),
        ((-0.2, 1.0), (-0.25, 1.35), (0.18, 1.34), (0.42, 1.27), (0.88, 0.97)),
    ),
    (-1.35, 1.42),
)
_ESTATE = Shape(
    4.4,
    1.68,
    (
        *((-2.15, 0.35), (-2.2, 0.9), (-2.14, 1.2), (-1.95, 1.62), (-1.5, 1.68), (0.15, 1.67), (0.5, 1.58)),
        *((1.05, 1.12), (1.8, 1.02), (2.17, 0.85), (2.2, 0.35)),
    ),
    (
        ((-1.95, 1.14), (-1.8, 1.52), (-1.1, 1.57), (-1.05, 1.12)),
        ((-0.95, 1.12), (-1.0, 1.57), (-0.1, 1.57), (-0.05, 1.12)),
        ((0.06, 1.12), (0.01, 1.57), (0.33, 1.52), (0.84, 1.1)),
    ),
    (-1.32, 1.38),
)
_SHAPES = (_HATCH, _SALOON, _ESTATE)


@dataclass(frozen=True, slots=True)
class Car:
    """How one car looks."""

    shape: Shape
    paint: Colour
    spokes: int

    @property
    def length(self) -> float:
        """metres"""
        return self.shape.length

    @property
    def stride(self) -> float:
        """Metres driven while the wheels come to look the same again."""
        return 2 * math.pi * 0.33 / self.spokes

    @property
    def lamps(self) -> tuple[Point, Point]:
        """Tail and head lamp, metres from the middle and above the ground."""
        half = self.shape.length / 2
        return (-half + 0.08, 0.8), (half - 0.12, 0.68)


@dataclass(frozen=True, slots=True)
class Bus:
    """How one bus looks."""

    length: float
    """metres"""
    paint: Colour
    band: Colour
    spokes: int = 6

    @property
    def stride(self) -> float:
        """Metres driven while the wheels come to look the same again."""
        return 2 * math.pi * 0.46 / self.spokes

    @property
    def lamps(self) -> tuple[Point, Point]:
        """Tail and head lamp, metres from the middle and above the ground."""
        return (-self.length / 2 + 0.06, 0.85), (self.length / 2 - 0.1, 0.7)


def any_car(rng: np.random.Generator) -> Car:
    return Car(
        _SHAPES[int(rng.integers(len(_SHAPES)))], _PAINTS[int(rng.integers(len(_PAINTS)))], int(rng.choice([5, 6]))
    )


def any_bus(rng: np.random.Generator) -> Bus:
    first, second = rng.choice(len(_LIVERIES), 2, replace=False)
    return Bus(float(rng.uniform(6.6, 7.6)), _LIVERIES[int(first)], _LIVERIES[int(second)])


def _wheel(canvas: Canvas, hub: Point, radius: float, spokes: int, phase: float) -> None:
    canvas.disc(hub, radius, _TYRE)
    canvas.disc(hub, radius * 0.66, shade(_RIM, 0.45))
    for spoke in range(spokes):
        angle = -2 * math.pi * (spoke + phase) / spokes
        tip = hub[0] + 0.6 * radius * math.cos(angle), hub[1] + 0.6 * radius * math.sin(angle)
        canvas.line([hub, tip], 0.15 * radius, _RIM)
    canvas.disc(hub, radius * 0.2, _RIM)


def draw_car(look: Car, phase: float, scale: float) -> Sprite:
    """A car; phase 0 to 1 turns the wheels by one spoke."""
    shape, half = look.shape, look.shape.length / 2
    canvas = Canvas(-half - 0.06, half + 0.06, 0.0, shape.height + 0.05, scale)
    canvas.polygon(smooth(shape.body), look.paint)
    sill = [(-half + 0.04, 0.46), (half - 0.04, 0.46), (half - 0.03, 0.3), (-half + 0.03, 0.3)]
    canvas.polygon(sill, shade(look.paint, 0.62))
    waist = [(-half + 0.1, 0.84), (half - 0.5, 0.8), (half - 0.5, 0.76), (-half + 0.1, 0.79)]
    canvas.polygon(waist, shade(look.paint, 1.18))
    for pane in shape.glass:
        canvas.polygon(pane, _GLASS)
        (x0, y0), (x1, y1) = pane[0], pane[1]
        glint = [(x0 + 0.16, y0), (x1 + 0.16, y1 - 0.02), (x1 + 0.3, y1 - 0.02), (x0 + 0.3, y0)]
        canvas.polygon(glint, shade(_GLASS, 1.45))
    for pane in shape.glass[1:]:
        door = pane[0][0] - 0.06
        canvas.line([(door, pane[0][1]), (door - 0.03, 0.5)], 0.02, shade(look.paint, 0.7))
        canvas.line([(door + 0.1, 0.86), (door + 0.28, 0.86)], 0.035, shade(look.paint, 0.6))
    (tail, tail_up), (head, head_up) = look.lamps
    canvas.polygon(
        smooth([(tail - 0.1, 0.92), (tail + 0.12, 0.9), (tail + 0.1, tail_up - 0.08), (tail - 0.1, 0.7)], 1), _TAIL
    )
    canvas.polygon(
        smooth([(head - 0.2, 0.76), (head + 0.1, 0.72), (head + 0.1, head_up - 0.08), (head - 0.1, 0.62)], 1), _HEAD
    )
    canvas.line([(half - 0.3, 0.36), (half - 0.02, 0.36)], 0.07, _TRIM)
    for axle in shape.axles:
        canvas.disc((axle, 0.36), 0.42, shade(look.paint, 0.35))
        _wheel(canvas, (axle, 0.33), 0.33, look.spokes, phase)
    return canvas.sprite()


def draw_bus(look: Bus, phase: float, scale: float) -> Sprite:
    """A bus; phase 0 to 1 turns the wheels by one spoke."""
    half, top = look.length / 2, 2.95
    canvas = Canvas(-half - 0.06, half + 0.06, 0.0, top + 0.08, scale)
    canvas.polygon(
        [(-half + 0.9, top - 0.1), (-half + 2.4, top - 0.1), (-half + 2.3, top + 0.07), (-half + 1.0, top + 0.07)],
        shade(look.paint, 0.7),
    )
    hull = [
        (-half, 0.35),
        (-half, top - 0.5),
        (-half, top - 0.02),
        (0, top),
        (half - 0.35, top - 0.02),
        (half - 0.02, top - 0.9),
        (half, 0.9),
        (half, 0.35),
    ]
    canvas.polygon(smooth(hull), look.paint)
    canvas.polygon([(-half + 0.02, 0.95), (half - 0.01, 0.95), (half - 0.01, 0.72), (-half + 0.02, 0.72)], look.band)
    canvas.polygon(
        [(-half + 0.04, 0.5), (half - 0.04, 0.5), (half - 0.04, 0.35), (-half + 0.04, 0.35)], shade(look.paint, 0.55)
    )
    panes = max(4, round((look.length - 2.4) / 1.15))
    step = (look.length - 1.9) / panes
    for n in range(panes):
        left = -half + 0.3 + n * step
        canvas.polygon(_box(left, 1.3, left + step - 0.12, 2.4), _GLASS)
        canvas.polygon(
            [(left + 0.2, 1.3), (left + 0.45, 2.4), (left + 0.62, 2.4), (left + 0.37, 1.3)], shade(_GLASS, 1.4)
        )
    door = half - 1.5
    canvas.polygon(_box(door, 0.42, door + 0.92, 2.45), shade(look.paint, 0.6))
    for left in (door + 0.06, door + 0.5):
        canvas.polygon(_box(left, 0.55, left + 0.36, 2.36), shade(_GLASS, 1.15))
    canvas.polygon(
        smooth(
            [(half - 0.46, 1.25), (half - 0.02, 1.25), (half - 0.05, 2.05), (half - 0.2, 2.5), (half - 0.46, 2.5)], 1
        ),
        _GLASS,
    )
    canvas.polygon(_box(half - 1.45, 2.55, half - 0.5, 2.8), rgb(0x2A2416))
    canvas.line([(half - 1.3, 2.67), (half - 0.75, 2.67)], 0.08, rgb(0xF0B040))
    (tail, tail_up), (head, head_up) = look.lamps
    canvas.polygon(_box(tail - 0.02, tail_up - 0.15, tail + 0.1, tail_up + 0.15), _TAIL)
    canvas.polygon(_box(head - 0.16, head_up - 0.1, head + 0.06, head_up + 0.1), _HEAD)
    for axle in (-half + 1.7, half - 1.95):
        canvas.disc((axle, 0.48), 0.58, shade(look.paint, 0.35))
        _wheel(canvas, (axle, 0.46), 0.46, look.spokes, phase)
    return canvas.sprite()


def _box(left: float, low: float, right: float, high: float) -> list[Point]:
    return [(left, low), (right, low), (right, high), (left, high)]
