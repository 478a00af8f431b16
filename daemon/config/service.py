"""The configuration of metrics and health checks."""

from __future__ import annotations

from pydantic import Field

from daemon.config.section import Host, Section


class Metrics(Section):
    """The HTTP server for Prometheus and health checks."""

    host: Host = Field(
        "127.0.0.1",
        description="listen address; unauthenticated: do not expose it to untrusted networks",
    )
    port: int = Field(9469, ge=1, le=65535, description="TCP port; if it is taken, the daemon runs without metrics")


class Service(Section):
    """Metrics and health checks."""

    metrics: Metrics | None = Field(
        default_factory=Metrics,
        description="HTTP server with /metrics for Prometheus, /healthz and /readyz; null for none; "
        "default: on this machine only",
    )
