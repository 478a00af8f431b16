"""TLS to a real broker: trusted certificates, and the message for each mistake."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from daemon.config.mqtt import Mqtt
from daemon.errors import UsageError
from daemon.mqtt import failure_messages
from daemon.mqtt.outgoing import Handover
from tests.conftest import wait_for
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
        assert "mqtt.tls.ca" in recorded.wait_refused()


def test_tls_with_a_certificate_for_another_host(tmp_path: Path) -> None:
    folder = certificates.make(tmp_path / "certificates", names="DNS:elsewhere.example")
    with Mosquitto(tmp_path, tls=folder) as broker, linked(broker.port, tls={"ca": folder / "ca.crt"}) as recorded:
        told = recorded.wait_refused()
        assert "certificate is not valid for '127.0.0.1'" in told
        assert "mqtt.host" in told


def test_tls_to_a_port_without_it(tmp_path: Path) -> None:
    folder = certificates.make(tmp_path / "certificates")
    with Mosquitto(tmp_path) as broker, linked(broker.port, tls={"ca": folder / "ca.crt"}) as recorded:
        assert f"is {broker.port} its TLS port?" in recorded.wait_refused()


def test_no_tls_to_a_port_that_expects_it(tmp_path: Path) -> None:
    folder = certificates.make(tmp_path / "certificates")
    with Mosquitto(tmp_path, tls=folder) as broker, linked(broker.port) as recorded:
        assert recorded.wait_refused() == failure_messages.hung_up(HOST, broker.port)


def test_a_certificate_of_the_broker_that_has_expired(tmp_path: Path) -> None:
    folder = certificates.make(tmp_path / "certificates")
    certificates.expire(folder)
    with Mosquitto(tmp_path, tls=folder) as broker, linked(broker.port, tls={"ca": folder / "ca.crt"}) as recorded:
        told = recorded.wait_refused()
        assert "certificate has expired" in told
        assert "clock" in told


ASKS_FOR_A_CERTIFICATE = ("require_certificate true", "use_identity_as_username true")


def test_client_certificate(tmp_path: Path) -> None:
    folder = certificates.make(tmp_path / "certificates")
    certificate = certificates.make_client(folder)
    tls = {"ca": folder / "ca.crt", "certificate": certificate, "key": certificate.with_suffix(".key"), "alpn": "mqtt"}
    with (
        Mosquitto(tmp_path, tls=folder, more=ASKS_FOR_A_CERTIFICATE) as broker,
        linked(broker.port, tls=tls) as recorded,
    ):
        assert recorded.wait_connected().endswith(" with MQTT 5")
        assert "u'gate-01'" in broker.output()


def test_certificate_and_key_in_one_file(tmp_path: Path) -> None:
    folder = certificates.make(tmp_path / "certificates")
    certificate = certificates.make_client(folder)
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + certificate.with_suffix(".key").read_bytes())
    with (
        Mosquitto(tmp_path, tls=folder, more=ASKS_FOR_A_CERTIFICATE) as broker,
        linked(broker.port, tls={"ca": folder / "ca.crt", "certificate": both}) as recorded,
    ):
        recorded.wait_connected()


@pytest.mark.parametrize("shown", ["none", "expired", "another authority's"])
def test_a_rejected_client_certificate(tmp_path: Path, shown: str) -> None:
    folder, other = (certificates.make(tmp_path / name) for name in ("one", "other"))
    tls: dict[str, object] = {"ca": folder / "ca.crt"}
    if shown != "none":
        certificate = certificates.make_client(other if shown.startswith("another") else folder, days=-1)
        tls |= {"certificate": certificate, "key": certificate.with_suffix(".key")}
    with (
        Mosquitto(tmp_path, tls=folder, more=ASKS_FOR_A_CERTIFICATE) as broker,
        linked(broker.port, tls=tls) as recorded,
    ):
        told = recorded.wait_refused()
        assert "mqtt.tls.certificate and key" in told
        # both authorities have the same name, so the broker tells them apart by the signature only
        assert {"none": "certificate required", "expired": "expired"}.get(shown, "decrypt error") in told


def test_a_renewed_certificate_is_used_at_the_next_attempt(tmp_path: Path) -> None:
    folder = certificates.make(tmp_path / "certificates")
    certificate = certificates.make_client(folder, days=-1)
    tls = {"ca": folder / "ca.crt", "certificate": certificate, "key": certificate.with_suffix(".key")}
    with (
        Mosquitto(tmp_path, tls=folder, more=ASKS_FOR_A_CERTIFICATE) as broker,
        linked(broker.port, tls=tls) as recorded,
    ):
        assert "expired" in recorded.wait_refused()
        certificates.make_client(folder)
        recorded.wait_connected()


@pytest.mark.parametrize("broken", ["certificate", "key", "ca"])
def test_a_broken_tls_file_is_reported_until_it_is_fixed(tmp_path: Path, broken: str) -> None:
    folder = certificates.make(tmp_path / "certificates")
    certificate = certificates.make_client(folder)
    tls = {"ca": folder / "ca.crt", "certificate": certificate, "key": certificate.with_suffix(".key")}
    with (
        Mosquitto(tmp_path, tls=folder, more=ASKS_FOR_A_CERTIFICATE) as broker,
        linked(broker.port, "gate/echo", tls=tls) as recorded,
    ):
        recorded.wait_connected()
        whole = tls[broken].read_bytes()
        tls[broken].write_bytes(b"")
        assert recorded.link.publish("gate/echo", b"1") is Handover.TAKEN
        wait_for(lambda: recorded.received, "a message over the connection that stands")
        broker.kill()
        wait_for(lambda: recorded.link.state.detail.startswith(f"mqtt.tls.{broken}: "), "the state")
        tls[broken].write_bytes(whole)
        broker.start()
        recorded.wait_connected()


def test_alpn_protocol(tmp_path: Path) -> None:
    """A server that takes AWS IoT's protocol only, as AWS does on port 443; Mosquitto knows none."""
    folder = certificates.make(tmp_path / "certificates")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    context.set_alpn_protocols(["x-amzn-mqtt-ca"])
    with socket.create_server((HOST, 0)) as server:
        server.settimeout(20)
        tls = {"ca": folder / "ca.crt", "alpn": "x-amzn-mqtt-ca"}
        with linked(server.getsockname()[1], tls=tls):
            plain, _ = server.accept()
            with context.wrap_socket(plain, server_side=True) as peer:
                assert peer.selected_alpn_protocol() == "x-amzn-mqtt-ca"


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (("gate-01.crt", "none.key"), "mqtt.tls.key: cannot read FOLDER/none.key: No such file or directory"),
        (("none.crt", "gate-01.key"), "mqtt.tls.certificate: cannot read FOLDER/none.crt: No such file or directory"),
        (("gate-01.crt", "names"), "mqtt.tls.key: there is no PEM private key in FOLDER/names"),
        (("gate-01.key", "gate-01.key"), "mqtt.tls.certificate: there is no PEM certificate in FOLDER/gate-01.key"),
        (("gate-01.crt", None), "mqtt.tls.certificate: there is no PEM private key in FOLDER/gate-01.crt"),
        (
            ("gate-01.crt", "server.key"),
            (
                "mqtt.tls.key: the private key in FOLDER/server.key does not match the certificate in "
                "FOLDER/gate-01.crt; one of them belongs to another device"
            ),
        ),
        (
            ("locked.crt", "locked.key"),
            (
                "mqtt.tls.key: the key in FOLDER/locked.key has a passphrase; "
                "write it without: openssl pkey -in FOLDER/locked.key -out PLAIN_KEY"
            ),
        ),
    ],
    ids=["no key", "no certificate", "not a key", "not a certificate", "key not in it", "another's key", "passphrase"],
)
def test_certificates_and_keys_that_cannot_be_used(tmp_path: Path, files: tuple[str, str | None], why: str) -> None:
    folder = certificates.make(tmp_path / "certificates")
    certificates.make_client(folder)
    certificates.make_client(folder, "locked", passphrase="open sesame")
    certificate, key = files
    tls = {"certificate": folder / certificate, "key": key and folder / key}
    with pytest.raises(UsageError) as raised:
        Recorded(Mqtt.model_validate({"host": HOST, "tls": tls}))
    assert str(raised.value) == why.replace("FOLDER", str(folder))


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
