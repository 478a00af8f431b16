"""Objects keep their identity: through gaps, drops, other labels and other objects, and no longer than that."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from daemon.analysis.association import assign, doubles, iou, similarity
from daemon.records import EventType
from daemon.records.objects import LeftReason
from tests.daemon.scenes import START, Shown, film, kinds, scene, settings, show, walk

STILL: Shown = (500.0, 400.0, "car", 0.9)


def standing(start: float, stop: float, *more: Shown, fps: float = 10.0) -> list[tuple[float, list[Shown]]]:
    """Frames of a car that stands, and of what else is shown."""
    return [(start + i / fps, [STILL, *more]) for i in range(round((stop - start) * fps))]


def nothing(start: float, stop: float, fps: float = 10.0) -> list[tuple[float, list[Shown]]]:
    """Frames that show nothing."""
    return [(start + i / fps, []) for i in range(round((stop - start) * fps))]


def test_who_walks_through_is_told_of_once_and_leaves_once() -> None:
    events = film(scene(settings()), [*walk((100, 400), (900, 400), 0, 8), *nothing(8.1, 12)])
    assert kinds(events) == ["appeared", "left"]
    appeared, left = events
    assert appeared.object is not None
    assert appeared.time == pytest.approx(START + 0.2)  # the third sighting
    assert left.object is not None
    assert left.left_because is LeftReason.UNSEEN
    assert left.object.last_seen == pytest.approx(START + 8.0)
    assert left.object.first_seen == pytest.approx(START)
    assert left.seconds == pytest.approx(8.0)
    assert left.object.heading == pytest.approx(90.0, abs=1)
    assert left.object.box == (880.0, 300.0, 920.0, 400.0)  # as detected
    assert left.time > START + 10.0  # two seconds of frames without it


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_it_takes_so_many_frames_in_a_row(frames: int) -> None:
    where = scene(settings(confirm_frames=frames))
    shown: list[Shown] = [(100.0, 400.0, "person", 0.9)]
    told = [bool(show(where, i / 10, shown).events) for i in range(frames)]
    assert told == [False] * (frames - 1) + [True]


def test_what_is_missed_before_it_is_certain_was_nothing() -> None:
    shown: list[Shown] = [(100.0, 400.0, "person", 0.9)]
    frames = [(i / 10, shown if i % 3 else []) for i in range(60)]
    assert film(scene(settings()), frames) == []


def test_weak_detections_keep_objects_and_begin_none() -> None:
    way = walk((100, 400), (900, 400), 0, 8)
    weak = [(at, [(x, y, label, 0.2) for x, y, label, _ in shown]) for at, shown in way]
    assert film(scene(settings()), weak) == []
    both = [*way[:10], *weak[10:70], *way[70:]]
    assert kinds(film(scene(settings()), both)) == ["appeared"]
    assert kinds(film(scene(settings(low_score=0.3)), both)) == ["appeared", "left", "appeared"]
    seen = show(where := scene(settings()), 0.0, [STILL, (100.0, 400.0, "person", 0.2)])
    assert seen.objects == [None, None]
    assert [each and each.label for each in show(where, 0.2, [STILL]).objects] == [None]
    assert [each and each.label for each in show(where, 0.3, [STILL]).objects] == [1]


@pytest.mark.parametrize("fps", [2, 5, 30])
def test_a_gap_between_frames_ends_nothing(fps: float) -> None:
    frames = [*walk((100, 400), (200, 400), 0, 4, fps), *walk((330, 400), (430, 400), 9, 13, fps)]
    events = film(scene(settings()), frames)
    assert kinds(events) == ["appeared"]


@pytest.mark.parametrize(("missed", "told"), [(4, []), (6, ["left", "appeared"])])
def test_a_slow_camera_looks_five_times_before_anybody_has_left(missed: int, told: list[str]) -> None:
    where = scene(settings(stationary=None))
    assert kinds(film(where, standing(0, 4, fps=1))) == ["appeared"]
    back = 4 + missed
    assert kinds(film(where, [*nothing(4, back, fps=1), *standing(back, back + 4, fps=1)])) == told


def test_a_gap_that_is_too_long_ends_what_moves_and_not_what_stands() -> None:
    where = scene(settings(stationary={"after": 2, "lost_after": 5}))
    events = film(where, [(at, [*shown, STILL]) for at, shown in walk((100, 400), (200, 400), 0, 4)])
    assert kinds(events) == ["appeared", "appeared", "stationary"]
    events = film(where, standing(100, 101))
    assert kinds(events) == ["left"]
    assert (events[0].label, events[0].left_because) == ("person", LeftReason.CAMERA_LOST)


def test_who_is_gone_when_the_camera_comes_back_has_left() -> None:
    where = scene(settings(stationary={"after": 2, "lost_after": 5}))
    film(where, standing(0, 4))
    assert where.look_away(START + 5) == []
    events = film(where, nothing(1000, 1010))
    assert kinds(events) == ["left"]
    assert events[0].time == pytest.approx(START + 1005.1, abs=0.2)
    assert events[0].object is not None
    assert events[0].object.last_seen == pytest.approx(START + 3.9)


@pytest.mark.parametrize(("hidden", "told"), [(50.0, []), (70.0, ["left", "appeared"])])
def test_what_stands_is_remembered_for_longer(hidden: float, told: list[str]) -> None:
    where = scene(settings())
    assert kinds(film(where, standing(0, 15))) == ["appeared", "stationary"]
    events = film(where, [*nothing(15, 15 + hidden), *standing(15 + hidden, 17 + hidden)])
    assert kinds(events) == told


def test_who_passes_what_stands_does_not_become_it() -> None:
    where = scene(settings())
    before = film(where, standing(0, 12))
    passing = [(at, [(x, y, "car", score), STILL][: 1 if abs(x - 500) < 40 else 2])
               for at, shown in walk((100, 410), (900, 410), 12, 16) for x, y, _, score in shown]  # fmt: skip
    events = film(where, [*passing, *standing(16.1, 20)])
    assert kinds(events) == ["appeared", "left"]
    assert before[0].object is not None
    assert [each.id for each in where.objects()] == [before[0].object.id]


def test_what_stands_where_another_stood_has_taken_its_place() -> None:
    """A bottle is lifted away too fast to be seen moving, and put back from above: it is not counted twice for long."""
    where = scene(settings())
    back = [(20 + i / 10, [(500.0, 300.0 + 10 * i, "car", 0.9)]) for i in range(10)]
    events = film(where, [*standing(0, 15), *nothing(15, 20), *back, *standing(21, 33)])
    assert kinds(events) == ["appeared", "stationary", "appeared", "stationary", "left"]
    assert events[-1].left_because is LeftReason.UNSEEN
    assert len(where.objects()) == 1


def test_what_has_rested_is_waited_for_as_long_as_it_did() -> None:
    """A parked car that a weak model misses for some seconds is the same car, also before it has stood for ten."""
    assert kinds(film(scene(settings()), [*standing(0, 6), *nothing(6, 10), *standing(10, 13)])) == [
        "appeared",
        "stationary",
    ]
    assert kinds(film(scene(settings()), [*standing(0, 6), *nothing(6, 13)])) == ["appeared", "left"]
    assert kinds(film(scene(settings()), [*standing(0, 3), *nothing(3, 6), *standing(6, 8)])) == [
        "appeared",
        "left",
        "appeared",
    ]


def test_standing_and_moving_are_told_with_the_time_of_the_state_before() -> None:
    where = scene(settings())
    events = film(where, [*standing(0, 20), *[(20 + i / 10, [(500.0 + 10 * i, 400.0, "car", 0.9)]) for i in range(20)]])
    assert kinds(events) == ["appeared", "stationary", "moving"]
    stands, moves = events[1:]
    assert stands.time == pytest.approx(START + 10, abs=0.11)
    assert stands.seconds == pytest.approx(10, abs=0.11)
    assert moves.seconds == pytest.approx(10, abs=1)
    assert stands.object is not None
    assert (stands.object.stationary, stands.object.heading) == (True, None)
    once: list[tuple[float, list[Shown]]] = [(15.0, [(530.0, 400.0, "car", 0.9)])]
    assert kinds(film(scene(settings()), [*standing(0, 15), *once, *standing(15.1, 20)])) == ["appeared", "stationary"]
    assert kinds(film(scene(settings(stationary=None)), standing(0, 90))) == ["appeared"]


def test_an_own_rule_for_a_class() -> None:
    filters = {"car": {"stationary": {"after": 1, "lost_after": 600}}}
    where = scene(settings(filters=filters))
    assert kinds(film(where, [*standing(0, 3), *nothing(3, 300), *standing(300, 301)])) == ["appeared", "stationary"]


def test_a_car_that_flickers_to_a_truck_stays_one_car() -> None:
    random = np.random.default_rng(1)
    frames = [
        (i / 10, [(100.0 + 8 * i, 400.0, str(random.choice(["car", "truck"], p=[0.7, 0.3])), 0.9)]) for i in range(100)
    ]
    doubled = [(at, [*shown, (shown[0][0] + 1, 401.0, "truck", 0.6)]) for at, shown in frames]
    for shown in (frames, doubled):
        events = film(scene(settings(confirm_frames=5)), shown)
        assert [(event.type, event.label) for event in events] == [(EventType.OBJECT_APPEARED, "car")]


def test_no_more_objects_than_may_be() -> None:
    where = scene(settings(max_objects=3))
    crowd: list[Shown] = [(100.0 * i, 400.0, "person", 0.9) for i in range(1, 8)]
    events = film(where, [(i / 10, crowd) for i in range(5)])
    assert kinds(events) == ["appeared"] * 3
    assert where.refused == 4 * 5


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ({"person": {"min_score": 0.95}}, 0),
        ({"person": {"threshold": 0.95}}, 0),
        ({"person": {"min_height": 0.25}}, 0),
        ({"person": {"min_height": 0.15, "max_area": 0.01, "min_ratio": 0.3, "max_ratio": 0.5}}, 1),
        ({"person": {"max_ratio": 0.3}}, 0),
        ({"car": {"max_ratio": 0.3}}, 1),
    ],
)
def test_filters_decide_what_is_told_of(filters: dict[str, dict[str, float]], told: int) -> None:
    assert len(film(scene(settings(filters=filters)), walk((100, 400), (300, 400), 0, 3))) == told
    assert film(scene(settings(wanted=("car",))), walk((100, 400), (300, 400), 0, 3)) == []


def test_frames_without_it_count_as_scores_of_nothing() -> None:
    """Of a threshold it is the median of the last ten frames that counts, whether it was in them or not."""
    way = walk((100, 400), (300, 400), 0, 6)
    missing = [(at, shown if i < 3 or i % 2 else []) for i, (at, shown) in enumerate(way)]
    for threshold, told in ((0.85, 1), (0.95, 0)):
        assert len(film(scene(settings(filters={"person": {"threshold": threshold}})), way)) == told
    rises = [(at, [(x, y, label, 0.5 + 0.01 * i) for x, y, label, _ in shown]) for i, (at, shown) in enumerate(missing)]
    strict = {"person": {"threshold": 0.55}}
    assert film(scene(settings(filters=strict)), rises) == []
    assert kinds(film(scene(settings(filters=strict)), [(at, shown) for at, shown in rises if shown])) == ["appeared"]


def test_a_film_that_begins_again_ends_everything() -> None:
    where = scene(settings())
    film(where, walk((100, 400), (300, 400), 0, 3))
    assert show(where, 3.0, []).events == []  # the same frame again is ignored
    assert kinds(film(where, walk((100, 400), (300, 400), 0, 3))) == ["left", "appeared"]


def test_similarity_is_that_of_boxes_enlarged_by_the_margin_of_the_first() -> None:
    """Against the rule written out for each pair, without and with margins."""
    random = np.random.default_rng(3)
    a, b = (np.concatenate([at, at + random.uniform(1, 60, at.shape)]) for at in random.uniform(0, 100, (2, 2, 20)))
    for margin in (None, random.uniform(0, 20, (2, 20))):
        found = similarity(a, b, margin)
        for i, j in itertools.product(range(20), repeat=2):
            m = np.zeros(2) if margin is None else margin[:, i]
            (low, high), (low_b, high_b) = (a[:2, i] - m, a[2:, i] + m), (b[:2, j] - m, b[2:, j] + m)
            both = np.maximum(np.minimum(high, high_b) - np.maximum(low, low_b), 0).prod()
            union = (high - low).prod() + (high_b - low_b).prod() - both
            assert found[i, j] == pytest.approx(both / union)
    assert iou(a, b) == pytest.approx(np.diag(similarity(a, b)))


def test_the_best_assignment_is_found_where_objects_compete() -> None:
    similar = np.array([[0.9, 0.8, 0.0, 0.0], [0.85, 0.1, 0.0, 0.0], [0.0, 0.0, 0.4, 0.0]])
    rows, columns = assign(similar, 0.3)
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 1), (1, 0), (2, 2)]
    rows, columns = assign(similar, 0.5)
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 1), (1, 0)]


def test_a_box_on_one_that_is_itself_a_double_is_none() -> None:
    boxes = np.array([[0.0, 0, 100, 100], [5, 0, 105, 100], [15, 0, 115, 100]]).T
    found = doubles(boxes, np.array([0.9, 0.8, 0.7]), np.array([0, 1, 2]), 0.8)
    assert found is not None
    assert found.tolist() == [False, True, False]
    assert doubles(boxes, np.array([0.9, 0.8, 0.7]), np.zeros(3, np.int64), 0.8) is None
