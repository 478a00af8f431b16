"""The configuration of metrics, health checks and the web page."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

from daemon.config.section import MISTAKE, Host, Section

_SHORTEST_PASSWORD = 8  # characters; it can be tried over the network


class Metrics(Section):
    """The HTTP server for Prometheus and health checks."""

    host: Host = Field(
        "127.0.0.1",
        description="listen address; unauthenticated: do not expose it to untrusted networks",
    )
    port: int = Field(9469, ge=1, le=65535, description="TCP port; if it is taken, the daemon runs without metrics")


class WebTls(Section):
    """TLS of the web page."""

    certificate: Path = Field(
        description="PEM file with the certificate of this box, and the intermediate certificates up to its CA, "
        "relative to this configuration"
    )
    key: Path | None = Field(
        None,
        description="PEM file with the private key of that certificate, without a passphrase, relative to this "
        "configuration; default: the file of the certificate",
    )


HostName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$",
        json_schema_extra={"patternErrorMessage": "must be a host name alone, without a port"},
    ),
]
Origin = Annotated[
    str,
    Field(
        pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$",
        json_schema_extra={"patternErrorMessage": "must be http:// or https://, a host and a port at most"},
    ),
]


def _is_network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError:
        raise PydanticCustomError(MISTAKE, "must be an address or a network such as 192.0.2.0/24") from None
    return text


def _is_long(password: SecretStr) -> SecretStr:
    if len(password.get_secret_value()) < _SHORTEST_PASSWORD:
        raise PydanticCustomError(MISTAKE, f"must be {_SHORTEST_PASSWORD} characters or more")
    return password


PagePassword = Annotated[SecretStr, AfterValidator(_is_long)]
Network = Annotated[str, AfterValidator(_is_network)]


class Web(Section):
    """The web page, which `ospreyd web` serves."""

    host: Host = Field("127.0.0.1", description="listen address; under systemd ospreyd-web.socket says it")
    port: int = Field(9470, ge=1, le=65535, description="TCP port; under systemd ospreyd-web.socket says it")
    password: PagePassword | None = Field(
        None,
        description="who gives this may look and edit, best as !secret NAME; default: nobody, only the links of "
        "`ospreyd web --link` let in",
    )
    viewer_password: PagePassword | None = Field(None, description="who gives this may look, not edit; default: nobody")
    read_only: bool = Field(False, description="nobody may edit")
    tls: WebTls | None = Field(None, description="encrypt the page; default: not encrypted")
    hosts: tuple[HostName, ...] = Field(
        (),
        description="names under which browsers may call the page, beside addresses, localhost, the box's own name and "
        "that with .local",
    )
    trusted_proxies: tuple[Network, ...] = Field(
        (), description="addresses of reverse proxies whose X-Forwarded-For and -Proto count"
    )
    embed: tuple[Origin, ...] = Field((), description="origins of pages that may show this one in a frame; needs TLS")
    max_viewers: int = Field(
        4, ge=1, le=16, description="pages with live pictures at once; the next one is shown states only"
    )
    fps: float = Field(10.0, ge=1, le=15, description="most pictures of a camera per second; the overview has 2")
    width: int = Field(640, ge=320, le=1280, description="pixels; greatest width of live pictures")
    idle_exit: float = Field(600.0, ge=0, description="seconds without a connection after which it ends; 0: never")


class Service(Section):
    """Metrics, health checks and the web page."""

    metrics: Metrics | None = Field(
        default_factory=Metrics,
        description="HTTP server with /metrics for Prometheus, /healthz and /readyz; null for none; "
        "default: on this machine only",
    )
    web: Web | None = Field(
        default_factory=Web,
        description="web page, served by `ospreyd web`; null for none; default: on this machine only, by login link",
    )
