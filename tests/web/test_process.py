"""The page's process itself: encrypted, behind a proxy, killed, and with a configuration that it cannot serve."""

from __future__ import annotations

import json
import random
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from daemon.config.page import load_page
from daemon.errors import UsageError
from daemon.web import serving
from tests.conftest import wait_for
from tests.daemon.running import daemon
from tests.servers import certificates
from tests.servers.mosquitto import HOST, Mosquitto, free_port
from tests.web.killing import killed_while_saving
from tests.web.running import page, web_box

pytestmark = pytest.mark.timeout(300)

PASSWORD = "the page's own"
OTHER = "!secret of_the_broker"


def written(folder: Path, **web: object) -> int:
    """box.yaml with these keys of service.web, and with secrets that nobody has given; the port."""
    port = free_port()
    service = {"metrics": None, "web": {"port": port, "password": PASSWORD, **web}}
    document = {"device": "box", "service": service, "cameras": {"a": {"source": "0"}}}
    text = yaml.safe_dump(document) + f"mqtt: {{host: h, username: u, password: {OTHER}}}\n"
    (folder / "box.yaml").write_text(text)
    return port


def test_over_tls_and_behind_a_proxy(tmp_path: Path) -> None:
    """It needs no secret but its own."""
    folder = certificates.make(tmp_path / "tls")
    tls = {"certificate": str(folder / "server.crt"), "key": str(folder / "server.key")}
    proxied = {"hosts": ["gate.example"], "trusted_proxies": ["127.0.0.0/8"], "embed": ["https://home.example"]}
    url = f"https://{HOST}:{written(tmp_path, tls=tls, **proxied)}/"
    command = [sys.executable, "-m", "daemon", "web", str(tmp_path / "box.yaml")]
    trusted = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            with httpx.Client(base_url=url, verify=trusted, timeout=30) as client:
                wait_for(lambda: answers(client), "the page", 100)
                # what a proxy that is called https://gate.example:8443/box/ hands on
                named = {"Host": "gate.example", "Origin": "https://gate.example:8443", "X-Forwarded-For": "192.0.2.7"}
                wrong = client.post("api/session", json={"password": "x" * 9}, headers=named)
                assert wrong.status_code == 401
                right = client.post("api/session", json={"password": PASSWORD}, headers=named)
                assert right.json()["role"] == "edit"
                assert right.json()["insecure"] is False
                assert "; HttpOnly; SameSite=None; Secure" in right.headers["set-cookie"]
                policy = client.get("healthz", headers=named).headers["content-security-policy"]
                assert policy.endswith("frame-ancestors https://home.example")
                assert client.get("api/state", headers={"Host": "other.example"}).status_code == 421
        finally:
            process.terminate()
        assert process.wait(20) == 0
    assert "192.0.2.7 was not let in" in (tmp_path / "log").read_text()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("healthz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    ("web", "said"),
    [(None, "service.web is null"), ({"password": "short"}, "must be 8 characters or more"), ({"prot": 1}, "prot")],
)
def test_what_it_cannot_serve_is_one_sentence(tmp_path: Path, web: object, said: str) -> None:
    document = {"device": "box", "mqtt": {"host": "h"}, "service": {"web": web}, "cameras": {"a": {"source": "0"}}}
    (tmp_path / "box.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(UsageError, match=said):
        load_page(tmp_path / "box.yaml", {})


def test_whoever_does_not_answer_any_more_has_gone(broker: Mosquitto, tmp_path: Path) -> None:
    """A laptop that was closed: pings of every 20 s, and 20 s for the answer; here half a second each."""
    assert serving._PING == 20
    document = web_box(broker, {"street": {"source": "0"}})
    with page(tmp_path, document, "tests.web.impatient_page") as web, web.client() as client:
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        lines = (
            *(
                "GET /api/live HTTP/1.1",
                f"Host: {urlsplit(web.url).netloc}",
                f"Origin: {web.origin}",
                f"Cookie: {cookie}",
            ),
            *(
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                f"Sec-WebSocket-Key: {'A' * 22}==",
            ),
        )
        with web.live(client) as answers, socket.create_connection((HOST, urlsplit(web.url).port or 0)) as silent:
            silent.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            wait_for(lambda: client.get("healthz").json()["pages"] == 2, "both pages")
            wait_for(lambda: client.get("healthz").json()["pages"] == 1, "the end of the silent one")
            answers.ping().wait(30)
            assert client.get("healthz").json()["pages"] == 1


def test_killed_while_it_is_looked_at_it_leaves_nothing_behind(broker: Mosquitto, still: Path, tmp_path: Path) -> None:
    """And the file that is being saved is the old or the new one. 100 times: tests/benchmarks/web.py."""
    document = web_box(broker, {"street": {"source": str(still), "loop": True, "fps": 5}}, {"password": PASSWORD})
    descriptors, chance = [], random.Random(1)
    with daemon(tmp_path, document) as process:
        for _ in range(2):
            with page(tmp_path, document) as web, web.client(PASSWORD) as client:
                wait_for(lambda c=client: c.get("api/state").json()["cameras"], "the daemon")  # type: ignore[misc]
                with web.live(client) as socket:
                    socket.send(json.dumps({"watch": {"street": {}}}))
                    socket.send(json.dumps({"more": "street"}))
                    wait_for(lambda s=socket: isinstance(s.recv(timeout=30), bytes), "a picture")  # type: ignore[misc]
                    killed_while_saving(web, client, "street", chance)
            descriptors.append(len(list(Path(f"/proc/{process.pid}/fd").iterdir())))
        assert process.poll() is None
    assert descriptors[1] <= descriptors[0] + 1
    assert "Traceback" not in (tmp_path / "log").read_text()
