"""A drawn street with people, dogs, bicycles, cars and buses, and the truth about where they are."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.demo.street.drawing import things
from daemon.demo.street.drawing.backdrop import DUSK, LAMP_GLOW, draw_backdrop, lamp_light
from daemon.demo.street.drawing.canvas import Sprite, fill
from daemon.demo.street.drawing.compositing import Cutout, Drawn, cover, flat, paste
from daemon.demo.street.drawing.traffic import Actor, make_traffic
from daemon.demo.street.drawing.view import View

LABELS: tuple[str, ...] = ("person", "bicycle", "car", "bus", "dog")
COUNTS_FROM = 0.4
"""an object counts when at least this much of it is visible; below that it is neither missed nor a false alarm"""
DAY_LENGTH = 120.0
"""seconds from one noon to the next"""

_NOISE_TILE = 256
_RAMP = np.linspace(-1, 1, 64)
_FALL = np.clip(1 - np.hypot(_RAMP[None, :], _RAMP[:, None]), 0, 1) ** 2
_HALO = np.repeat((255 * _FALL).astype(np.uint8)[:, :, None], 3, axis=2)  # light around a lamp


@dataclass(frozen=True)
class Truth:
    """One object of a rendered picture."""

    label: int
    """index into LABELS"""
    box: tuple[float, float, float, float]
    """xyxy, pixels of the rendered picture, tight around what is visible"""
    visible: float
    """part of the object's own pixels that neither others nor the picture's edge hide, over 0 to 1"""
    actor: int = 0
    """who it is: the same through all pictures until it has gone through the whole street"""


class StreetScene:
    """A street that the seed decides; a picture of it at any time, in any order.

    The same seed shows the same scene at any size; a wider picture of the same height shows more of it.
    """

    def __init__(self, width: int, height: int, seed: int) -> None:
        """width and height in pixels, at least 32; raises ValueError for smaller ones."""
        if min(width, height) < 32:
            raise ValueError(f"a street scene needs at least 32 x 32 pixels, not {width} x {height}")
        layout, looks, houses, noise = (np.random.default_rng([seed, part]) for part in range(4))
        self._view = View(
            width,
            height,
            yaw=float(layout.choice([-1, 1]) * layout.uniform(0.08, 0.28)),
            focal=float(layout.uniform(1.12, 1.28)),
            horizon=float(layout.uniform(0.33, 0.4)),
            eye=float(layout.uniform(3.5, 4.1)),
        )
        self._dawn = float(layout.uniform(0, 1))
        self._lamps = [(float(layout.uniform(-3, 0)) + 11.0 * n, 9.7) for n in (-1, 0, 1, 2)]
        self._backdrop = draw_backdrop(self._view, houses, self._lamps)
        self._actors = make_traffic(self._view, looks)
        furniture = sorted(self._furniture(layout), key=lambda thing: -thing[1])
        self._things = [(d, self._stand(sprite, s, d, 1)) for s, d, sprite in furniture]
        for _, cutout in self._things:
            paste(self._backdrop.day, None, cutout, np.ones(3))
            paste(self._backdrop.dusk, None, cutout, np.array(DUSK))
        self._textures: dict[tuple[int, int], Sprite] = {}
        grain = noise.normal(0, 2.2, (2 * _NOISE_TILE, 2 * _NOISE_TILE, 3)).round()
        self._noise = np.clip(grain, 0, 255).astype(np.uint8), np.clip(-grain, 0, 255).astype(np.uint8)
        self._seed = seed

    def dusk(self, t: float) -> float:
        """How far the day has gone at time t in seconds: 0 is noon, 1 is night fall."""
        wave = 0.5 - 0.5 * math.cos(2 * math.pi * (t / DAY_LENGTH + self._dawn))
        return wave * wave * (3 - 2 * wave)

    def render(self, t: float) -> tuple[NDArray[np.uint8], list[Truth]]:
        """The picture at t seconds, uint8 [H, W, 3] BGR, and the objects in it, far ones first."""
        dusk = self.dusk(t)
        cloud = 1 - 0.14 * max(0.0, math.sin(0.21 * t + 6.3 * self._dawn)) * (1 - dusk)
        sky = cv2.addWeighted(self._backdrop.day, (1 - dusk) * cloud, self._backdrop.dusk, dusk, 0)
        picture = sky.astype(np.uint8, copy=False)
        owner = np.zeros(picture.shape[:2], np.uint8)
        daylight = np.array([(1 - dusk) * cloud + dusk * part for part in DUSK])
        waiting, drawn = list(self._things), list[Drawn | None]()
        for index, actor in enumerate(self._actors):
            while waiting and waiting[0][0] > actor.depth:
                cover(picture, owner, waiting.pop(0)[1], daylight, drawn)
            s, d = actor.place(t)
            light = daylight + dusk * lamp_light(s, d, self._lamps) * np.array(LAMP_GLOW)
            drawn.append(self._draw(picture, owner, index, (s, d, t), light, dusk))
        for _, cutout in waiting:
            cover(picture, owner, cutout, daylight, drawn)
        self._lamp_heads(picture, dusk)
        return self._grain(picture, t), self._truths(owner, drawn, t)

    def _draw(
        self,
        picture: NDArray[np.uint8],
        owner: NDArray[np.uint8],
        index: int,
        at: tuple[float, float, float],
        light: NDArray[np.float64],
        dusk: float,
    ) -> Drawn | None:
        """Draw one actor with its shadow and lamps; None when it is out of sight."""
        actor, (s, d, t) = self._actors[index], at
        step = actor.step(t)
        texture = self._textures.get((index, step))
        if texture is None:
            texture = actor.draw(step / actor.steps, self._texture_scale(actor))
            self._textures[index, step] = texture
        half = max(-texture.left, texture.right)
        if self._view.column(s + half, d) < 0 or self._view.column(s - half, d) > picture.shape[1]:
            return None
        cutout = self._stand(texture, s, d, actor.facing)
        if actor.shadow:
            self._shadow(picture, s, d, actor.shadow, 0.5 - 0.2 * dusk)
        size = paste(picture, owner, cutout, light, index + 1)
        for x, u, colour in actor.lamps if dusk > 0.3 else ():
            self._glow(picture, (s + actor.facing * x, d, u), 0.75, np.array(colour) * (dusk - 0.3))
        h, w = cutout.pixels.shape[:2]
        place = (
            max(0, cutout.x),
            max(0, cutout.y),
            min(picture.shape[1], cutout.x + w),
            min(picture.shape[0], cutout.y + h),
        )
        return Drawn(size, *place) if place[0] < place[2] and place[1] < place[3] else None

    def _texture_scale(self, actor: Actor) -> float:
        """Pixels a metre that an actor's texture needs where it comes nearest."""
        low, high = self._view.reach(actor.depth, 0.0)
        return max(self._view.scale(low, actor.depth), self._view.scale(high, actor.depth))

    def _stand(self, sprite: Sprite, s: float, d: float, facing: int) -> Cutout:
        """Stand a sprite in the street, along it, facing up (1) or down (-1) the street."""
        left, right = s + facing * sprite.left, s + facing * sprite.right
        world = [(left, d, sprite.top), (right, d, sprite.top), (right, d, sprite.bottom), (left, d, sprite.bottom)]
        quad = self._view.project(world)
        low, high = np.floor(quad.min(axis=0)).astype(int), np.ceil(quad.max(axis=0)).astype(int)
        h, w = sprite.pixels.shape[:2]
        texture = np.array([(0, 0), (w, 0), (w, h), (0, h)], np.float32) - np.float32(0.5)
        warp = cv2.getPerspectiveTransform(texture, (quad - low - 0.5).astype(np.float32))
        size = int(high[0] - low[0]), int(high[1] - low[1])
        return Cutout(
            cv2.warpPerspective(sprite.pixels, warp, size).astype(np.uint8, copy=False), int(low[0]), int(low[1])
        )

    def _furniture(self, rng: np.random.Generator) -> list[tuple[float, float, Sprite]]:
        """What stands in the street: (s, d, sprite)."""
        scale = self._view.focal * self._view.height
        placed = [(s, d, things.draw_lamp(scale / (0.8 * d))) for s, d in self._lamps]
        low, high = self._view.reach(18.2, 0.0)
        trees = np.arange(low + rng.uniform(0, 5), high, 7.5).tolist()
        placed += [(s, 18.1, things.draw_tree(rng, scale / 16.0)) for s in trees]
        for d in (8.9, 20.4, 20.4):
            low, high = self._view.reach(d, -0.5)
            draw: Callable[[float], Sprite] = things.draw_bench
            if rng.random() < 0.6:
                placed.append((float(rng.uniform(low, high)), d, things.draw_bin(rng, scale / (0.8 * d))))
            else:
                placed.append((float(rng.uniform(low, high)), d, draw(scale / (0.8 * d))))
        return placed

    def _shadow(self, picture: NDArray[np.uint8], s: float, d: float, half: tuple[float, float], depth: float) -> None:
        """Darken the ground under something `half` long and deep, in metres."""
        ring = np.linspace(0, 2 * math.pi, 24, endpoint=False)
        points = np.stack([s + 1.05 * half[0] * np.cos(ring), d + half[1] * np.sin(ring), 0 * ring], axis=1)
        outline = self._view.project(points)
        low = np.maximum(np.floor(outline.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(outline.max(axis=0)).astype(int), (picture.shape[1], picture.shape[0]))
        if (high <= low).any():
            return
        patch = picture[low[1] : high[1], low[0] : high[0]]
        dark = patch.copy()
        fill(dark, outline - low, (30, 25, 25))
        cv2.addWeighted(dark, depth, patch, 1 - depth, 0, dst=patch)

    def _glow(
        self, picture: NDArray[np.uint8], at: tuple[float, float, float], radius: float, colour: NDArray[np.float64]
    ) -> None:
        """Add light around a lamp; radius in metres, colour in grey levels."""
        (x, y), reach = self._view.project([at])[0], radius * self._view.scale(at[0], at[1])
        left, top = max(0, math.floor(x - reach)), max(0, math.floor(y - reach))
        right, low = min(picture.shape[1], math.ceil(x + reach)), min(picture.shape[0], math.ceil(y + reach))
        if right <= left or low <= top:
            return
        middle = _HALO.shape[0] / 2
        zoom = reach / middle
        place = np.array([[zoom, 0, x - left - middle * zoom], [0, zoom, y - top - middle * zoom]])
        halo = cv2.warpAffine(_HALO, place, (right - left, low - top))
        tint = flat(low - top, right - left, colour)
        patch = picture[top:low, left:right]
        cv2.add(patch, cv2.multiply(halo, tint, scale=1 / 255), dst=patch)

    def _lamp_heads(self, picture: NDArray[np.uint8], dusk: float) -> None:
        if dusk > 0.3:
            for s, d in self._lamps:
                self._glow(picture, (s + 0.9, d, things.LAMP_HEIGHT), 1.6, np.array((150, 215, 255)) * (dusk - 0.3))

    def _grain(self, picture: NDArray[np.uint8], t: float) -> NDArray[np.uint8]:
        """Sensor noise: another part of one noise tile for every millisecond."""
        mixed = (round(t * 1000) * 2654435761 + self._seed * 40503) & 0xFFFFFFFF
        x, y = mixed >> 8 & 255, mixed >> 16 & 255
        for row in range(0, picture.shape[0], _NOISE_TILE):
            for column in range(0, picture.shape[1], _NOISE_TILE):
                patch = picture[row : row + _NOISE_TILE, column : column + _NOISE_TILE]
                h, w = patch.shape[:2]
                light, dark = (tile[y : y + h, x : x + w] for tile in self._noise)
                cv2.subtract(cv2.add(patch, light), dark, dst=patch)
        return picture

    def _truths(self, owner: NDArray[np.uint8], drawn: list[Drawn | None], t: float) -> list[Truth]:
        """The truth from the picture's owner map: which actor (index + 1) each pixel shows."""
        truths = []
        for index, at in enumerate(drawn):
            if at is None:
                continue
            shown = (owner[at.top : at.bottom, at.left : at.right] == index + 1).astype(np.uint8)
            count = cv2.countNonZero(shown)
            if count:
                x, y, w, h = cv2.boundingRect(shown)
                left, top = float(at.left + x), float(at.top + y)
                actor = self._actors[index]
                number = actor.round(t) * len(self._actors) + index
                truths.append(Truth(actor.label, (left, top, left + w, top + h), count / at.size, number))
        return truths
