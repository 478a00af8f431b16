"""People, dogs, bicycles and their riders, seen from the side and facing right."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from daemon.demo.street.drawing.canvas import Canvas, Colour, Point, Sprite, rgb, shade, smooth

_SKIN = [rgb(c) for c in (0xF2C9A8, 0xE0AC85, 0xC68A62, 0x9A6443, 0x6B4430)]
_HAIR = [rgb(c) for c in (0x2B211D, 0x4A3226, 0x7A5230, 0xC79A5B, 0x8D8D8D, 0x9C4A2A)]
_TOPS = [rgb(c) for c in (0xC8553D, 0x2F6690, 0xE9C46A, 0x588157, 0x7B506F, 0xF4F1DE, 0x3D405B, 0xD98E73, 0x4AA3A2)]
_LEGS = [rgb(c) for c in (0x2C3E50, 0x3B4A6B, 0x5C5346, 0x1F2227, 0x8A7B66, 0x4E6151)]
_SHOES = [rgb(c) for c in (0x2A2A2A, 0x7A4B2A, 0xE8E4DA, 0x8C2F2F)]
_COATS = [rgb(c) for c in (0x5B3A21, 0x2E2723, 0xD2B48C, 0xEDE6DA, 0x9B6B3F, 0x77746F)]
_FRAMES = [rgb(c) for c in (0xB23A48, 0x2A6F97, 0x3A7D44, 0xE0A030, 0x2E2E2E, 0xE6E6E6)]
_TYRE, _RIM, _SEAT = rgb(0x26282B), rgb(0xB9BEC4), rgb(0x33302E)

WHEEL = 0.35
"""metres, radius of a bicycle's wheel"""


def _pick(rng: np.random.Generator, colours: list[Colour]) -> Colour:
    return colours[int(rng.integers(len(colours)))]


@dataclass(frozen=True, slots=True)
class Person:
    """How one person looks."""

    height: float
    """metres"""
    build: float
    """width of limbs and trunk, 1 is usual"""
    skin: Colour
    hair: Colour
    top: Colour
    legs: Colour
    shoes: Colour
    long_hair: bool
    hat: bool
    pack: bool
    skirt: bool

    @property
    def stride(self) -> float:
        """Metres walked in two steps."""
        return 0.8 * self.height


@dataclass(frozen=True, slots=True)
class Dog:
    """How one dog looks."""

    size: float
    """1 is a dog of 0.65 m to the shoulder"""
    coat: Colour
    ear: Colour
    collar: Colour
    floppy: bool

    @property
    def stride(self) -> float:
        """Metres trotted in one cycle of the legs."""
        return 0.9 * self.size


def any_person(rng: np.random.Generator) -> Person:
    child = rng.random() < 0.15
    return Person(
        height=float(rng.uniform(1.2, 1.45) if child else rng.uniform(1.6, 1.92)),
        build=float(rng.uniform(0.9, 1.25)),
        skin=_pick(rng, _SKIN),
        hair=_pick(rng, _HAIR),
        top=_pick(rng, _TOPS),
        legs=_pick(rng, _LEGS),
        shoes=_pick(rng, _SHOES),
        long_hair=bool(rng.random() < 0.4),
        hat=bool(rng.random() < 0.25),
        pack=bool(rng.random() < 0.3),
        skirt=bool(rng.random() < 0.25),
    )


def any_dog(rng: np.random.Generator) -> Dog:
    coat = _pick(rng, _COATS)
    ear = shade(coat, float(rng.choice([0.6, 0.8])))
    return Dog(float(rng.uniform(0.9, 1.2)), coat, ear, _pick(rng, _TOPS), bool(rng.random() < 0.5))


def any_frame(rng: np.random.Generator) -> Colour:
    return _pick(rng, _FRAMES)


def _along(start: Point, angle: float, length: float) -> Point:
    """The end of a limb that hangs from `start`; angle 0 hangs down, positive swings ahead."""
    return start[0] + length * math.sin(angle), start[1] - length * math.cos(angle)


