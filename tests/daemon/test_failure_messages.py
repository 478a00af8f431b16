"""The sentences about failures of the connection to the broker: what failed and how to fix it."""

from __future__ import annotations

import re
import socket
import ssl

import pytest

from daemon.mqtt import failure_messages as messages

BROKER = ("mqtt.local", 8883)
AT = "the broker at mqtt.local:8883"


def untrusted(code: int, meaning: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = code, meaning
    return error


def handshake(reason: str) -> ssl.SSLError:
    error = ssl.SSLError()
    error.reason = reason
    return error


SENTENCES = {
    messages.unreachable(*BROKER, ConnectionRefusedError(111, "Connection refused")): (
        f"{AT} cannot be reached: Connection refused"
    ),
    messages.unreachable(*BROKER, TimeoutError()): f"{AT} cannot be reached: no answer",
    messages.unreachable(*BROKER, socket.gaierror(-2, "Name or service not known")): (
        f"{AT} cannot be reached: unknown host (Name or service not known); check mqtt.host"
    ),
    messages.unreachable(*BROKER, UnicodeError("label empty or too long")): (
        f"{AT} cannot be reached: its host name is not valid; check mqtt.host"
    ),
    messages.unreachable(*BROKER, handshake("WRONG_VERSION_NUMBER")): (
        f"TLS handshake with {AT} failed: wrong version number; is 8883 its TLS port?"
    ),
    messages.unreachable(*BROKER, ConnectionResetError(104, "Connection reset by peer")): (
        f"TLS handshake with {AT} failed: connection reset by peer; is 8883 its TLS port?"
    ),
    messages.unreachable(*BROKER, untrusted(20, "unable to get local issuer certificate")): (
        f"{AT} has an untrusted certificate: unable to get local issuer certificate; "
        "mqtt.tls.ca must name the certificate authority that signed it"
    ),
    messages.unreachable(*BROKER, untrusted(62, "Hostname mismatch.")): (
        f"{AT} has an untrusted certificate: Hostname mismatch; mqtt.host must be one of its names"
    ),
    messages.no_websocket(*BROKER): (
        f"{AT} did not accept a WebSocket; check that 8883 is its WebSocket port, and mqtt.path"
    ),
    messages.rejected_by_tls(*BROKER, "TLSV13_ALERT_CERTIFICATE_REQUIRED"): (
        f"{AT} rejected this device's certificate: certificate required; check mqtt.tls.certificate and key"
    ),
    messages.denied(*BROKER, "a/+/set", "Not authorized"): (
        f"{AT} refused the subscription to a/+/set: Not authorized; check its access control list"
    ),
    messages.forbidden(*BROKER, "Not authorized"): (
        f"{AT} refused a message of this client: Not authorized; check its access control list"
    ),
    messages.too_large(*BROKER, "a/info", 3000, 2000): (
        f"{AT} accepts packets of 2000 bytes at most: 3000 bytes on a/info were not sent"
    ),
    messages.refused_as_too_large(*BROKER, "a/info", 3000): (
        f"{AT} refused 3000 bytes on a/info as too large; raise its message size limit"
    ),
    messages.ended_as_too_large(*BROKER, "a/info", 3000): (
        f"{AT} ended the connection because of a packet that is too large; "
        "packets of 3000 bytes, such as one on a/info, are not sent any more"
    ),
    messages.refused(*BROKER, 135, "Not authorized", "ospreyd-a"): (
        f"{AT} refused the login: Not authorized; check mqtt.username and mqtt.password, "
        "and whether it accepts client ospreyd-a (mqtt.client_id)"
    ),
    messages.refused(*BROKER, 136, "Server unavailable", "ospreyd-a"): (
        f"{AT} refused the connection of client ospreyd-a: Server unavailable"
    ),
    messages.refused(*BROKER, 133, "Client identifier not valid", "ospreyd-a"): (
        f"{AT} refused the connection of client ospreyd-a: Client identifier not valid; "
        "set mqtt.client_id to one that it accepts"
    ),
    messages.lost(*BROKER, messages.SESSION_TAKEN_OVER, "", "ospreyd-a"): (
        f"{AT} gave the session of client ospreyd-a to another client; "
        "does a second ospreyd run with the same `device` or `mqtt.client_id`?"
    ),
    messages.lost(
        *BROKER, 139, "Server shutting down", "ospreyd-a"
    ): f"{AT} ended the connection: Server shutting down",
    messages.broken(*BROKER, messages.KEEP_ALIVE_TIMEOUT, soon=True): f"{AT} stopped responding",
    messages.broken(*BROKER, 0, soon=True): (
        f"{AT} closed the connection soon after accepting it; "
        "does a second ospreyd run with the same `device` or `mqtt.client_id`?"
    ),
    messages.broken(*BROKER, 0, soon=False): f"{AT} closed the connection",
    messages.hung_up(*BROKER): (
        f"{AT} closed the connection before answering; is 8883 its MQTT port, and does it expect TLS?"
    ),
    messages.silent(*BROKER, 0.5): f"{AT} accepted the connection but did not answer within 0.5 s",
    messages.at("::1", 1883): "the broker at [::1]:1883",
}


@pytest.mark.parametrize(("said", "expected"), SENTENCES.items())
def test_sentences(said: str, expected: str) -> None:
    assert said == expected


def test_an_expired_certificate_names_the_clock() -> None:
    said = messages.unreachable(*BROKER, untrusted(10, "certificate has expired"))
    start = f"{AT} has an untrusted certificate: certificate has expired; renew it, or correct the clock of this device"
    assert re.fullmatch(re.escape(start) + r", which says \d{4}-\d\d-\d\d \d\d:\d\d UTC", said)


def test_what_the_broker_does_not_support() -> None:
    assert messages.unsupported(*BROKER, qos=1, retain=True) == []
    assert messages.unsupported(*BROKER, qos=0, retain=False) == [
        f"{AT} supports QoS 0 only: events that are lost on the way are not sent again",
        f"{AT} does not support retained messages: new subscribers get no state until it changes",
    ]
