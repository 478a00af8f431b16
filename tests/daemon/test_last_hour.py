"""The last hour of every camera: what the page shows of it, and how little memory it takes for thousands of cameras."""

from __future__ import annotations

import tracemalloc

from daemon.records import CameraState, CameraStatus, Drop
from daemon.stats import CameraCount, Stats
from daemon.view.last_hour import LastHour

HOUR = 360  # points
MANY = 500


def status(state: CameraState) -> CameraStatus:
    return CameraStatus("front", state, None, "", 0.0, 0.0)


def test_points_are_those_of_the_last_hour_oldest_first() -> None:
    stats = Stats()
    hour = LastHour(stats)
    assert hour.points("front") == []
    for number in range(HOUR + 40):
        state = CameraState.DISABLED if number < 100 else CameraState.STREAMING
        if number in (60, 200):
            stats.dropped("front", Drop.DAMAGED)
            stats.published([("front", 0.0125)])
        hour.add({"front": status(state), "late": None} if number >= HOUR else {"front": status(state)})
    points = hour.points("front")
    assert len(points) == HOUR
    assert [point["time"] for point in points] == sorted(str(point["time"]) for point in points)
    assert [point["state"] for point in points] == [CameraState.DISABLED] * 60 + [CameraState.STREAMING] * 300
    dropped = {number: point["dropped"] for number, point in enumerate(points) if point["dropped"]}
    assert dropped == {20: {"damaged": 1}, 160: {"damaged": 1}}
    assert {number: point["p50_ms"] for number, point in enumerate(points) if point["p50_ms"]} == {20: 12.5, 160: 12.5}
    late = hour.points("late")
    assert [point["time"] for point in late] == [point["time"] for point in points[-40:]]
    assert late[0] == {
        "time": late[0]["time"],
        "state": None,
        "fps": 0.0,
        "p50_ms": None,
        "p95_ms": None,
        "dropped": {},
    }
    hour.add({"late": None})
    assert hour.points("front") == []
    assert len(hour.points("late")) == 41


def test_thousands_of_cameras_that_do_nothing_take_next_to_no_memory() -> None:
    hour, cameras = LastHour(Stats()), {f"camera-{number}": status(CameraState.DISABLED) for number in range(MANY)}
    hour.add(cameras)
    tracemalloc.start()
    for _ in range(4):
        hour.add(cameras)
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(5):
        hour.add(cameras)
    assert (tracemalloc.get_traced_memory()[0] - before) / MANY < 10, "bytes of each"
    tracemalloc.stop()


def test_thousands_of_cameras_that_change_always_take_little() -> None:
    stats, name = Stats(), "front"
    hour = LastHour(stats)
    for number in range(2 * HOUR):
        stats.count(CameraCount.CAPTURED, name)
        stats.dropped(name, Drop.REPLACED)
        hour.add({name: status(CameraState.STREAMING if number % 2 else CameraState.OFFLINE)})
    assert len(hour.points(name)) == HOUR
    assert len(hour._cameras[name]._runs) < 25_000, "bytes of an hour"
