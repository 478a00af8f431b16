"""Why there is no connection to the broker, as one sentence for a person that says what to mend."""

from __future__ import annotations

import socket
import ssl
from datetime import datetime, timezone

UNSUPPORTED_PROTOCOL_VERSION = 132
KEEP_ALIVE_TIMEOUT = 141
SESSION_TAKEN_OVER = 142

_NOT_YET_VALID, _EXPIRED = 9, 10  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
_HOSTNAME_MISMATCH = frozenset({62, 64})  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_LOGIN = frozenset({134, 135})  # bad user name or password, not authorized
_SECOND = "does a second ospreyd run with the same `device`?"


def unreachable(host: str, port: int, error: OSError) -> str:
    """The connection could not be opened."""
    broker = at(host, port)
    if isinstance(error, ssl.SSLCertVerificationError):
        mend = "mqtt.tls.ca must name the certificate authority that signed it"
        if error.verify_code in _HOSTNAME_MISMATCH:
            mend = "mqtt.host must be a name that stands in it"
        elif error.verify_code in {_NOT_YET_VALID, _EXPIRED}:
            mend = f"the broker needs a new one, unless the clock here is wrong: it says {_today()}"
        return f"{broker} has a certificate that is not trusted: {error.verify_message.rstrip('.')}; {mend}"
    if isinstance(error, (ssl.SSLError, ConnectionResetError)):  # TCP itself is never reset while it opens
        reason = getattr(error, "reason", "") or error.strerror or str(error)
        return f"{broker} does not speak TLS as it should: {reason.replace('_', ' ').lower()}; is {port} its TLS port?"
    if isinstance(error, socket.gaierror):
        return f"{broker} cannot be reached: its name is unknown ({error.strerror}); check mqtt.host"
    if isinstance(error, TimeoutError):
        return f"{broker} cannot be reached: no answer"
    return f"{broker} cannot be reached: {error.strerror or error}"


def no_websocket(host: str, port: int) -> str:
    """The connection stands, but nobody answers the upgrade to a WebSocket."""
    return f"{at(host, port)} does not take WebSockets there; is {port} its WebSocket port, and mqtt.path right?"


def rejected_by_tls(host: str, port: int, alert: str) -> str:
    """The broker ended the connection with an alert of TLS, which is about our certificate."""
    told = alert.removeprefix("TLSV13_ALERT_").removeprefix("TLSV1_ALERT_").removeprefix("SSLV3_ALERT_")
    told = told.replace("_", " ").lower()
    return f"{at(host, port)} does not accept this device's certificate: {told}; check mqtt.tls.certificate and key"


def denied(host: str, port: int, pattern: str, meaning: str) -> str:
    """The broker refused a subscription."""
    return f"{at(host, port)} does not let this client subscribe to {pattern}: {meaning}; check its access control list"


def forbidden(host: str, port: int, meaning: str) -> str:
    """The broker has refused a message."""
    return f"{at(host, port)} refuses a message of this client: {meaning}; check its access control list"


def missing(host: str, port: int, *, qos: int, retain: bool) -> list[str]:
    """What the broker does not offer, and what that means here."""
    said = []
    if qos < 1:
        said.append(f"{at(host, port)} takes QoS 0 only: an event that is lost on the way is not sent again")
    if not retain:
        said.append(
            f"{at(host, port)} keeps no retained messages: who subscribes later gets no state before it changes"
        )
    return said


def too_large(host: str, port: int, topic: str, size: int, largest: int) -> str:
    """A message was not sent, since the broker would end the connection for it."""
    return f"{at(host, port)} takes packets of {largest} bytes at most: one of {size} bytes on {topic} is not sent"


def refused_as_too_large(host: str, port: int, topic: str, size: int) -> str:
    """The broker refused a message whose size it had not said to be too large."""
    return f"{at(host, port)} refuses a message of {size} bytes on {topic}: it is too large; raise the broker's limit"


def refused(host: str, port: int, code: int, meaning: str, client_id: str) -> str:
    """The broker answered the connection with a refusal; `code` and `meaning` are MQTT 5's."""
    if code in _LOGIN:
        return f"{at(host, port)} refuses the login: {meaning}; check mqtt.username and mqtt.password"
    return f"{at(host, port)} refuses the connection of client {client_id}: {meaning}"


def lost(host: str, port: int, code: int, meaning: str, client_id: str) -> str:
    """The broker ended a connection that it had accepted; `code` and `meaning` are MQTT 5's."""
    if code == SESSION_TAKEN_OVER:
        return f"{at(host, port)} gave the session of client {client_id} to another client; {_SECOND}"
    return f"{at(host, port)} ended the connection: {meaning}"


def broken(host: str, port: int, code: int, soon: bool) -> str:
    """A connection that the broker had accepted, `soon` ago, is gone without a word from it."""
    if code == KEEP_ALIVE_TIMEOUT:
        return f"{at(host, port)} no longer answers"
    if soon:  # not every broker says that another client took the session over
        return f"{at(host, port)} closed the connection soon after accepting it; {_SECOND}"
    return f"{at(host, port)} closed the connection"


def hung_up(host: str, port: int) -> str:
    """The broker closed the connection instead of answering it."""
    return f"{at(host, port)} closed the connection before answering; is {port} its MQTT port, and does it expect TLS?"


def silent(host: str, port: int, seconds: float) -> str:
    """The broker took the connection and then said nothing."""
    return f"{at(host, port)} took the connection but did not answer within {seconds:g} s"


def _today() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def at(host: str, port: int) -> str:
    """The broker, by its address."""
    return f"the broker at [{host}]:{port}" if ":" in host else f"the broker at {host}:{port}"
