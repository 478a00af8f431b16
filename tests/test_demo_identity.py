"""The demonstration's score of identities and counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daemon.demo.film import Film, Shot
from daemon.demo.identity import Identity, identity
from daemon.demo.street.generator import Truth

SHOT = Shot("street", 100, 100, 10.0, seed=1)


def box(x: float, y: float) -> tuple[float, float, float, float]:
    return (x - 5, y, x + 5, y + 20)


FRAMES = [(box(8 * n, 10), box(90 - 8 * n, 60)) for n in range(10)]
"""two cars that pass each other through the whole picture, over the line and through the zone"""
FILM = Film(SHOT, Path("street.mp4"), tuple((Truth(2, a, 1.0, 7), Truth(2, b, 1.0, 8)) for a, b in FRAMES))


def message(frame: int, *tracks: str | None) -> dict[str, Any]:
    objects = [
        {"label": "car", "score": 0.9, "box": list(of), "track_id": track}
        for of, track in zip(FRAMES[frame], tracks, strict=False)
    ]
    return {"stream_time": frame / 10, "sequence": frame, "objects": objects}


@pytest.mark.parametrize(
    ("tracks", "idf1"),
    [
        ([("a", "b")] * 10, 1.0),
        ([("a", "b")] * 5 + [("b", "a")] * 5, 0.5),
        ([("a", "b")] * 6 + [("a", "c")] * 4, 0.8),
        ([("a", None)] * 10, 2 / 3),
        ([("a",)] * 10, 2 / 3),
        ([(None, None)] * 10, 0.0),
    ],
)
def test_who_is_who(tracks: list[tuple[str | None, ...]], idf1: float) -> None:
    messages = [message(frame, *of) for frame, of in enumerate(tracks)]
    assert identity(FILM, messages, []).idf1 == pytest.approx(idf1)


def test_counts_are_told_and_true() -> None:
    """Of two passes of the film, of which the second ends before anybody has crossed the line."""
    played = [message(frame, "a", "b") for frame in (*range(10), 0, 1, 2)]
    told = [{"type": kind} for kind in ("line-crossed", "zone-entered", "zone-entered", "zone-left")]
    found = identity(FILM, played, told)
    assert (found.crossings, found.entries) == ((1, 2), (2, 2))
    assert found + found == Identity(2 * found.same, 2 * found.true, 2 * found.followed, (2, 4), (4, 4))
