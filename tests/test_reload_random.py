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
    result = json.loads(done.stdout)
    assert result["wrong"] == [], done.stderr
    assert all(count > 10 for count in result["frames"].values()), "the untouched cameras did not run"
    assert set(result["connections"].values()) == {1}, "an untouched camera was opened again"
    first, *_, last = result["held"]
    assert last["threads"] <= first["threads"] + 1  # the log has one while it holds lines
    assert last["descriptors"] <= first["descriptors"]
    assert last["memory"] < 1.2 * first["memory"], "a model or a camera of each edit was kept"
