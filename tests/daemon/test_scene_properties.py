"""What a subscriber may rely on, whatever comes: random objects, times, drops, reloads and cameras that go away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.analysis.areas import Totals
from daemon.analysis.scene import Scene, SceneSettings
from daemon.publish.object_ledger import ObjectLedger
from daemon.records.object_events import ObjectEvent
from daemon.records.objects import LeftReason
from tests.daemon import scenes
from tests.daemon.scenes import HEIGHT, LABELS, START, WIDTH, Shown, check_promises, scene, show

ZONES = {
    "left": {"polygon": [[0.0, 0.2], [0.5, 0.2], [0.5, 1.0], [0.0, 1.0]], "dwell": [0.5, 2], "max_count": 1},
    "middle": {"polygon": [[0.3, 0.0], [0.7, 0.5], [0.3, 1.0]], "enter_after": 0, "leave_after": 0},
    "cars": {"polygon": [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], "labels": ["car", "truck"], "min_score": 0.6},
}
LINES = {
    "gate": {"points": [[0.5, 0.0], [0.5, 1.0]], "in": [0.9, 0.5]},
    "cars": {"points": [[0.2, 0.8], [0.8, 0.3]], "in": [0.5, 0.9], "labels": ["car"]},
}
PLACES = [
    (ZONES, LINES),
    ({"left": ZONES["left"]}, {}),
    ({**ZONES, "left": {**ZONES["left"], "dwell": 1}}, LINES),
    ({}, LINES),
]
WANTED = [
    scenes.settings(
        zones=zones,
        lines=lines,
        confirm_frames=frames,
        stationary={"after": 1.0, "lost_after": 6.0},
        max_objects=8,
        filters={"car": {"threshold": 0.6}, "truck": {"min_score": 0.7}},
    )
    for frames in (1, 3)
    for zones, lines in PLACES
]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["frame"] * 30 + ["reload", "reload", "away", "again", "end"]),
        st.sampled_from([0.0, 0.04, 0.1, 0.1, 0.2, 0.5, 1.0, 4.0, 11.0]),
        st.integers(0, len(PLACES) - 1),
    ),
    min_size=1,
    max_size=120,
)


class World:
    """Objects that walk about, seen badly."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        count = int(self.random.integers(1, 10))
        self.at = self.random.uniform([0, 100], [WIDTH, HEIGHT], (count, 2))
        self.speed = self.random.normal(0, 150, (count, 2)) * (self.random.random((count, 1)) > 0.3)
        self.labels = self.random.integers(0, len(LABELS), count)

    def look(self, seconds: float) -> list[Shown]:
        """What a detector finds after so much time."""
        self.at += self.speed * seconds
        self.speed[(self.at < 0) | (self.at > [WIDTH, HEIGHT])] *= -1
        shown = []
        for (x, y), label in zip(self.at + self.random.normal(0, 3, self.at.shape), self.labels, strict=True):
            if self.random.random() > 0.15:
                other = int(self.random.integers(0, len(LABELS))) if self.random.random() < 0.1 else int(label)
                shown.append((float(x), float(y), LABELS[other], float(self.random.uniform(0.2, 1))))
        return shown


def play(
    seed: int, steps: list[tuple[str, float, int]], confirm: int, now: float = 0.0, totals: Totals | None = None
) -> tuple[list[ObjectEvent], Scene, SceneSettings]:
    """The events while these things happen, from a time on, with what was counted at lines before."""
    world, begin = World(seed), now
    wanted = WANTED[confirm * len(PLACES)]
    where, events = scene(wanted, totals), list[ObjectEvent]()
    for what, seconds, place in steps:
        now += seconds
        if what == "frame":
            events += show(where, now, world.look(seconds)).events
        elif what == "reload":
            wanted = WANTED[confirm * len(PLACES) + place]
            events += where.reconfigure(wanted, START + now)
        elif what == "away":
            events += where.look_away(START + now)
        elif what == "again":
            now = max(begin, now - 3.0)
        else:
            events += where.end(LeftReason.DISABLED, START + now)
        check_counts(where, events)
    return events, where, wanted


def check_counts(where: Scene, events: list[ObjectEvent]) -> None:
    """Occupancy is what was told as entered less what was told as left, and what the objects themselves say."""
    told: dict[tuple[str, str], int] = {}
    for event in events:
        if event.type.value in ("zone-entered", "zone-left") and event.zone and event.label and event.count is not None:
            told[event.zone, event.label] = event.count
    occupancy = where.occupancy()
    shown = {(zone, label): n for zone, each in occupancy.items() for label, n in each.counts.items() if n}
    assert shown == {key: n for key, n in told.items() if n}
    there = [where.followed(each) for each in where.objects()]
    assert {name for of in there for name in of.zones} <= occupancy.keys()
    for name, each in occupancy.items():
        assert each.total == sum(name in of.zones for of in there)
        assert sum(each.stationary.values()) == sum(name in of.zones and of.stationary for of in there)
        assert each.total == sum(each.active.values()) + sum(each.stationary.values())


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), steps=STEPS, confirm=st.integers(0, 1))
def test_promises_are_kept_whatever_comes(seed: int, steps: list[tuple[str, float, int]], confirm: int) -> None:
    events, where, _ = play(seed, steps, confirm)
    check_promises(events, ended=False)
    events += where.end(LeftReason.SHUTDOWN, START + 1e6)
    check_promises(events, ended=True)
    assert not where.objects()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), runs=st.lists(STEPS, min_size=2, max_size=4))
def test_promises_are_kept_over_crashes(seed: int, runs: list[list[tuple[str, float, int]]]) -> None:
    """Each run ends at once, and the next tells first what it has left open, by what was kept with the events."""
    kept, events = dict[str, bytes](), list[ObjectEvent]()
    for number, steps in enumerate(runs):
        ledger = ObjectLedger(kept)
        told = [
            *ledger.unfinished(START),
            *play(seed + number, steps, 0, number * 1e4, ledger.totals().get("front"))[0],
        ]
        for event in told:
            for key, value in ledger.note(event).items():
                kept.pop(key, None) if value is None else kept.update({key: value})
        events += told
    events += ObjectLedger(kept).unfinished(START)
    check_promises(events, ended=True)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), steps=STEPS)
def test_the_same_frames_give_the_same_events(seed: int, steps: list[tuple[str, float, int]]) -> None:
    first, again = ([replace(event, id="") for event in play(seed, steps, 1)[0]] for _ in range(2))
    assert first == again


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("no end", slice(None, -1)),
        ("no beginning", slice(1, None)),
        ("twice", slice(None)),
    ],
)
def test_the_check_sees_what_is_wrong(broken: str, told: slice) -> None:
    where = scene(WANTED[len(PLACES)])
    events = scenes.film(where, scenes.walk((100, 400), (900, 400), 0, 8)) + where.end(LeftReason.SHUTDOWN, START + 9)
    check_promises(events, ended=True)
    wrong = events[told] + (events if broken == "twice" else [])
    with pytest.raises(AssertionError):
        check_promises(wrong, ended=True)
    off = [replace(event, count=(event.count or 0) + 1) if event.zone else event for event in events]
    with pytest.raises(AssertionError):
        check_promises(off, ended=True)


def test_memory_stays_as_it_was() -> None:
    """Objects come and go for long; what is kept does not grow with them."""
    where, world = scene(WANTED[len(PLACES)]), World(1)
    sizes = []
    for number in range(6000):
        show(where, number * 0.1, world.look(0.1) if number % 60 < 50 else [])
        if number % 1000 == 999:
            sizes.append(len(where._objects))
    assert max(sizes) <= 8
