"""Closes and opens all cameras of a daemon again and again: do memory, threads and descriptors stay?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tests.benchmarks.counters import Counters
from tests.benchmarks.machine_use import Processes, gpu_memory
from tests.servers.mosquitto import HOST
from tests.servers.subscriber import Subscriber

_OPENS_WITHIN = 120.0  # seconds
_LOOK_EVERY = 1.0  # seconds
_KEPT = 12  # samples that are told, of all


def reconnected(
    pid: int, port: int, topics: Sequence[str], counters: Counters, times: int, frames: int
) -> dict[str, Any]:
    """What the daemon holds after each reconnect; the first three are its warm-up.

    `topics` of the cameras. Reconnects are spread so that each camera has given `frames` frames in the end.
    """
    names = [topic.rpartition("/")[2] for topic in topics]
    begin = sum(counters.read()["captured"].values())
    samples = []
    with Subscriber(HOST, port, topics[0].rpartition("/")[0] + "/+/status") as subscriber:
        for number in range(times):
            while sum(counters.read()["captured"].values()) - begin < len(names) * frames * number / times:
                counters.wait(_LOOK_EVERY)
            for state in ("disabled", "streaming"):
                since = time.monotonic()
                for topic in topics:
                    subscriber.publish(f"{topic}/set/enabled", "false" if state == "disabled" else "true")
                for topic in topics:
                    _wait_for_state(subscriber, topic, state, since)
            if silent := counters.wait_for_all(names, _OPENS_WITHIN):
                raise RuntimeError(f"reconnect {number}: no frame of {len(silent)} cameras in {_OPENS_WITHIN:g} s")
            samples.append(_sample(pid))
    after_warm_up, last = samples[min(3, len(samples) - 1)], samples[-1]
    return {
        "times": times,
        "frames_of_each_camera": round((sum(counters.read()["captured"].values()) - begin) / len(names)),
        "grown": {
            name: round(last[name] - after_warm_up[name], 1)
            for name in ("memory_mb", "gpu_mb", "threads", "descriptors")
        },
        "samples": samples[:: max(1, len(samples) // _KEPT)],
    }


def _wait_for_state(subscriber: Subscriber, topic: str, state: str, since: float) -> None:
    subscriber.wait(
        lambda messages: any(
            m.topic == f"{topic}/status" and m.at > since and m.json()["state"] == state for m in messages
        ),
        f"{topic} to be {state}",
        _OPENS_WITHIN,
    )


def _sample(pid: int) -> dict[str, float]:
    now = Processes.of(pid)
    return {
        "memory_mb": round(sum(now.memory.values()), 1),
        "gpu_mb": sum(gpu_memory()),
        "threads": len(now.threads_cpu),
        "descriptors": now.descriptors,
    }
