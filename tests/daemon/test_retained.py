"""Retained messages of cameras that are added and removed under ever new names."""

from __future__ import annotations

import pytest

from daemon.publish.retained import Retained


def test_only_the_latest_cleared_topics_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.publish.retained._CLEARED", 3)
    retained = Retained()
    retained.set("info", b"{}")
    for number in range(10):
        retained.set(f"{number}/status", b"{}", str(number))
        retained.keep([])
    retained.set("8/status", b"{}", "8")
    retained.mark_all_unsent()
    sent = []
    while retained:
        sent.append(retained.pop())
    assert sorted(sent) == [("7/status", b""), ("8/status", b"{}"), ("9/status", b""), ("info", b"{}")]
