"""How many shards there are, and which cameras each has."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from daemon.app.placement import gpu_mistakes, layout, part, place
from daemon.app.reload import first_plan
from daemon.config.difference import difference
from daemon.config.load import load_with_lines
from daemon.config.schema import Config
from daemon.errors import ConfigError
from tests.daemon.test_config_difference import config as configured


def config(cameras: int, *, shards: int | None = None, **more: dict[str, Any]) -> Config:
    """So many cameras, c0 and so on, and others as they are given."""
    named: dict[str, dict[str, Any]] = {f"c{number}": {} for number in range(cameras)}
    return configured({**named, **more}, inference={} if shards is None else {"shards": shards})


@pytest.mark.parametrize(
    ("cameras", "gpus", "shards", "expected"),
    [
        (200, 0, None, (0,)),
        (200, 0, 2, (0, 0)),
        (40, 1, None, (0,)),
        (160, 1, None, (0, 0, 0, 0)),
        (2, 2, None, (0, 1)),
        (121, 2, None, (0, 1, 0, 1)),
        (2, 2, 1, (0,)),
        (2, 2, 3, (0, 1, 0)),
    ],
)
def test_layout(cameras: int, gpus: int, shards: int | None, expected: tuple[int, ...]) -> None:
    assert layout(config(cameras, shards=shards), gpus) == expected


def test_cameras_go_where_the_fewest_frames_are_expected() -> None:
    whole = config(4, slow={"fps": 5}, other={"fps": 25})
    placed = place(whole, (0, 1), {})
    load = [0.0, 0.0]
    for name, shard in placed.items():
        load[shard] += whole.cameras[name].fps or 30
    assert abs(load[0] - load[1]) <= 25
    assert Counter(placed[f"c{number}"] for number in range(4)) == {0: 2, 1: 2}


def test_more_shards_where_objects_are_followed_and_fewer_where_frames_are_few() -> None:
    assert layout(configured({f"c{number}": {"tracking": {}} for number in range(40)}), 1) == (0, 0, 0)
    assert layout(configured({f"c{number}": {"fps": 5} for number in range(160)}), 1) == (0,)
    assert len(layout(config(3000), 1)) == 64


def test_a_camera_whose_objects_are_followed_is_more_to_do() -> None:
    placed = place(config(5, x={"tracking": {}}), (0, 1), {"x": 0})
    assert Counter(placed[f"c{number}"] for number in range(5)) == {1: 4, 0: 1}


def test_a_camera_gets_the_gpu_that_it_asks_for() -> None:
    placed = place(config(2, x={"gpu": 1}, y={"gpu": 1}), (0, 1), {})
    assert placed == {"x": 1, "y": 1, "c0": 0, "c1": 0}


def test_cameras_stay_where_they_are() -> None:
    before = place(config(4), (0, 0), {})
    assert place(config(6), (0, 0), before).items() >= before.items()
    emptied = dict.fromkeys(before, 1)
    assert place(config(6), (0, 0), emptied) == {**emptied, "c4": 0, "c5": 0}


def test_each_shard_has_its_part_of_the_configuration() -> None:
    whole = config(4)
    placed = place(whole, (0, 0), {})
    parts = [part(whole, placed, shard) for shard in (0, 1)]
    assert {**parts[0].cameras, **parts[1].cameras} == whole.cameras
    assert len(parts[0].cameras) == len(parts[1].cameras) == 2
    assert parts[0].model_copy(update={"cameras": whole.cameras}) == whole


@pytest.mark.parametrize(
    ("gpu", "gpus", "shards", "sentence"),
    [
        (0, 1, None, None),
        (1, 2, None, None),
        (1, 0, None, None),  # a laptop, on which a configuration is checked
        (1, 1, None, "there is no GPU 1: this machine has 1 GPU, and numbers begin with 0"),
        (1, 2, 1, "no shard runs on GPU 1; raise inference.shards, or leave that to ospreyd"),
    ],
)
def test_a_gpu_that_is_not_there_is_refused(gpu: int, gpus: int, shards: int | None, sentence: str | None) -> None:
    found = gpu_mistakes(config(1, shards=shards, x={"gpu": gpu}), gpus)
    assert [(mistake.path, mistake.sentence) for mistake in found] == (
        [] if sentence is None else [(("cameras", "x", "gpu"), sentence)]
    )


def test_the_line_of_a_gpu_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.app.reload.gpu_count", lambda: 1)
    file = tmp_path / "box.yaml"
    file.write_text(
        "device: box\nmqtt: {host: localhost}\nmodels: {default: street}\n"
        "cameras:\n  front:\n    source: rtsp://front/1\n    gpu: 1\n"
    )
    loaded = load_with_lines(file)
    with pytest.raises(ConfigError) as refused, loaded.naming_lines():
        first_plan(loaded.config)
    (problem,) = refused.value.problems
    assert problem.startswith(f"{file}:7: cameras.front.gpu: there is no GPU 1")


@pytest.mark.parametrize(("key", "more"), [("inference.shards", {"shards": 3}), ("cameras.c0.gpu", {"c0": {"gpu": 1}})])
def test_what_needs_a_restart(key: str, more: dict[str, Any]) -> None:
    assert difference(config(2), config(2, **more)).fixed == (key,)
