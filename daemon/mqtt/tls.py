"""TLS to the broker: whom we trust, who we are, and what the other side thought of it."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from daemon.config.mqtt import Tls
from daemon.errors import UsageError


class TlsContext(ssl.SSLContext):
    """A client's context that checks the broker's certificate and name, and remembers why a connection ended."""

    alert = ""
    """what the broker said last when it ended a connection whose handshake had succeeded, OpenSSL's words"""


class _Socket(ssl.SSLSocket):
    """Closes itself where the handshake fails, which paho leaves to the garbage collector, and keeps the alert."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """As of every socket. With TLS 1.3 a broker tells only here what it thinks of our certificate."""
        try:
            return super().recv(buflen, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            if isinstance(self.context, TlsContext):
                self.context.alert = error.reason or ""
            raise


def tls_context(config: Tls | None) -> TlsContext | None:
    """How to speak TLS, None where it is not asked for. Raises UsageError for a file that cannot be used."""
    if config is None:
        return None
    context = TlsContext(ssl.PROTOCOL_TLS_CLIENT)  # which checks certificates and names
    context.sslsocket_class = _Socket
    if config.ca is None:
        context.load_default_certs()
    else:
        _trust(context, config.ca)
    if config.certificate is not None:
        _introduce(context, config.certificate, config.key)
    if config.alpn is not None:
        context.set_alpn_protocols([config.alpn])
    return context


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(ca)
    except OSError as error:  # ssl.SSLError is one
        why = "no PEM certificate in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise UsageError(f"mqtt.tls.ca: cannot read CA certificates from {ca}: {why}") from None


def _introduce(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    """Shows `certificate` to the broker; a key of None is in the same file."""
    _check_pem("mqtt.tls.certificate", certificate, "CERTIFICATE-----", "certificate")
    key_name = "mqtt.tls.key" if key else "mqtt.tls.certificate"
    _check_pem(key_name, key or certificate, "PRIVATE KEY-----", "private key")
    asked = False

    def no_passphrase() -> str:
        nonlocal asked
        asked = True
        return ""

    try:
        context.load_cert_chain(certificate, key, no_passphrase)
    except (ssl.SSLError, ValueError) as error:
        if asked:
            mend = f"write it without: openssl pkey -in {key or certificate} -out PLAIN_KEY"
            raise UsageError(f"{key_name}: the key in {key or certificate} has a passphrase; {mend}") from None
        reason = getattr(error, "reason", None) or str(error)
        if reason == "KEY_VALUES_MISMATCH":
            mend = f"the private key in {key or certificate} does not fit the certificate in {certificate}"
            raise UsageError(f"{key_name}: {mend}; one of them is another device's") from None
        told = reason.replace("_", " ").lower()
        raise UsageError(f"{key_name}: certificate and key in {certificate} cannot be used: {told}") from None


def _check_pem(name: str, file: Path, mark: str, what: str) -> None:
    """Tells apart what OpenSSL reports in the same words for every file."""
    try:
        text = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{name}: cannot read {os.fspath(file)}: {error.strerror}") from None
    if mark.encode() not in text:
        raise UsageError(f"{name}: there is no PEM {what} in {os.fspath(file)}")
