"""Events while everything fails, for half a minute; tests/benchmarks/outbox_faults.py does the same for ten."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.servers.mosquitto import need_mosquitto


@pytest.mark.timeout(300)  # half a minute, and as long again where waits for a new connection add up
def test_every_announced_event_arrives_whatever_fails() -> None:
    need_mosquitto()
    command = [sys.executable, "-m", "tests.benchmarks.outbox_faults", "--faults=10", "--seconds=20", "--seed=8"]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == [], done.stderr
    assert found["announced"] > 100
