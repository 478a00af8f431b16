"""The configuration of the outbox: where events wait for the broker, and how many."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from daemon.config.section import Section


class Outbox(Section):
    """Where events wait on disk until the broker has acknowledged them."""

    path: Path | None = Field(
        None,
        description="the file, relative to this configuration; its folder is created; default: outbox-<device>.db in "
        "systemd's state directory, or in ospreyd in the user's",
    )
    max_mb: float = Field(64.0, ge=2, description="megabytes; beyond this the oldest events are dropped and counted")
    max_age_hours: float = Field(
        168.0, gt=0, description="hours of running; events that have waited longer are dropped and counted"
    )
    replay_rate: float = Field(
        200.0, gt=0, description="maximum rate at which the events of an outage are sent, events per second"
    )
