"""How the daemon shows what it does to those who run it, as configured."""

from __future__ import annotations

from pydantic import Field

from daemon.config.section import Section


class Metrics(Section):
    """The HTTP server for Prometheus and health checks."""

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="address that is listened on; there is no password, so the world should not reach it",
    )
    port: int = Field(9469, ge=1, le=65535, description="TCP port; if it is taken, the daemon runs without metrics")


class Service(Section):
    """What the daemon shows of itself."""

    metrics: Metrics | None = Field(
        default_factory=Metrics,
        description="HTTP server with /metrics for Prometheus, /healthz and /readyz; null for none; "
        "default: on this machine only",
    )
