"""TLS to a real broker: certificates that are trusted, and the sentence for each way to get it wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config.schema import Mqtt
from daemon.errors import UsageError
from tests.daemon.linking import Recorded, linked
from tests.servers import certificates
from tests.servers.mosquitto import HOST, Mosquitto


def test_tls(tmp_path: Path) -> None:
    folder = certificates.make(tmp_path / "certificates")
    with (
        Mosquitto(tmp_path, tls=folder) as broker,
        linked(broker.port, host="localhost", tls={"ca": folder / "ca.crt"}) as recorded,
    ):
        assert recorded.wait_connected() == f"connected to the broker at localhost:{broker.port} with MQTT 5"


def test_tls_with_a_certificate_of_another_authority(tmp_path: Path) -> None:
    folder, other = (certificates.make(tmp_path / name) for name in ("one", "other"))
    with Mosquitto(tmp_path, tls=folder) as broker, linked(broker.port, tls={"ca": other / "ca.crt"}) as recorded:
        told = recorded.wait_refused()
        start = f"the broker at 127.0.0.1:{broker.port} has a certificate that is not trusted: "
        assert told.startswith(start)
        assert told.endswith("; mqtt.tls.ca must name the certificate authority that signed it")


def test_tls_with_a_certificate_for_another_host(tmp_path: Path) -> None:
    folder = certificates.make(tmp_path / "certificates", names="DNS:elsewhere.example")
    with Mosquitto(tmp_path, tls=folder) as broker, linked(broker.port, tls={"ca": folder / "ca.crt"}) as recorded:
        assert recorded.wait_refused() == (
            f"the broker at 127.0.0.1:{broker.port} has a certificate that is not trusted: IP address mismatch, "
            "certificate is not valid for '127.0.0.1'; mqtt.host must be a name that stands in it"
        )


def test_tls_to_a_port_without_it(tmp_path: Path) -> None:
    folder = certificates.make(tmp_path / "certificates")
    with Mosquitto(tmp_path) as broker, linked(broker.port, tls={"ca": folder / "ca.crt"}) as recorded:
        told = recorded.wait_refused()
        assert told.startswith(f"the broker at 127.0.0.1:{broker.port} does not speak TLS as it should: ")
        assert told.endswith(f"; is {broker.port} its TLS port?")


def test_no_tls_to_a_port_that_expects_it(tmp_path: Path) -> None:
    folder = certificates.make(tmp_path / "certificates")
    with Mosquitto(tmp_path, tls=folder) as broker, linked(broker.port) as recorded:
        assert recorded.wait_refused() == (
            f"the broker at 127.0.0.1:{broker.port} closed the connection before answering; "
            f"is {broker.port} its MQTT port, and does it expect TLS?"
        )


@pytest.mark.parametrize(
    ("content", "why"), [(None, "No such file or directory"), ("no certificate", "no PEM certificate in it")]
)
def test_a_ca_file_that_cannot_be_used(tmp_path: Path, content: str | None, why: str) -> None:
    ca = tmp_path / "ca.crt"
    if content is not None:
        ca.write_text(content)
    with pytest.raises(UsageError) as raised:
        Recorded(Mqtt.model_validate({"host": HOST, "tls": {"ca": ca}}))
    assert str(raised.value) == f"mqtt.tls.ca: cannot read CA certificates from {ca}: {why}"
