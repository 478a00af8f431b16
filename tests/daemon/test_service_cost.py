"""What counting and an idle daemon cost, as ratios to something measured beside them on the same machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.footprint import measure
from tests.benchmarks.metrics_cost import bare_cost, frame_cost
from tests.conftest import ROOT
from tests.daemon.capturing import pictures, write_video

OPTIONAL = {
    "tensorrt",
    "tensorrt_rtx",
    "pycuda",
    "cuda",
    "pynvml",
    "amqtt",
    "pycocotools",
    "torch",
}
"""packages that no command needs before it knows that it needs them"""


def test_counting_a_frame_costs_little_more_than_its_locks_and_dictionaries() -> None:
    """It takes 1.1 times as long; in turns, so that other work on the machine meets both."""
    ratios = [frame_cost(2000, 1) / bare_cost(2000, 1) for _ in range(20)]
    assert sorted(ratios)[5] < 2


def test_counting_does_not_get_slower_with_what_was_counted() -> None:
    short, long = (min(frame_cost(frames, 1) for _ in range(8)) for frames in (1000, 20_000))
    assert long < 1.5 * short


IMPORT = """
import sys
import daemon.__main__, daemon.cli.run
print(open("/proc/self/status").read())
daemon.__main__.run_cli(["--help"])
print(*sys.modules)
"""


def imported() -> tuple[set[str], float]:
    """Packages that the commands import, and the memory that `ospreyd run` takes when it has imported its own, MB."""
    said = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    modules = said.splitlines()[-1].split()
    assert "daemon.cli.outbox" in modules
    return {name.partition(".")[0] for name in modules}, int(re.findall(r"VmRSS:\s+(\d+)", said)[0]) / 1024


def test_a_daemon_with_a_camera_takes_little_more_memory_than_its_libraries(tmp_path: Path) -> None:
    packages, memory = imported()
    assert packages & OPTIONAL == set()
    video = write_video(tmp_path / "film.avi", pictures(15, 320, 240), fps=15.0)
    found = measure(1, 1.0, video, tmp_path, settling=0.5)
    assert found["fps"] > 0
    assert found["memory_mb"] < 1.6 * memory
