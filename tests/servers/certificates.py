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
    signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    _openssl(folder, "x509", "-req", "-in", "server.csr", "-out", "server.crt", *signing)
    return folder


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
