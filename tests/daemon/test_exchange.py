"""A model is exchanged in a real daemon: the cameras hardly notice."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.exchange import measure
from tests.servers.mosquitto import Mosquitto
from tests.servers.subscriber import Subscriber

BOUND = 1.0  # seconds; a busy machine makes cameras wait too (docs/benchmarks.md has the figures of a quiet one)


def test_no_camera_waits_for_a_model_that_is_built_and_opened(
    broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """Reading, building and opening takes seconds, in which frames go through the model that runs."""
    waits = measure(broker, subscriber, tmp_path, exchanges=2)
    assert max(wait for _, wait in waits.exchanges) < waits.quiet + BOUND
