"""A certificate authority and a server certificate for one test, made with the openssl program."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.conftest import missing

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def make(folder: Path, names: str = "DNS:localhost,IP:127.0.0.1") -> Path:
    """Writes ca.crt, server.crt and server.key, the server's for `names`, into `folder`, and returns it."""
    if shutil.which("openssl") is None:
        missing("openssl", "apt-get install -y openssl")
    folder.mkdir()
    _openssl(folder, "req", "-x509", *_KEY, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=test CA")
    _openssl(folder, "req", *_KEY, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=broker")
    (folder / "names").write_text(f"subjectAltName={names}\n")
    _sign_server(folder, days=2)
    return folder


def make_client(folder: Path, name: str = "gate-01", *, days: int = 2, passphrase: str = "") -> Path:
    """Writes <name>.crt and <name>.key, signed by the authority in `folder`, and returns the certificate's path.

    Of -1 days it has expired. The key is encrypted with a passphrase if one is given.
    """
    key = _KEY if not passphrase else (*_KEY[:-1], "-passout", f"pass:{passphrase}")
    _openssl(folder, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", str(days))
    _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signing)
    return folder / f"{name}.crt"


def expire(folder: Path) -> None:
    """Replaces the server's certificate by one that has expired."""
    _sign_server(folder, days=-1)


def renew(folder: Path) -> None:
    """Replaces the server's certificate by one that is valid."""
    _sign_server(folder, days=2)


def _sign_server(folder: Path, days: int) -> None:
    signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", str(days), "-extfile", "names")
    _openssl(folder, "x509", "-req", "-in", "server.csr", "-out", "server.crt", *signing)


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
