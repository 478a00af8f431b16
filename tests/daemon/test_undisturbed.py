"""No live camera waits for a file, the broker, a format or the disk; the benchmark undisturbed measures longer."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.undisturbed import FPS, disturbed, phases
from tests.servers.mosquitto import need_mosquitto

_BUSY = 0.25  # seconds that other work on the machine may add to a latency


def test_live_cameras_keep_their_rate_and_latency_whatever_else_fails(tmp_path: Path) -> None:
    """A file whose frames wait meanwhile would otherwise stop every camera behind the same model."""
    need_mosquitto()
    with disturbed(tmp_path) as run:
        found = {name: (meanwhile, quiet) for name, meanwhile, quiet in phases(run, 2.0)}
    assert {"broker absent", "slow format"} <= found.keys()
    for name, (meanwhile, quiet) in found.items():
        assert meanwhile.rate > 0.5 * min(FPS, quiet.rate), name  # one that waits has none
        assert meanwhile.model_p99 < 1.2 * quiet.model_p99 + _BUSY, name
        if meanwhile.total_p99 is not None and quiet.total_p99 is not None:
            assert meanwhile.total_p99 < 1.2 * quiet.total_p99 + _BUSY, name
    assert found["slow format"][0].file_rate > 0, "the file goes on, as fast as the format does"
