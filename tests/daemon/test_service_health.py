"""What counts as hanging, and what does not: the truth that the watchdog is fed by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from daemon.config.schema import Config
from daemon.records import CameraState, CameraStatus, ModelState, ModelStatus
from daemon.records.info import LOADING
from daemon.service.health import LOAD_WITHIN, Health, HealthCounters, Verdict
from daemon.service.status import StatusRegistry
from daemon.stats import DaemonCount, Stats
from tests.conftest import wait_for
from tests.daemon.publishing import INFO, config, publisher, result

LIMIT = 10.0
STILL = HealthCounters(captured={}, expected={}, inferred=0, processed={}, handed_on={}, published=0)


def counted(a: int, b: int = 0, inferred: int = 0, published: int = 0) -> HealthCounters:
    """So many frames of two cameras that stream, `inferred` of which are a's and went through its model."""
    frames = {"a": a, "b": b}
    results = {"a": inferred, "b": 0}
    return HealthCounters(frames, frames, inferred, results, results, published, patience=5)


def verdicts(course: Iterator[HealthCounters], every: float = 1.0) -> list[bool]:
    health = Health(LIMIT)
    return [health.judge(100 + n * every, now).healthy for n, now in enumerate(course)]


def test_frames_that_move_are_healthy() -> None:
    assert all(verdicts(counted(n, n, 2 * n, 2 * n) for n in range(100)))


def test_inference_that_hangs_is_noticed_within_its_limit() -> None:
    course = [*(counted(n, n, 2 * n, 2 * n) for n in range(20)), *(counted(20 + n, 20, 38, 38) for n in range(30))]
    said = verdicts(iter(course))
    assert said.index(False) == 20 + LIMIT + 1
    assert not any(said[31:])


def test_inference_that_hangs_is_noticed_also_where_its_cameras_go_away() -> None:
    """As they do where the GPU hangs that decodes too; not where it is slow and other batches are done."""
    away = replace(counted(20, inferred=18, published=18), captured={}, expected={})
    course = [*(counted(n, 0, n, n) for n in range(19)), *(replace(away, busy_for=float(n)) for n in range(30))]
    assert verdicts(iter(course)).index(False) == 18 + LIMIT + 1 + 1
    assert all(verdicts(replace(counted(n, 0, n, n), busy_for=20.0) for n in range(30)))


def test_the_hang_is_named_and_ends_when_frames_move_again() -> None:
    health = Health(LIMIT)
    for second in range(13):
        said = health.judge(second, counted(second, inferred=5, published=5))
    assert said == Verdict(False, "inference has done nothing for 11 s, though frames come")
    assert health.judge(13, counted(13, inferred=6, published=6)).healthy


def test_one_camera_that_hangs_is_no_reason() -> None:
    assert all(verdicts(counted(7, n, n, n) for n in range(100)))


def test_cameras_that_are_all_away_are_no_reason() -> None:
    """Also where the last captured frame was lost with its camera, and after it came back."""
    away = replace(counted(9, inferred=8, published=8), captured={}, expected={})
    said = verdicts(iter([counted(8, inferred=8, published=8), *[away] * 100, counted(9, inferred=8, published=8)]))
    assert all(said)


def test_cameras_that_count_as_streaming_but_give_nothing_are_noticed_after_their_patience() -> None:
    said = verdicts(counted(5, 5, 10, 10) for _ in range(30))
    assert said.index(False) == LIMIT + 5 + 1


def test_a_slow_camera_beside_one_that_goes_away_is_no_reason() -> None:
    both, one = counted(5, 5, 10, 10), replace(STILL, captured={"b": 5}, expected={"b": 5}, inferred=10, patience=60)
    assert all(verdicts(iter([both, replace(both, captured={"a": 6, "b": 5}), *[one] * 60])))


def test_publishing_that_hangs_is_noticed() -> None:
    health = Health(LIMIT)
    said = [health.judge(second, counted(second, inferred=second, published=3)) for second in range(20)]
    assert said[-1].reason == "publishing has done nothing for 18 s, though results wait"
    assert [v.healthy for v in said].index(False) == LIMIT + 2


@pytest.mark.parametrize(("stage", "name"), [("analysed", "analysis"), ("formatted", "mqtt.formats")])
def test_other_stages_that_hang_are_noticed_by_name(stage: str, name: str) -> None:
    def course(done: int | None) -> list[HealthCounters]:
        counts = [n if done is None else min(n, done) for n in range(30)]
        if stage == "analysed":
            return [replace(counted(n, 0, n, n), analysed=count) for n, count in enumerate(counts)]
        return [replace(counted(n, 0, n, n), formatted=count) for n, count in enumerate(counts)]

    assert all(verdicts(iter(course(None))))
    assert verdicts(iter(course(5))).index(False) == 5 + 1 + LIMIT + 1
    health = Health(LIMIT)
    told = [health.judge(second, counters).reason for second, counters in enumerate(course(5))]
    assert told[-1].startswith(f"{name} has done nothing for ")


