"""TLS to the broker: trusted authorities, client certificate, and the reason when the broker rejects it."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from daemon.config.mqtt import Tls
from daemon.errors import UsageError


class TlsContext(ssl.SSLContext):
    """A client context that checks the broker's certificate and host name, and records the broker's alert."""

    alert = ""
    """OpenSSL's name of the last alert that came after a successful handshake"""


class _Socket(ssl.SSLSocket):
    """Closes itself if the handshake fails, which paho does not do, and records the alert."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Receives; with TLS 1.3 the broker's verdict on our certificate arrives only here."""
        try:
            return super().recv(buflen, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            if isinstance(self.context, TlsContext):
                self.context.alert = error.reason or ""
            raise


def tls_context(config: Tls | None) -> TlsContext | None:
    """Reads the files of `mqtt.tls`; None without TLS. Raises UsageError for a file that cannot be used."""
    if config is None:
        return None
    context = TlsContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and host name by default
    context.sslsocket_class = _Socket
    if config.ca is None:
        context.load_default_certs()
    else:
        _load_ca(context, config.ca)
    if config.certificate is not None:
        _load_certificate(context, config.certificate, config.key)
    if config.alpn is not None:
        context.set_alpn_protocols([config.alpn])
    return context


def _load_ca(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(ca)
    except OSError as error:  # ssl.SSLError is one
        why = "no PEM certificate in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise UsageError(f"mqtt.tls.ca: cannot read CA certificates from {ca}: {why}") from None


def _load_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    """Loads the client certificate; without `key` the private key is in the same file."""
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
            fix = f"write it without: openssl pkey -in {key or certificate} -out PLAIN_KEY"
            raise UsageError(f"{key_name}: the key in {key or certificate} has a passphrase; {fix}") from None
        reason = getattr(error, "reason", None) or str(error)
        if reason == "KEY_VALUES_MISMATCH":
            mismatch = f"the private key in {key or certificate} does not match the certificate in {certificate}"
            raise UsageError(f"{key_name}: {mismatch}; one of them belongs to another device") from None
        detail = reason.replace("_", " ").lower()
        raise UsageError(f"{key_name}: certificate and key in {certificate} cannot be used: {detail}") from None


def _check_pem(name: str, file: Path, mark: str, what: str) -> None:
    """Names the file that is missing or is not PEM; OpenSSL reports the same error for all of them."""
    try:
        text = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{name}: cannot read {os.fspath(file)}: {error.strerror}") from None
    if mark.encode() not in text:
        raise UsageError(f"{name}: there is no PEM {what} in {os.fspath(file)}")
