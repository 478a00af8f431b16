"""What never moves in the street scene: sky, hills, houses, gardens, pavements and road, by day and at dusk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.demo.street.drawing.canvas import Colour, fill, rgb, shade
from daemon.demo.street.drawing.view import View

KERB_NEAR, KERB_FAR, FENCE, HOUSES = 9.4, 17.7, 20.9, 25.0
"""depths in metres where the near pavement ends, the far one begins and ends, and the houses stand"""
DUSK = (0.66, 0.5, 0.46)
"""what dusk leaves of daylight in blue, green and red"""
LAMP_GLOW = (0.3, 0.52, 0.66)
"""what a street lamp adds right below it, in the same unit"""

_WALLS = [rgb(c) for c in (0xE8D8C0, 0xD9A78B, 0xC9D3CF, 0xE6C98F, 0xB9C4D0, 0xD8B4A6, 0xC47F66, 0xEFE9DD)]
_ROOFS = [rgb(c) for c in (0x8C4A3C, 0x5E5A5E, 0xA65D45, 0x6F4E46, 0x4C5560)]
_DOORS = [rgb(c) for c in (0x2F4858, 0x7A2E2E, 0x33563F, 0x8A6A3B)]
_GREEN, _HILL, _LAWN = rgb(0x5E8C5A), rgb(0x9DB8A4), rgb(0x8FB174)
_ASPHALT, _PAVING, _KERB = rgb(0x6E7175), rgb(0xB9B3A9), rgb(0xD5D0C6)
_CYCLE, _PAINT, _PANE, _LIT = rgb(0x94736C), rgb(0xE9E7E0), rgb(0x6F8794), rgb(0xF4C072)

Corner = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Backdrop:
    """The empty street in two lights; what lies between is a blend of both."""

    day: NDArray[np.uint8]
    """[H, W, 3] BGR"""
    dusk: NDArray[np.uint8]
    """[H, W, 3] BGR"""


def lamp_light(s: float, d: float, lamps: Sequence[tuple[float, float]]) -> float:
    """How much of LAMP_GLOW reaches a point of the ground, 0 to 1; lamps as (s, d)."""
    return min(1.0, sum(math.exp(-((s - ls) ** 2 + (d - ld) ** 2) / 14.0) for ls, ld in lamps))


def draw_backdrop(view: View, rng: np.random.Generator, lamps: Sequence[tuple[float, float]]) -> Backdrop:
    """The street of this view; the random generator chooses its houses and colours."""
    painter = _Painter(view)
    _hills(painter, rng)
    _houses(painter, rng)
    _gardens(painter, rng)
    _ground(painter)
    alpha = painter.pixels[:, :, 3:].astype(np.float32) / 255
    things = painter.pixels[:, :, :3].astype(np.float32) * _grain(view, rng)[:, :, None]
    glow = painter.lit.astype(np.float32)
    spread = cv2.GaussianBlur(glow, (0, 0), view.height / 45)
    light = np.array(DUSK, np.float32) + _pools(view, lamps)[:, :, None] * np.array(LAMP_GLOW, np.float32)
    day = _sky(view, rng, (rgb(0x7FB2DC), rgb(0xDCE9EC)), rgb(0xFFFFFF))
    dusk = _sky(view, rng, (rgb(0x3B4A78), rgb(0xE0A080)), rgb(0xB58A90))
    return Backdrop(
        np.clip(day * (1 - alpha) + things, 0, 255).astype(np.uint8),
        np.clip(
            dusk * (1 - alpha) + things * light * (glow.max(axis=2, keepdims=True) == 0) + glow + 0.35 * spread, 0, 255
        ).astype(np.uint8),
    )


class _Painter:
    """Fills polygons given in street coordinates."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.pixels = np.zeros((view.height, view.width, 4), np.uint8)
        self.lit = np.zeros((view.height, view.width, 3), np.uint8)

    def quad(self, corners: Sequence[Corner], colour: Colour) -> None:
        fill(self.pixels, self.view.project(corners), (*colour, 255))

    def wall(self, s: tuple[float, float], u: tuple[float, float], d: float, colour: Colour, lit: bool = False) -> None:
        """An upright rectangle along the street; a lit one shines at dusk."""
        corners = [(s[0], d, u[0]), (s[1], d, u[0]), (s[1], d, u[1]), (s[0], d, u[1])]
        self.quad(corners, colour)
        if lit:
            fill(self.lit, self.view.project(corners), _LIT)

    def floor(self, s: tuple[float, float], d: tuple[float, float], colour: Colour) -> None:
        """A rectangle on the ground."""
        self.quad([(s[0], d[0], 0), (s[1], d[0], 0), (s[1], d[1], 0), (s[0], d[1], 0)], colour)


