"""Hostile messages to a real daemon with a failed model, while cameras come and go."""

from __future__ import annotations

from pathlib import Path

from tests.daemon.fuzzing import fuzzed, messages
from tests.servers.mosquitto import Mosquitto


def test_only_commands_change_anything(broker: Mosquitto, tmp_path: Path) -> None:
    with fuzzed(tmp_path, broker) as running:
        running.send(messages(300, 1))
        running.settle()
    assert running.kinds["executed"] > 30
    assert running.kinds["rejected"] > 50
