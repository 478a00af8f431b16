"""What counting costs, and that the daemon's footprint can be measured; tests/benchmarks has the long versions."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.footprint import imports, measure
from tests.benchmarks.metrics_cost import frame_cost
from tests.daemon.capturing import pictures, write_video


def test_counting_costs_a_frame_next_to_nothing() -> None:
    """The bound leaves room for a busy machine; the benchmark measures the real cost."""
    assert frame_cost(frames=1000, rounds=20) < 20


def test_a_daemon_takes_less_memory_than_a_small_board_has(tmp_path: Path) -> None:
    video = write_video(tmp_path / "film.avi", pictures(15, 320, 240), fps=15.0)
    found = measure(1, 1.0, video, tmp_path, settling=0.5)
    assert found["fps"] > 5
    assert found["memory_mb"] < 400
    assert 0 < found["ready_s"] < 30


def test_imports_are_measured() -> None:
    assert imports()[0]["module"] == "daemon.__main__"
