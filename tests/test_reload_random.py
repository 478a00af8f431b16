"""A few random edits of a configuration that runs; tests/benchmarks/reload.py makes a hundred."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.conftest import ROOT


def test_random_edits_cost_untouched_cameras_nothing() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.reload", "--edits=20", "--seed=5"]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout, done.stderr
    wrong = json.loads(done.stdout)["wrong"]
    assert [text for text in wrong if "memory" not in text] == [], done.stderr  # that takes more edits to be told
