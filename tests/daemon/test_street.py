"""The street: the same for the same seed, and truths that agree with what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from daemon.demo.street.drawing import backdrop
from daemon.demo.street.drawing.view import View
from daemon.demo.street.generator import LABELS, StreetScene


def test_a_picture_is_a_function_of_seed_and_time() -> None:
    once, again = StreetScene(320, 180, 5), StreetScene(320, 180, 5)
    again.render(9.0)
    again.render(1.0)
    (picture, truths), (same_picture, same_truths) = once.render(4.2), again.render(4.2)
    assert np.array_equal(picture, same_picture)
    assert truths == same_truths
    assert not np.array_equal(picture, StreetScene(320, 180, 6).render(4.2)[0])
    assert picture.shape == (180, 320, 3)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize("size", [(320, 180), (640, 480), (480, 640)])
def test_truths_lie_in_the_picture(size: tuple[int, int]) -> None:
    width, height = size
    scene = StreetScene(width, height, 8)
    for t in range(0, 60, 7):
        for truth in scene.render(t)[1]:
            x1, y1, x2, y2 = truth.box
            assert 0 <= x1 < x2 <= width
            assert 0 <= y1 < y2 <= height
            assert 0 < truth.visible <= 1
            assert 0 <= truth.label < len(LABELS)


def test_every_kind_appears() -> None:
    scene = StreetScene(320, 180, 3)
    assert {truth.label for t in range(0, 90, 3) for truth in scene.render(t)[1]} == set(range(len(LABELS)))


def test_the_same_scene_at_two_sizes() -> None:
    small, large = StreetScene(400, 300, 4).render(12.0)[1], StreetScene(800, 600, 4).render(12.0)[1]
    clear = [t for t in large if t.visible > 0.95]
    assert clear
    for truth in clear:
        half = np.array(truth.box) / 2
        nearest = min(np.abs(np.array(t.box) - half).max() for t in small if t.label == truth.label)
        assert nearest <= 2.5


def test_what_moves_lies_in_the_boxes() -> None:
    """Between two moments the picture changes strongly where objects are or were, and hardly anywhere else."""
    scene = StreetScene(640, 360, 11)
    (before, old), (after, new) = scene.render(30.0), scene.render(30.2)
    changed = np.abs(before.astype(int) - after).max(axis=2) > 60
    inside = np.zeros(changed.shape, bool)
    for truth in old + new:
        x1, y1, x2, y2 = (round(v) for v in truth.box)
        inside[max(0, y1 - 2) : y2 + 2, max(0, x1 - 2) : x2 + 2] = True
    assert changed.sum() > 200
    assert (changed & ~inside).sum() < 0.1 * changed.sum()


def test_too_small_a_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32 x 32 pixels, not 16 x 64"):
        StreetScene(16, 64, 1)


@pytest.mark.parametrize("yaw", [-0.28, -0.08, 0.08, 0.28])
@pytest.mark.parametrize("size", [(640, 360), (480, 640), (1000, 400)])
def test_the_ground_stays_under_the_horizon(yaw: float, size: tuple[int, int]) -> None:
    """A floor that reaches behind the camera would be drawn across the sky."""
    view = View(*size, yaw, focal=1.12, horizon=0.36, eye=3.8)
    painter = backdrop._Painter(view)
    backdrop._ground(painter)
    horizon = int(view.horizon * view.height)
    assert not painter.pixels[:horizon].any()
    assert painter.pixels[-1, :, 3].min() == 255


def test_a_lamp_post_hides_the_buses_behind_it() -> None:
    """At the height of a bus's roof nothing passes in front of a post, which the backdrop holds already."""
    scene = StreetScene(640, 360, 12)
    posts = scene._view.project([(s, d, 2.75) for s, d in scene._lamps]).astype(int)
    seen = [(x, y) for x, y in posts.tolist() if 0 <= x < 640]
    assert seen
    times = [t for t in np.arange(0.0, 240.0, 0.5) if scene.dusk(float(t)) < 0.1]
    colours = np.array([[scene.render(float(t))[0][y, x] for x, y in seen] for t in times], int)
    assert np.ptp(colours, axis=0).max() < 40