def test_publishing_owes_nothing_that_a_shard_counts_after_its_result_was_published() -> None:
    """As the last frame before every camera goes away: what a process has counted comes after its results."""
    stats, theirs, settings = Stats(), Stats(), config(1)
    health, registry = Health(LIMIT), StatusRegistry(settings, INFO, stats, lambda: True)
    theirs.processed("front", queue=0.1)
    with publisher(settings, stats) as publishing:
        assert health.judge(0, registry.snapshot().health_counters()).healthy
        publishing.results([result(1)])
        wait_for(lambda: stats.totals([])[DaemonCount.RESULTS_FINISHED], "the end of the result")
        assert health.judge(1, registry.snapshot().health_counters()).healthy
        stats.add(theirs.take(), {"front"})
        now = replace(registry.snapshot().health_counters(), analysed=None)
        assert all(health.judge(second, now).healthy for second in range(2, 60))


def test_publishing_that_waits_for_the_network_is_alive() -> None:
    assert all(verdicts(counted(n, 0, n, 100 * n) for n in range(60)))


def test_a_model_that_is_being_built_is_no_reason() -> None:
    assert all(verdicts(replace(counted(n), expected={}) for n in range(600)))


def test_a_model_that_is_being_loaded_is_no_reason_but_not_for_ever() -> None:
    said = verdicts(replace(counted(n), expected={}, loading=True) for n in range(400))
    assert said.index(False) == LOAD_WITHIN + 1
    nothing = replace(STILL, loading=True)
    assert all(verdicts(nothing for _ in range(400))), "no camera waits for it"


def test_a_model_that_is_being_loaded_excuses_no_other() -> None:
    """Neither inference with another model, nor cameras that give nothing."""
    course = [*(counted(n, n, 2 * n, 2 * n) for n in range(20)), *(counted(20 + n, 20, 38, 38) for n in range(30))]
    assert verdicts(replace(each, loading=True) for each in course).index(False) == 20 + LIMIT + 1
    still = replace(counted(5, 5), expected={}, loading=True)
    assert verdicts(still for _ in range(30)).index(False) == LIMIT + 5 + 1


@pytest.mark.parametrize(
    ("status", "loading"),
    [
        (LOADING, True),
        (ModelStatus(ModelState.BUILDING, 100, "compiling kernels"), False),
        (ModelStatus(ModelState.BUILDING, 0, "waiting"), False),
        (ModelStatus(ModelState.READY), False),
    ],
)
def test_a_model_is_loading_only_while_it_is_opened(status: ModelStatus, loading: bool) -> None:
    info = replace(INFO, models={"default": replace(INFO.models["default"], status=status)})
    registry = StatusRegistry(config(1883), info, Stats(), lambda: True)
    assert registry.snapshot().health_counters().loading is loading


def test_files_that_wait_for_room_are_no_reason_and_excuse_no_live_camera() -> None:
    waits = HealthCounters({}, {}, 2, {}, {}, 0, held=True)
    assert all(verdicts(iter([counted(1), *[waits] * 100])))
    live = [replace(counted(n, 0, 9, 9), held=True) for n in range(30)]
    assert verdicts(iter(live)).index(False) == LIMIT + 2, "inference does nothing for the live camera"


@pytest.mark.parametrize(
    ("connected", "held", "captured", "processed"),
    [
        (True, False, {"live", "file"}, {"live", "file", "off"}),
        (True, True, {"live"}, {"live", "off"}),
        (False, False, {"live", "file"}, {"live", "off"}),
        (False, True, {"live"}, {"live", "off"}),
    ],
)
def test_which_cameras_owe_what(connected: bool, held: bool, captured: set[str], processed: set[str]) -> None:
    file = {"source": "film.avi", "pace": "as-fast-as-possible"}
    config = Config.model_validate(
        {
            "device": "box",
            "mqtt": {"host": "localhost"},
            "cameras": {"live": {"source": "rtsp://a/1"}, "file": file, "off": {**file, "enabled": False}},
        }
    )
    stats = Stats()
    registry = StatusRegistry(config, INFO, stats, lambda: connected, lambda: held)
    for name in ("live", "file"):
        registry.camera_status(CameraStatus(name, CameraState.STREAMING, None, "", 0.0, 0.0))
    found = registry.snapshot().health_counters()
    assert (set(found.captured), set(found.processed), found.held) == (captured, processed, held)


def test_a_file_that_waits_for_its_model_is_no_reason_until_that_is_ready() -> None:
    """Building an engine takes minutes, and the file gives no frame meanwhile."""
    file = {"source": "film.avi", "pace": "as-fast-as-possible"}
    cameras = {"device": "box", "mqtt": {"host": "localhost"}, "cameras": {"file": file}}
    ready = replace(INFO, models={"default": replace(INFO.models["default"], status=ModelStatus(ModelState.READY))})
    building = ModelStatus(ModelState.BUILDING, 9, "compiling kernels")
    registry = StatusRegistry(Config.model_validate(cameras), ready, Stats(), lambda: True)
    registry.camera_status(CameraStatus("file", CameraState.STREAMING, None, "", 0.0, 0.0))
    health = Health(LIMIT)
    registry.info(replace(ready, models={"default": replace(ready.models["default"], status=building)}))
    assert all(health.judge(now, registry.snapshot().health_counters()).healthy for now in range(200))
    registry.info(ready)
    said = [health.judge(now, registry.snapshot().health_counters()).healthy for now in range(200, 300)]
    assert said.index(False) in (LIMIT + 20, LIMIT + 21)