def _sky(view: View, rng: np.random.Generator, ends: tuple[Colour, Colour], cloud: Colour) -> NDArray[np.float32]:
    rows = np.clip(np.arange(view.height, dtype=np.float32) / (view.height * view.horizon), 0, 1)[:, None, None]
    top, low = (np.array(colour, np.float32) for colour in ends)
    sky = np.repeat(top * (1 - rows) + low * rows, view.width, axis=1)
    state = rng.bit_generator.state
    cover = np.zeros((view.height, view.width), np.uint8)
    for _ in range(5):
        x, y, size = rng.uniform(-0.6, 0.6) * 1.9 * view.height, rng.uniform(0.02, 0.22), rng.uniform(0.04, 0.09)
        for puff in range(6):
            centre = (
                view.width / 2 + x + (puff - 2.5) * 0.6 * size * view.height,
                (y - rng.uniform(0, 0.02)) * view.height,
            )
            ring = np.linspace(0, 2 * math.pi, 20)
            radius = size * view.height * rng.uniform(0.4, 0.75)
            oval = np.stack([centre[0] + radius * np.cos(ring), centre[1] + 0.3 * radius * np.sin(ring)], axis=1)
            fill(cover, oval, (150,))
    rng.bit_generator.state = state  # both skies get the same clouds
    veil = cv2.GaussianBlur(cover, (0, 0), view.height / 70).astype(np.float32)[:, :, None] / 255
    return np.asarray(sky * (1 - veil) + np.array(cloud, np.float32) * veil, np.float32)


def _hills(painter: _Painter, rng: np.random.Generator) -> None:
    for depth, height, colour in ((160.0, 11.0, _HILL), (60.0, 6.5, shade(_GREEN, 1.15))):
        low, high = painter.view.reach(depth, 20.0)
        s = np.linspace(low, high, 90)
        waves = np.zeros_like(s)
        for f in (3.0, 7.0, 17.0, 41.0):
            waves += rng.uniform(0.1, 0.3) * np.sin(s / depth * f + rng.uniform(0, 6.3))
        ridge = [(float(x), depth, float(u)) for x, u in zip(s, height * (0.75 + waves), strict=True)]
        painter.quad([*ridge, (high, depth, -2.0), (low, depth, -2.0)], colour)


def _houses(painter: _Painter, rng: np.random.Generator) -> None:
    s, high = painter.view.reach(HOUSES, 2.0)
    painter.floor((s - 30, high + 30), (KERB_FAR, 90.0), _LAWN)
    while s < high:
        width = float(rng.uniform(5.5, 9.0))
        _house(painter, rng, s, width)
        s += width + float(rng.choice([0.0, 0.0, 1.2, 3.5]))


def _house(painter: _Painter, rng: np.random.Generator, left: float, width: float) -> None:
    colour, roof = _WALLS[int(rng.integers(len(_WALLS)))], _ROOFS[int(rng.integers(len(_ROOFS)))]
    right, eaves, ridge = left + width, float(rng.uniform(5.0, 6.4)), float(rng.uniform(2.0, 2.8))
    chimney = left + width * float(rng.uniform(0.2, 0.7))
    painter.wall((chimney, chimney + 0.7), (eaves, eaves + ridge + 0.9), HOUSES + 2, shade(roof, 0.8))
    if rng.random() < 0.35:
        gable = [(left, HOUSES, eaves), (right, HOUSES, eaves), ((left + right) / 2, HOUSES, eaves + ridge)]
        painter.quad(gable, colour)
        for end, tip in ((left - 0.3, -1), (right + 0.3, 1)):
            rake = [(end, HOUSES, eaves - 0.2), ((left + right) / 2, HOUSES, eaves + ridge + 0.1)]
            painter.quad(
                [*rake, (rake[1][0], HOUSES, rake[1][2] - 0.45), (end - 0.1 * tip, HOUSES, eaves - 0.55)], roof
            )
    else:
        slope = [(left - 0.3, HOUSES, eaves - 0.1), (right + 0.3, HOUSES, eaves - 0.1)]
        painter.quad([*slope, (right - 0.4, HOUSES + 3, eaves + ridge), (left + 0.4, HOUSES + 3, eaves + ridge)], roof)
    painter.wall((left, right), (0, eaves), HOUSES, colour)
    painter.wall((left, right), (eaves - 0.3, eaves - 0.1), HOUSES, shade(colour, 0.82))
    painter.wall((left, right), (0, 0.5), HOUSES, shade(colour, 0.75))
    columns = max(2, round(width / 2.2))
    door = int(rng.integers(columns))
    for column in range(columns):
        middle = left + (column + 0.5) * width / columns
        for floor in (0.0, eaves / 2):
            if floor == 0 and column == door:
                painter.wall((middle - 0.6, middle + 0.6), (0, 2.4), HOUSES, shade(colour, 1.15))
                painter.wall((middle - 0.48, middle + 0.48), (0, 2.25), HOUSES, _DOORS[int(rng.integers(len(_DOORS)))])
            else:
                _window(painter, middle, floor + 0.95, bool(rng.random() < 0.45))