def _joint(start: Point, end: Point, upper: float, lower: float, side: float) -> Point:
    """Where knee or elbow is between two ends; side 1 bends ahead, -1 back."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    reach = min(math.hypot(dx, dy), 0.999 * (upper + lower))
    along = (upper**2 - lower**2 + reach**2) / (2 * reach)
    off = math.sqrt(max(0.0, upper**2 - along**2)) * side
    ux, uy = dx / reach, dy / reach
    return start[0] + ux * along - uy * off, start[1] + uy * along + ux * off


def draw_person(look: Person, phase: float, scale: float) -> Sprite:
    """A walking person; phase in cycles of two steps, scale in pixels a metre."""
    h, turn = look.height, 2 * math.pi * phase
    canvas = Canvas(-0.42 * h, 0.42 * h, 0.0, 1.06 * h, scale)
    angles = [(0.42 * math.sin(a), 0.1 + 0.75 * max(0.0, math.cos(a)) ** 2) for a in (turn + math.pi, turn)]
    drops = [0.245 * math.cos(swing) + 0.235 * math.cos(swing - bend) for swing, bend in angles]
    hip = (0.0, h * (0.035 + max(drops)))
    shoulder = (0.025 * h, hip[1] + 0.29 * h)
    for far, (swing, bend) in zip((True, False), angles, strict=True):
        dim = 0.72 if far else 1.0
        if not far:
            _trunk(canvas, look, hip, shoulder)
        _leg(canvas, look, hip, swing, bend, dim)
        if not far and look.skirt:
            _skirt(canvas, look, hip, angles)
        elbow = _along(shoulder, -0.75 * swing, 0.17 * h)
        hand = _along(elbow, -0.75 * swing + 0.35, 0.15 * h)
        _arm(canvas, look, shoulder, elbow, hand, dim)
    _head(canvas, look, (shoulder[0] + 0.012 * h, shoulder[1] + 0.118 * h))
    return canvas.sprite()


def _leg(canvas: Canvas, look: Person, hip: Point, swing: float, bend: float, dim: float) -> None:
    h, width = look.height, look.height * look.build
    knee = _along(hip, swing, 0.245 * h)
    ankle = _along(knee, swing - bend, 0.235 * h)
    toe = _along(ankle, swing - bend + 1.35, 0.085 * h)
    lower = look.skin if look.skirt else look.legs
    canvas.line([ankle, toe], 0.042 * h, shade(look.shoes, dim))
    canvas.line([knee, ankle], 0.058 * width, shade(lower, dim))
    canvas.line([hip, knee], 0.085 * width, shade(lower, dim))


def _arm(canvas: Canvas, look: Person, shoulder: Point, elbow: Point, hand: Point, dim: float) -> None:
    width = look.height * look.build
    canvas.line([elbow, hand], 0.04 * width, shade(look.skin, dim))
    canvas.line([shoulder, elbow], 0.058 * width, shade(look.top, dim * 0.9))


def _trunk(canvas: Canvas, look: Person, hip: Point, shoulder: Point) -> None:
    h, half = look.height, 0.068 * look.height * look.build
    (hx, hy), (sx, sy) = hip, shoulder
    if look.pack:
        pack = [
            (sx - 0.03 * h, sy),
            (sx - 0.15 * h, sy - 0.02 * h),
            (hx - 0.16 * h, hy + 0.07 * h),
            (hx, hy + 0.06 * h),
        ]
        canvas.polygon(smooth(pack), shade(look.hair, 0.8))
    outline = [
        (hx - half, hy - 0.03 * h),
        (hx + half, hy - 0.03 * h),
        (hx + half * 1.05, hy + 0.12 * h),
        (sx + half * 0.9, sy + 0.02 * h),
        (sx, sy + 0.05 * h),
        (sx - half, sy + 0.02 * h),
        (hx - half * 1.1, hy + 0.12 * h),
    ]
    canvas.polygon(smooth(outline, 1), look.top)


def _skirt(canvas: Canvas, look: Person, hip: Point, angles: list[tuple[float, float]]) -> None:
    h = look.height
    knees = [_along(hip, swing, 0.2 * h)[0] for swing, _ in angles]
    low, half = hip[1] - 0.2 * h, 0.07 * h * look.build
    outline = [(hip[0] - half, hip[1] + 0.05 * h), (hip[0] + half, hip[1] + 0.05 * h)]
    canvas.polygon([*outline, (max(knees) + 0.06 * h, low), (min(knees) - 0.06 * h, low)], look.legs)


def _head(canvas: Canvas, look: Person, centre: Point) -> None:
    h, (x, y) = look.height, centre
    canvas.line([(x - 0.012 * h, y - 0.09 * h), (x - 0.004 * h, y - 0.03 * h)], 0.05 * h, shade(look.skin, 0.9))
    if look.long_hair:
        canvas.oval((x - 0.035 * h, y - 0.035 * h), (0.045 * h, 0.085 * h), look.hair, 0.15)
    canvas.oval((x - 0.01 * h, y + 0.012 * h), (0.064 * h, 0.066 * h), look.hair)
    canvas.oval((x + 0.012 * h, y - 0.006 * h), (0.05 * h, 0.06 * h), look.skin)
    canvas.line([(x + 0.055 * h, y - 0.002 * h), (x + 0.066 * h, y - 0.014 * h)], 0.018 * h, look.skin)
    fringe = [
        (x + 0.05 * h, y + 0.03 * h),
        (x - 0.03 * h, y + 0.02 * h),
        (x - 0.04 * h, y + 0.07 * h),
        (x + 0.03 * h, y + 0.075 * h),
    ]
    canvas.polygon(smooth(fringe, 1), look.top if look.hat else look.hair)
    if look.hat:
        canvas.oval((x - 0.004 * h, y + 0.04 * h), (0.068 * h, 0.045 * h), shade(look.top, 0.85))
        canvas.line([(x, y + 0.025 * h), (x + 0.1 * h, y + 0.022 * h)], 0.018 * h, shade(look.top, 0.7))


def draw_dog(look: Dog, phase: float, scale: float) -> Sprite:
    """A trotting dog; phase in cycles of the legs."""
    k, turn = look.size, 2 * math.pi * phase
    canvas = Canvas(-0.62 * k, 0.72 * k, 0.0, 0.95 * k, scale)
    body = shade(look.coat, 1.0)
    for far in (True, False):
        tone = shade(body, 0.72 if far else 0.95)
        for x, lag in ((-0.3, 0.0), (0.27, 0.5)):
            swing = 0.5 * math.sin(turn + math.pi * (far + 2 * lag))
            lift = 0.06 * max(0.0, math.cos(turn + math.pi * (far + 2 * lag)))
            hip, paw = (x * k, 0.42 * k), ((x + 0.3 * math.sin(swing)) * k, (0.035 + lift) * k)
            knee = _joint(hip, paw, 0.22 * k, 0.2 * k, 1.0 if x < 0 else -1.0)
            canvas.line([hip, knee], 0.11 * k, tone)
            canvas.line([knee, paw, (paw[0] + 0.04 * k, paw[1])], 0.065 * k, tone)
        if far:
            wag = 0.25 * math.sin(2 * turn)
            canvas.line(
                [(-0.4 * k, 0.52 * k), (-0.5 * k, 0.66 * k), ((-0.52 + 0.12 * wag) * k, 0.8 * k)], 0.06 * k, tone
            )
    outline = [
        (-0.44, 0.42),
        (-0.42, 0.62),
        (-0.1, 0.6),
        (0.28, 0.66),
        (0.42, 0.58),
        (0.36, 0.36),
        (0.1, 0.33),
        (-0.2, 0.4),
    ]
    canvas.polygon(smooth([(x * k, y * k) for x, y in outline]), body)
    canvas.line([(0.3 * k, 0.56 * k), (0.42 * k, 0.74 * k)], 0.18 * k, body)
    canvas.line([(0.3 * k, 0.66 * k), (0.42 * k, 0.61 * k)], 0.045 * k, look.collar)
    canvas.oval((0.46 * k, 0.77 * k), (0.12 * k, 0.105 * k), body)
    canvas.line([(0.5 * k, 0.74 * k), (0.63 * k, 0.71 * k)], 0.095 * k, body)
    canvas.disc((0.67 * k, 0.73 * k), 0.028 * k, rgb(0x1D1A19))
    canvas.disc((0.51 * k, 0.8 * k), 0.018 * k, rgb(0x1D1A19))
    ear = [(0.36, 0.84), (0.46, 0.86), (0.42, 0.64)] if look.floppy else [(0.35, 0.82), (0.47, 0.84), (0.38, 0.95)]
    canvas.polygon([(x * k, y * k) for x, y in ear], look.ear)
    return canvas.sprite()


_CRANK, _SADDLE, _BARS = (-0.02, 0.33), (-0.2, 0.93), (0.42, 1.02)


def draw_bicycle(frame: Colour, phase: float, scale: float) -> Sprite:
    """A bicycle without its rider; phase in turns of the cranks."""
    canvas = Canvas(-0.95, 0.97, 0.0, 1.12, scale)
    rear, front, turn = (-0.55, WHEEL), (0.57, WHEEL), -2 * math.pi * phase
    for hub in (rear, front):
        for spoke in range(5):
            canvas.line([hub, _along(hub, turn * 2 + spoke * 2 * math.pi / 5, WHEEL - 0.03)], 0.012, _RIM)
        ring = [_along(hub, a, WHEEL - 0.03) for a in np.linspace(0, 2 * math.pi, 40)]
        canvas.line(ring, 0.055, _TYRE)
        canvas.disc(hub, 0.045, _RIM)
    head = (0.4, 0.82)
    for path in ([rear, _CRANK, (-0.16, 0.78), rear], [_CRANK, head, (-0.16, 0.78)], [front, head]):
        canvas.line(path, 0.05, frame)
    canvas.line([(-0.16, 0.76), _SADDLE], 0.035, _RIM)
    canvas.line([(-0.32, 0.94), (-0.08, 0.95)], 0.065, _SEAT)
    canvas.line([head, (0.38, 0.98), _BARS, (0.34, 1.05)], 0.04, _SEAT)
    canvas.disc(_CRANK, 0.085, _RIM)
    for a in (turn, turn + math.pi):
        canvas.line([_CRANK, _along(_CRANK, a, 0.17)], 0.035, _SEAT)
    return canvas.sprite()


def draw_rider(look: Person, phase: float, scale: float) -> Sprite:
    """The rider of a bicycle that stands at the same point; phase in turns of the cranks."""
    canvas, turn = Canvas(-0.75, 0.75, 0.1, 2.0, scale), -2 * math.pi * phase
    h, hip = 1.72, (-0.2, 1.0)
    shoulder = (0.08, 1.46)
    for far in (True, False):
        dim = 0.72 if far else 1.0
        pedal = _along(_CRANK, turn + math.pi * far, 0.17)
        ankle = (pedal[0] - 0.05, pedal[1] + 0.09)
        knee = _joint(hip, ankle, 0.43, 0.43, 1.0)
        if not far:
            outline = [(-0.32, 0.94), (-0.1, 0.93), (0.04, 1.2), (0.2, 1.42), (0.1, 1.56), (-0.08, 1.48), (-0.25, 1.22)]
            canvas.polygon(smooth(outline, 1), look.top)
        canvas.line([ankle, (ankle[0] + 0.13, ankle[1] - 0.06)], 0.07, shade(look.shoes, dim))
        canvas.line([knee, ankle], 0.1 * look.build, shade(look.legs, dim))
        canvas.line([hip, knee], 0.14 * look.build, shade(look.legs, dim))
        elbow = _joint(shoulder, _BARS, 0.3, 0.27, -1.0)
        _arm(canvas, look, shoulder, elbow, _BARS, dim)
    _head(
        canvas,
        Person(h, 1.0, look.skin, look.hair, look.top, look.legs, look.shoes, look.long_hair, look.hat, False, False),
        (0.16, 1.67),
    )
    return canvas.sprite()
