"""What stands between a browser and the page: a real nginx, and a real SSH tunnel."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import ROOT, missing, wait_for
from tests.servers import certificates
from tests.servers.mosquitto import HOST, free_port

_NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
{user}
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {host}:{tls} ssl;
        ssl_certificate {certificates}/server.crt;
        ssl_certificate_key {certificates}/server.key;
        {prefixed}
    }}
    server {{
        listen {host}:{plain};
        {whole}
    }}
}}
"""


def documented(port: int) -> str:
    """What docs/web.md says for nginx, for a page on a port."""
    found = re.search(r"```nginx\n(.*?)```", (ROOT / "docs" / "web.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1].replace(":9470", f":{port}")


@contextmanager
def nginx(folder: Path, page: int) -> Iterator[tuple[str, str]]:
    """In front of the page on a port: its URL below /box/ with TLS, and at / without."""
    if shutil.which("nginx") is None:
        missing("nginx", "apt-get install -y nginx-light")
    folder.mkdir()
    tls, plain = free_port(), free_port()
    text = _NGINX.format(
        folder=folder,
        host=HOST,
        user="user root;" if os.geteuid() == 0 else "",
        tls=tls,
        plain=plain,
        certificates=certificates.make(folder / "tls"),
        prefixed=documented(page),
        whole=documented(page).replace("/box/", "/"),
    )
    (folder / "nginx.conf").write_text(text)
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with _running(command, folder / "out", plain):
        yield f"https://{HOST}:{tls}/box/", f"http://{HOST}:{plain}/"


@contextmanager
def tunnel(folder: Path, port: int) -> Iterator[int]:
    """`ssh -L` to a port of this machine, through a server of its own; the port where the tunnel begins."""
    server = Path("/usr/sbin/sshd")
    if not server.is_file():
        missing("sshd", "apt-get install -y openssh-server")
    folder.mkdir()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # which it shuts itself in
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    listens, begins = free_port(), free_port()
    options = [
        f"AuthorizedKeysFile={folder}/user.pub",
        f"ListenAddress={HOST}",
        "StrictModes=no",
        "UsePAM=no",
        "PidFile=none",
    ]
    given = [part for option in options for part in ("-o", option)]
    serve = [str(server), "-D", "-e", "-f", "/dev/null", "-p", str(listens), "-h", str(folder / "host"), *given]
    checks = ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder}/known", "-o", "BatchMode=yes"]
    to = ["-N", "-L", f"{HOST}:{begins}:{HOST}:{port}", "-p", str(listens), "-i", str(folder / "user"), HOST]
    with (
        _running(serve, folder / "sshd.log", listens),
        _running(["ssh", "-F", "/dev/null", *checks, *to], folder / "ssh.log", begins),
    ):
        yield begins


@contextmanager
def _running(command: list[str], log: Path, port: int) -> Iterator[None]:
    """While it runs it listens on a port."""
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            wait_for(lambda: process.poll() is not None or _listens(port), command[0], 60)
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()
            process.wait(20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
