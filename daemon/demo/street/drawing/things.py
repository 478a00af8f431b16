"""Things that stand in the street and hide what passes behind them: trees, lamps, bins and benches."""

from __future__ import annotations

import math

import numpy as np

from daemon.demo.street.drawing.canvas import Canvas, Sprite, rgb, shade, smooth

LAMP_HEIGHT = 5.2
"""metres"""
_BARK, _METAL, _WOOD = rgb(0x6B5444), rgb(0x3E464C), rgb(0x9A7250)
_LEAVES = [rgb(c) for c in (0x5F9150, 0x7BA35A, 0x4F8265, 0x9CA84E)]
_BINS = [rgb(c) for c in (0x3C6E58, 0x4A5A6A, 0xC88A2E, 0xA8443C)]


def draw_tree(rng: np.random.Generator, scale: float) -> Sprite:
    canvas = Canvas(-2.1, 2.1, 0.0, 6.4, scale)
    canvas.polygon([(-0.17, 0), (0.17, 0), (0.1, 2.8), (-0.09, 2.8)], _BARK)
    canvas.polygon([(0.02, 0), (0.17, 0), (0.1, 2.8), (0.03, 2.8)], shade(_BARK, 0.8))
    leaves = _LEAVES[int(rng.integers(len(_LEAVES)))]
    for tone, lift in ((0.8, -0.25), (1.0, 0.0), (1.14, 0.35)):
        for _ in range(9):
            angle, reach = rng.uniform(0, 2 * math.pi), rng.uniform(0.2, 1.15)
            centre = reach * math.cos(angle) - 0.2 * lift, 4.3 + lift + 1.05 * reach * math.sin(angle)
            canvas.disc(centre, float(rng.uniform(0.35, 0.62)) * (1.5 if tone < 1 else 1.0), shade(leaves, tone))
    return canvas.sprite()


def draw_lamp(scale: float) -> Sprite:
    canvas = Canvas(-0.3, 1.3, 0.0, LAMP_HEIGHT + 0.3, scale)
    canvas.line([(0, 0.1), (0, 1.0)], 0.2, shade(_METAL, 0.9))
    canvas.line([(0, 0.0), (0, LAMP_HEIGHT - 0.4), (0.25, LAMP_HEIGHT), (0.9, LAMP_HEIGHT + 0.08)], 0.1, _METAL)
    canvas.polygon(
        [(0.6, LAMP_HEIGHT + 0.16), (1.2, LAMP_HEIGHT + 0.14), (1.2, LAMP_HEIGHT), (0.6, LAMP_HEIGHT + 0.02)], _METAL
    )
    canvas.line([(0.7, LAMP_HEIGHT), (1.12, LAMP_HEIGHT)], 0.05, rgb(0xFFF1CC))
    return canvas.sprite()


def draw_bin(rng: np.random.Generator, scale: float) -> Sprite:
    colour = _BINS[int(rng.integers(len(_BINS)))]
    canvas = Canvas(-0.4, 0.4, 0.0, 1.15, scale)
    canvas.polygon(smooth([(-0.26, 0), (0.26, 0), (0.32, 0.9), (-0.32, 0.9)], 1), colour)
    canvas.polygon([(0.05, 0.03), (0.24, 0.03), (0.29, 0.88), (0.08, 0.88)], shade(colour, 0.85))
    canvas.polygon(smooth([(-0.36, 0.86), (0.36, 0.86), (0.3, 1.1), (-0.3, 1.1)], 1), shade(colour, 0.7))
    return canvas.sprite()


def draw_bench(scale: float) -> Sprite:
    canvas = Canvas(-0.95, 0.95, 0.0, 1.0, scale)
    for x in (-0.7, 0.7):
        canvas.line([(x, 0.0), (x, 0.9)], 0.07, _METAL)
    for u in (0.46, 0.68, 0.82):
        canvas.line([(-0.88, u), (0.88, u)], 0.1, _WOOD)
    return canvas.sprite()