def _window(painter: _Painter, middle: float, sill: float, lit: bool) -> None:
    painter.wall((middle - 0.62, middle + 0.62), (sill - 0.12, sill + 1.45), HOUSES, _PAINT)
    for left in (middle - 0.52, middle + 0.04):
        painter.wall((left, left + 0.48), (sill, sill + 1.33), HOUSES, _PANE, lit)
    painter.wall((middle - 0.72, middle + 0.72), (sill - 0.2, sill - 0.08), HOUSES, shade(_PAINT, 0.85))


def _gardens(painter: _Painter, rng: np.random.Generator) -> None:
    low, high = painter.view.reach(FENCE, 3.0)
    for s in np.arange(low, high, 1.1):
        middle, depth, size = s + rng.uniform(-0.4, 0.4), rng.uniform(22.0, 24.0), rng.uniform(0.4, 0.95)
        angle = np.linspace(0, 2 * math.pi, 22)
        bush = [(middle + size * math.cos(a), depth, max(0.0, 0.6 * size + 0.8 * size * math.sin(a))) for a in angle]
        painter.quad(bush, shade(_GREEN, float(rng.uniform(0.75, 1.15))))
    s = low
    while s < high:
        width = float(rng.uniform(4.0, 9.0))
        if rng.random() < 0.55:
            painter.wall((s, s + width), (0, 0.8), FENCE, shade(_GREEN, 0.8))
            painter.wall((s, s + width), (0.66, 0.8), FENCE, shade(_GREEN, 0.95))
        else:
            for post in np.arange(s, s + width - 0.1, 0.32):
                painter.wall((post, post + 0.14), (0, 0.85), FENCE, _PAINT)
            painter.wall((s, s + width), (0.55, 0.65), FENCE, shade(_PAINT, 0.93))
        s += width + 1.2


def _ground(painter: _Painter) -> None:
    wide, close = painter.view.reach(FENCE, 2.0), painter.view.reach(KERB_NEAR, 2.0)
    painter.floor(wide, (KERB_FAR, FENCE - 0.05), _PAVING)
    painter.floor(wide, (KERB_NEAR, KERB_FAR), _ASPHALT)
    painter.floor(wide, (16.1, KERB_FAR - 0.25), _CYCLE)
    painter.floor(wide, (KERB_NEAR + 0.25, 10.8), _CYCLE)
    painter.floor(close, (4.2, KERB_NEAR), shade(_PAVING, 1.04))
    for depth in (KERB_FAR, KERB_NEAR):
        painter.floor(wide, (depth - 0.22, depth), shade(_KERB, 0.78))
        painter.floor(wide, (depth, depth + 0.2), _KERB)
    for depth in (10.85, 16.05):
        painter.floor(wide, (depth - 0.06, depth + 0.06), _PAINT)
    for s in np.arange(round(wide[0] / 4) * 4, wide[1], 4.0):
        painter.floor((s, s + 2.0), (13.4, 13.54), _PAINT)
    joint = shade(_PAVING, 0.9)
    for near, far, reach in ((4.2, KERB_NEAR, close), (KERB_FAR + 0.2, FENCE, wide)):
        for s in np.arange(round(reach[0]), reach[1], 1.2):
            painter.floor((s, s + 0.035), (near, far), joint)
        for depth in np.arange(near, far, 1.2):
            painter.floor(reach, (depth, depth + 0.035), joint)


def _grain(view: View, rng: np.random.Generator) -> NDArray[np.float32]:
    """Fine unevenness of every surface, around 1; the same at any size of the picture."""
    texture = np.ones((view.height, view.width), np.float32)
    for rows, strength in ((400, 0.028), (60, 0.025)):
        patch = rng.normal(0, strength, (rows, 2 * rows)).astype(np.float32)
        texture += (
            cv2.resize(patch, (2 * view.height, view.height))[:, : view.width]
            if view.width <= 2 * view.height
            else cv2.resize(patch, (view.width, view.height))
        )
    return texture


def _pools(view: View, lamps: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
    """How much of the lamps' light reaches each pixel of the ground, 0 to 1."""
    x = (np.arange(view.width) + 0.5 - view.width / 2) / (view.focal * view.height)
    y = np.maximum((np.arange(view.height) + 0.5) / view.height - view.horizon, 1e-3) / view.focal
    ahead = (view.eye / y)[:, None]
    across = x[None, :] * ahead
    s = across * math.cos(view.yaw) + ahead * math.sin(view.yaw)
    d = -across * math.sin(view.yaw) + ahead * math.cos(view.yaw)
    light = sum((np.exp(-((s - ls) ** 2 + (d - ld) ** 2) / 14.0) for ls, ld in lamps), np.zeros_like(s))
    return np.minimum(light, 1.0).astype(np.float32)
