"""How many shards there are, on which GPUs, and which cameras each has. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from daemon.config.mistakes import Mistake
from daemon.config.schema import Config
from engines.text import counted

_MOST_FRAMES = 1200.0
"""a second of one process: an interpreter takes 1,280 that are decoded by NVDEC on an H100"""
_TRACKED = 2.5
"""frames that one takes the time of whose objects are followed: of these, it takes 500 (docs/benchmarks.md)"""
_MOST_SHARDS = 64
_FPS = 30.0
"""of a camera that is not limited"""


def layout(config: Config, gpus: int) -> tuple[int, ...]:
    """The GPU of each shard, 0 where there is none; one shard runs in the daemon's own process."""
    shards = config.inference.shards
    if shards is None:
        frames = sum(_frames(config, name) for name in config.cameras)
        shards = min(_MOST_SHARDS, max(gpus, math.ceil(frames / _MOST_FRAMES))) if gpus else 1
    return tuple(number % max(1, gpus) for number in range(shards))


def gpu_mistakes(config: Config, gpus: int) -> list[Mistake]:
    """Cameras with a GPU that is not here, or not used; none where there is no GPU at all."""
    used = set(layout(config, gpus))
    found = []
    for name, camera in config.cameras.items():
        if camera.gpu is None or gpus == 0 or camera.gpu in used:
            continue
        if camera.gpu >= gpus:
            sentence = (
                f"there is no GPU {camera.gpu}: this machine has {counted(gpus, 'GPU')}, and numbers begin with 0"
            )
        else:
            sentence = f"no shard runs on GPU {camera.gpu}; raise inference.shards, or leave that to ospreyd"
        found.append(Mistake(("cameras", name, "gpu"), sentence))
    return found


def place(config: Config, gpus: Sequence[int], before: Mapping[str, int]) -> dict[str, int]:
    """The number of each camera's shard: as `before`, else where there is least to do.

    `gpus` of the shards. Those that ask for a GPU come first.
    """
    cameras = config.cameras
    placed = {
        name: before[name]
        for name, camera in cameras.items()
        if name in before and camera.gpu in (None, gpus[before[name]])
    }
    load = [0.0] * len(gpus)
    for name, shard in placed.items():
        load[shard] += _frames(config, name)
    new = [name for name in cameras if name not in placed]
    for name in sorted(new, key=lambda one: cameras[one].gpu is None):
        gpu = cameras[name].gpu
        possible = [shard for shard, own in enumerate(gpus) if gpu in (None, own)] or range(len(gpus))
        placed[name] = min(possible, key=lambda shard: load[shard])
        load[placed[name]] += _frames(config, name)
    return placed


def part(config: Config, placed: Mapping[str, int], shard: int) -> Config:
    """The configuration with the cameras of a shard alone."""
    cameras = {name: camera for name, camera in config.cameras.items() if placed[name] == shard}
    return config.model_copy(update={"cameras": cameras})


def _frames(config: Config, name: str) -> float:
    """That are expected of a camera a second, in frames that are not tracked."""
    fps = config.cameras[name].fps
    expected = _FPS if fps is None else min(fps, _FPS)
    return expected if config.tracking_of(name) is None else expected * _TRACKED
