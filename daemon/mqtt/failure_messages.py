"""Sentences about failures of the connection to the broker: what failed and how to fix it."""

from __future__ import annotations

import socket
import ssl
from datetime import datetime, timezone

UNSUPPORTED_PROTOCOL_VERSION = 132
_CLIENT_IDENTIFIER_NOT_VALID = 133
KEEP_ALIVE_TIMEOUT = 141
SESSION_TAKEN_OVER = 142
PACKET_TOO_LARGE = 149

_NOT_YET_VALID, _EXPIRED = 9, 10  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
_HOSTNAME_MISMATCH = frozenset({62, 64})  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_NOT_AUTHORIZED = 135  # also of a client identifier
_LOGIN = frozenset({134, _NOT_AUTHORIZED})  # bad user name or password
_SECOND = "does a second ospreyd run with the same `device` or `mqtt.client_id`?"


def unreachable(host: str, port: int, error: OSError | UnicodeError) -> str:
    """The connection could not be opened."""
    broker = at(host, port)
    if isinstance(error, UnicodeError):  # raised by Python's look-up of names
        return f"{broker} cannot be reached: its host name is not valid; check mqtt.host"
    if isinstance(error, ssl.SSLCertVerificationError):
        fix = "mqtt.tls.ca must name the certificate authority that signed it"
        if error.verify_code in _HOSTNAME_MISMATCH:
            fix = "mqtt.host must be one of its names"
        elif error.verify_code in {_NOT_YET_VALID, _EXPIRED}:
            fix = f"renew it, or correct the clock of this device, which says {_today()}"
        return f"{broker} has an untrusted certificate: {error.verify_message.rstrip('.')}; {fix}"
    if isinstance(error, (ssl.SSLError, ConnectionResetError)):  # a TCP handshake is never reset
        reason = getattr(error, "reason", "") or error.strerror or str(error)
        return f"TLS handshake with {broker} failed: {reason.replace('_', ' ').lower()}; is {port} its TLS port?"
    if isinstance(error, socket.gaierror):
        return f"{broker} cannot be reached: unknown host ({error.strerror}); check mqtt.host"
    if isinstance(error, TimeoutError):
        return f"{broker} cannot be reached: no answer"
    return f"{broker} cannot be reached: {error.strerror or error}"


def no_websocket(host: str, port: int) -> str:
    """The server did not accept the upgrade to a WebSocket."""
    return f"{at(host, port)} did not accept a WebSocket; check that {port} is its WebSocket port, and mqtt.path"


def rejected_by_tls(host: str, port: int, alert: str) -> str:
    """The broker ended the connection with a TLS alert about our certificate."""
    reason = alert.removeprefix("TLSV13_ALERT_").removeprefix("TLSV1_ALERT_").removeprefix("SSLV3_ALERT_")
    reason = reason.replace("_", " ").lower()
    return f"{at(host, port)} rejected this device's certificate: {reason}; check mqtt.tls.certificate and key"


def denied(host: str, port: int, pattern: str, meaning: str) -> str:
    """The broker refused a subscription."""
    return f"{at(host, port)} refused the subscription to {pattern}: {meaning}; check its access control list"


def forbidden(host: str, port: int, meaning: str) -> str:
    """The broker refused a message."""
    return f"{at(host, port)} refused a message of this client: {meaning}; check its access control list"


def unsupported(host: str, port: int, *, qos: int, retain: bool) -> list[str]:
    """What the broker does not support, and the consequence."""
    found = []
    if qos < 1:
        found.append(f"{at(host, port)} supports QoS 0 only: events that are lost on the way are not sent again")
    if not retain:
        found.append(
            f"{at(host, port)} does not support retained messages: new subscribers get no state until it changes"
        )
    return found


def too_large(host: str, port: int, topic: str, size: int, largest: int) -> str:
    """A message was not sent because it exceeds the broker's Maximum Packet Size."""
    return f"{at(host, port)} accepts packets of {largest} bytes at most: {size} bytes on {topic} were not sent"


def refused_as_too_large(host: str, port: int, topic: str, size: int) -> str:
    """The broker refused a message because of a size limit that it does not announce."""
    return f"{at(host, port)} refused {size} bytes on {topic} as too large; raise its message size limit"


def ended_as_too_large(host: str, port: int, topic: str, size: int) -> str:
    """The broker ended the connection because of a size limit that it does not announce."""
    done = f"packets of {size} bytes, such as one on {topic}, are not sent any more"
    return f"{at(host, port)} ended the connection because of a packet that is too large; {done}"


def refused(host: str, port: int, code: int, meaning: str, client_id: str) -> str:
    """The broker refused the connection; `code` and `meaning` are MQTT 5's."""
    if code in _LOGIN:
        check = "check mqtt.username and mqtt.password"
        check += f", and whether it accepts client {client_id} (mqtt.client_id)" if code == _NOT_AUTHORIZED else ""
        return f"{at(host, port)} refused the login: {meaning}; {check}"
    fix = "; set mqtt.client_id to one that it accepts" if code == _CLIENT_IDENTIFIER_NOT_VALID else ""
    return f"{at(host, port)} refused the connection of client {client_id}: {meaning}{fix}"


def lost(host: str, port: int, code: int, meaning: str, client_id: str) -> str:
    """The broker sent a DISCONNECT; `code` and `meaning` are MQTT 5's."""
    if code == SESSION_TAKEN_OVER:
        return f"{at(host, port)} gave the session of client {client_id} to another client; {_SECOND}"
    return f"{at(host, port)} ended the connection: {meaning}"


def broken(host: str, port: int, code: int, soon: bool) -> str:
    """An accepted connection ended without a DISCONNECT; `soon` after it was accepted."""
    if code == KEEP_ALIVE_TIMEOUT:
        return f"{at(host, port)} stopped responding"
    if soon:  # not every broker sends "session taken over"
        return f"{at(host, port)} closed the connection soon after accepting it; {_SECOND}"
    return f"{at(host, port)} closed the connection"


def hung_up(host: str, port: int) -> str:
    """The broker closed the connection before its CONNACK."""
    return f"{at(host, port)} closed the connection before answering; is {port} its MQTT port, and does it expect TLS?"


def silent(host: str, port: int, seconds: float) -> str:
    """The broker accepted the TCP connection and sent nothing."""
    return f"{at(host, port)} accepted the connection but did not answer within {seconds:g} s"


def _today() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def at(host: str, port: int) -> str:
    """The broker and its address."""
    return f"the broker at [{host}]:{port}" if ":" in host else f"the broker at {host}:{port}"
