"""All pages together get so many pictures a second and no more, and each camera its share."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from daemon.capture.picture_wishes import PictureWishes, Wish
from daemon.view.picture_budget import MOST, PictureBudget

SECONDS = 20


class Cameras(PictureWishes):
    """Fill every wish at once."""

    def __init__(self) -> None:
        super().__init__()
        self.filled: list[tuple[str, bool]] = []

    def want(self, camera: str, wish: Wish) -> None:
        self.filled.append((camera, wish.edited))


def wish(edited: bool = True) -> Wish:
    return Wish(np.zeros(1 << 16, np.uint8), 640, edited, lambda *_: None)


def shown(pages: dict[str, int], per_second: float = 100) -> Counter[str]:
    """How many pictures of each camera are handed on to the pages that look at it, in the time that is simulated."""
    cameras = Cameras()
    budget, counted = PictureBudget(cameras), Counter[str]()
    waits = dict.fromkeys(pages, 0.0)
    """by camera that is asked for next, when; a camera that is not there has been asked for"""
    before = dict.fromkeys(pages, 0)
    now = 0.0
    while now < SECONDS:
        for camera in [name for name, at in waits.items() if at <= now]:
            del waits[camera]
            budget.ask(camera, wish(), before[camera])
        budget.hand_on(now)
        for camera, _ in cameras.filled:
            counted[camera] += pages[camera]
            before[camera] = pages[camera]
            waits[camera] = now + 1 / per_second
        cameras.filled.clear()
        now = min([budget.due, *waits.values()])
    return counted


@pytest.mark.parametrize(
    "pages", [{"a": 1}, {"a": 4, "b": 4, "c": 4, "d": 4}, {"a": 16, "b": 1}, {f"c{n}": 1 for n in range(60)}]
)
def test_all_together_get_so_many_and_each_camera_as_many_as_another(pages: dict[str, int]) -> None:
    counted = shown(pages)
    assert counted.total() == pytest.approx(SECONDS * MOST, rel=0.05)
    pictures = [counted[camera] / count for camera, count in pages.items()]
    assert max(pictures) - min(pictures) <= 1


def test_who_asks_for_less_gets_it() -> None:
    assert shown({"a": 1, "b": 1}, per_second=10).total() == pytest.approx(SECONDS * 20, rel=0.02)


def test_a_wish_that_is_asked_again_keeps_its_place_and_what_it_owes() -> None:
    cameras = Cameras()
    budget = PictureBudget(cameras)
    budget.ask("a", wish(), 0)
    budget.hand_on(0)
    for shown_before in (39, 0):
        budget.ask("a", wish(), shown_before)
        budget.ask("b", wish(edited=False), 0)
    budget.hand_on(0.99 / MOST)
    assert cameras.filled == [("a", True)]
    budget.hand_on(1 / MOST)
    assert cameras.filled == [("a", True), ("a", True)]
    budget.hand_on(1)
    assert cameras.filled[2:] == []
    budget.hand_on(1.1)
    assert cameras.filled[2:] == [("b", False)]
    budget.ask("a", wish(), 0)
    budget.forget_all()
    assert budget.due == float("inf")
