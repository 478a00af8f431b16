"""Who moves in the street scene, where and how fast."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from daemon.demo.street.drawing import figures, vehicles
from daemon.demo.street.drawing.canvas import Colour, Sprite
from daemon.demo.street.drawing.view import View

_PERSON, _BICYCLE, _CAR, _BUS, _DOG = range(5)
_HEADLIGHT, _TAILLIGHT = (170, 215, 240), (40, 40, 200)
_STEPS = 12
"""pictures of one cycle of a gait or a wheel"""


@dataclass(frozen=True, slots=True)
class Actor:
    """Something that moves to and fro through the street, the same way again and again."""

    label: int
    """class index"""
    depth: float
    """metres from the camera, across the street"""
    speed: float
    """metres a second; negative goes down the street"""
    start: float
    """metres of the loop already gone at t = 0"""
    loop: tuple[float, float]
    """metres of s between which it moves; then it starts again"""
    stride: float
    """metres in which gait or wheels go through one cycle"""
    draw: Callable[[float, float], Sprite]
    """(phase 0 to 1, pixels a metre) to its picture, facing right"""
    shadow: tuple[float, float] | None
    """half length and half depth of its shadow, metres"""
    sway: float = 0.0
    """metres by which it wanders from its depth"""
    lamps: tuple[tuple[float, float, Colour], ...] = ()
    """metres ahead, metres up, colour in full light"""
    steps: int = _STEPS

    @property
    def facing(self) -> int:
        return 1 if self.speed >= 0 else -1

    def gone(self, t: float) -> float:
        """Metres gone at t seconds."""
        return self.start + abs(self.speed) * t

    def round(self, t: float) -> int:
        """How often it has gone through its loop at t seconds."""
        return math.floor(self.gone(t) / (self.loop[1] - self.loop[0]))

    def place(self, t: float) -> tuple[float, float]:
        """Where it stands at t seconds: s and d in metres."""
        low, high = self.loop
        gone = self.gone(t) % (high - low)
        s = low + gone if self.speed >= 0 else high - gone
        return s, self.depth + self.sway * math.sin(0.35 * self.gone(t))

    def step(self, t: float) -> int:
        """Which picture of its cycle is shown at t seconds."""
        return math.floor(self.gone(t) / self.stride * self.steps) % self.steps


def make_traffic(view: View, rng: np.random.Generator) -> list[Actor]:
    """Everyone in the street, the farthest first."""
    actors = [*_walkers(view, rng), *_cyclists(view, rng)]
    for depth, way in ((12.0, 1), (14.8, -1)):
        actors += _vehicles(view, rng, depth, way)
    return sorted(actors, key=lambda actor: -actor.depth)


def _walkers(view: View, rng: np.random.Generator) -> list[Actor]:
    actors = []
    for near, far, people, dogs in ((7.5, 9.0, 4, 2), (18.4, 20.2, 6, 4)):
        for n in range(people + dogs):
            depth = float(rng.uniform(near, far))
            loop = view.reach(depth, 1.2)
            speed = float(rng.uniform(0.9, 1.6) * rng.choice([-1, 1]))
            start = float(rng.uniform(0, loop[1] - loop[0]))
            if n < people:
                person = figures.any_person(rng)
                draw = partial(figures.draw_person, person)
                actors.append(Actor(_PERSON, depth, speed, start, loop, person.stride, draw, (0.3, 0.16), 0.12))
            else:
                dog = figures.any_dog(rng)
                draw_dog = partial(figures.draw_dog, dog)
                actors.append(Actor(_DOG, depth, 1.2 * speed, start, loop, dog.stride, draw_dog, (0.45, 0.14), 0.15))
    return actors


def _cyclists(view: View, rng: np.random.Generator) -> list[Actor]:
    actors = []
    for depth, way, count in ((10.15, 1, 2), (16.8, -1, 3)):
        loop = view.reach(depth, 1.4)
        length = loop[1] - loop[0]
        speed, first = float(rng.uniform(2.4, 3.6)) * way, float(rng.uniform(0, length))
        for n in range(count):
            start = first + (n + float(rng.uniform(-0.3, 0.3))) * length / count
            frame, rider = figures.any_frame(rng), figures.any_person(rng)
            turn = 2 * math.pi * figures.WHEEL * 2
            bicycle = partial(figures.draw_bicycle, frame)
            actors.append(Actor(_BICYCLE, depth, speed, start, loop, turn, bicycle, (0.8, 0.14)))
            actors.append(Actor(_PERSON, depth, speed, start, loop, turn, partial(figures.draw_rider, rider), None))
    return actors


def _vehicles(view: View, rng: np.random.Generator, depth: float, way: int) -> list[Actor]:
    """One lane: all drive at one speed, so that none runs into the next."""
    low, high = view.reach(depth, 4.2)
    kinds = [_BUS, *[_CAR] * int(rng.integers(2, 4))]
    rng.shuffle(kinds)
    room = [9.5 if kind == _BUS else 6.5 for kind in kinds]
    length = max(high - low, sum(room)) * float(rng.uniform(1.0, 1.15))
    loop = (low, low + length) if way > 0 else (high - length, high)
    speed, place = float(rng.uniform(3.0, 5.0)) * way, float(rng.uniform(0, length))
    actors = []
    for kind, space in zip(kinds, room, strict=True):
        if kind == _BUS:
            bus = vehicles.any_bus(rng)
            look: vehicles.Bus | vehicles.Car = bus
            draw: Callable[[float, float], Sprite] = partial(vehicles.draw_bus, bus)
        else:
            look = car = vehicles.any_car(rng)
            draw = partial(vehicles.draw_car, car)
        (tail, tail_up), (head, head_up) = look.lamps
        lamps = (tail, tail_up, _TAILLIGHT), (head, head_up, _HEADLIGHT)
        shadow = look.length / 2, 0.8
        middle = place + space / 2 + float(rng.uniform(-0.5, 0.5))
        actors.append(Actor(kind, depth, speed, middle, loop, look.stride, draw, shadow, 0.0, lamps, 6))
        place += space * length / sum(room)
    return actors
