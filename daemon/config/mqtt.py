"""The configuration of the connection to the broker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from daemon.config.formats import Formats, TopicName
from daemon.config.outbox import Outbox
from daemon.config.section import MISTAKE, Every, Host, Section

_PORTS = {("tcp", False): 1883, ("tcp", True): 8883, ("websockets", False): 80, ("websockets", True): 443}
"""By transport and whether it is encrypted."""


_Protocol = Annotated[
    str,
    Field(
        pattern=r"^[\x21-\x7e]{1,255}$",
        json_schema_extra={"patternErrorMessage": "must be 1 to 255 printable ASCII characters without spaces"},
    ),
]


class Tls(Section):
    """TLS to the broker; `tls: {}` uses the system's certificate authorities."""

    ca: Path | None = Field(
        None,
        description="PEM file with the CA certificates that the broker's certificate is checked against, relative to "
        "this configuration; default: the system's",
    )
    certificate: Path | None = Field(
        None,
        description="PEM file with the certificate of this device, and the intermediate certificates up to its "
        "CA, relative to this configuration; default: none",
    )
    key: Path | None = Field(
        None,
        description="PEM file with the private key of that certificate, without a passphrase, relative to this "
        "configuration; default: the file of the certificate",
    )
    alpn: _Protocol | None = Field(
        None,
        description="protocol to negotiate in the TLS handshake (ALPN); x-amzn-mqtt-ca for AWS IoT on port 443; "
        "default: none",
    )

    @field_validator("key")
    @classmethod
    def _is_of_a_certificate(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if key is not None and info.data.get("certificate", key) is None:
            raise PydanticCustomError(MISTAKE, "is a key without its certificate; add mqtt.tls.certificate")
        return key


class Mqtt(Section):
    """The broker that everything is published to."""

    host: Host = Field(description="host name or address of the broker")
    port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="TCP port of the broker; default: 1883, with TLS 8883, with websockets 80, with both 443",
    )
    username: str | None = Field(None, description="user name; default: log in without one")
    password: SecretStr | None = Field(
        None,
        description="password of that user, best given as !secret NAME or ${NAME} instead of in clear text; "
        "default: none",
    )
    client_id: str | None = Field(
        None,
        pattern=r"^[^\x00-\x1f\x7f-\x9f]{0,256}$",
        description='client identifier, where the broker accepts certain ones only; "" lets the broker assign one; '
        "default: `ospreyd-<device>`",
        json_schema_extra={"patternErrorMessage": "must be at most 256 characters, without control characters"},
    )
    transport: Literal["tcp", "websockets"] = Field(
        "tcp", description="transport protocol; websockets passes HTTP proxies and firewalls"
    )
    path: str = Field(
        "/mqtt",
        pattern=r"^/[\x21-\x7e]*$",
        description="websockets only: path of the broker's endpoint",
        json_schema_extra={"patternErrorMessage": "must begin with / and hold no spaces"},
    )
    tls: Tls | None = Field(None, description="encrypt the connection; {} is enough; default: not encrypted")
    prefix: TopicName = Field("ospreyd", description="every topic begins with `<prefix>/<device>`")
    keepalive: int = Field(
        30, ge=5, le=3600, description="seconds; the broker announces a lost device after 1.5 times this"
    )
    stats_every: float = Field(10.0, gt=0, description="seconds between two messages on the topic `stats`")
    every: Every = Field(
        "frame",
        description="which frames are published on `detections`: frame for each, change for those whose classes or "
        "numbers of objects differ from the last, or the minimum number of seconds between two",
    )
    formats: Formats = Field(default_factory=Formats, description="formats of other systems that are published too")
    outbox: Outbox = Field(default_factory=Outbox, description="where events wait for the broker")
    persist_settings: bool = Field(
        False, description="keep settings that commands have changed (docs/mqtt/commands.md) over a restart"
    )

    @field_validator("password")
    @classmethod
    def _has_a_user(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if password is not None and info.data.get("username", "") is None:
            raise PydanticCustomError(MISTAKE, "is a password without a user; add mqtt.username")
        return password

    @field_validator("path")
    @classmethod
    def _is_for_websockets(cls, path: str, info: ValidationInfo) -> str:
        if path != cls.model_fields["path"].default and info.data.get("transport", "websockets") != "websockets":
            raise PydanticCustomError(MISTAKE, "is for websockets; add transport: websockets")
        return path

    def client(self, device: str, connection: int = 0) -> str:
        """Client identifier of one of the device's connections; empty: the broker assigns one."""
        own = f"ospreyd-{device}" if self.client_id is None else self.client_id
        return f"{own}.{connection}" if own and connection else own

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, the default port filled in."""
        return self.host, self.port or _PORTS[self.transport, self.tls is not None]
