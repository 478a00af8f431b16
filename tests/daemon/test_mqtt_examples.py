"""The shell examples of the MQTT documentation, executed against a real broker and the real stages."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from daemon.config.load import load
from tests.conftest import ROOT, missing, wait_for
from tests.daemon.commanding import commanded
from tests.daemon.publishing import config
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Subscriber

DEVICE = "ospreyd/gate-01"
TEXT = (ROOT / "docs" / "mqtt" / "commands.md").read_text(encoding="utf-8")
EXAMPLES = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]


def run(example: str, port: int) -> str:
    if shutil.which(example.split(maxsplit=1)[0]) is None:
        missing("mosquitto-clients", "apt-get install -y mosquitto-clients")
    command = example.replace("-h localhost", f"-h {HOST} -p {port}")
    return subprocess.run(command, shell=True, check=True, capture_output=True, text=True, timeout=60).stdout  # noqa: S602 - as a reader would


def test_the_examples_work(broker: Mosquitto, subscriber: Subscriber) -> None:
    with commanded(config(broker.port, "gate-01", stats_every=3600)) as running:
        wait_for(lambda: f"{DEVICE}/command/+" in broker.output(), "the subscription")
        subscriber.wait_for(f"{DEVICE}/yard/state/fps")
        said = {example: run(example, broker.port) for example in EXAMPLES}
        answers = len([e for e in EXAMPLES if e.startswith("mosquitto_pub")])
        subscriber.wait(
            lambda messages: sum(m.topic == f"{DEVICE}/answer" for m in messages) == answers, "an answer to each"
        )
        assert all(m.json()["ok"] for m in subscriber.messages(f"{DEVICE}/answer"))
        assert running.recorder.calls == ["apply", "apply"]
        shown = next(block for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL))
        assert json.loads(next(out for e, out in said.items() if e.startswith("mosquitto_rr"))) == json.loads(shown)
        states = next(out for e, out in said.items() if e.startswith("mosquitto_sub"))
        assert len(states.splitlines()) == 3


SECURITY = (ROOT / "docs" / "mqtt" / "security.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("written", re.findall(r"```yaml\n(.*?)```", SECURITY, re.DOTALL))
def test_the_configurations_load(written: str, tmp_path: Path) -> None:
    for name in ("broker-ca.pem", "gate-01.pem", "gate-01.key"):
        (tmp_path / name).touch()
    file = tmp_path / "gate.yaml"
    device = "" if "device:" in written else "device: gate-01\n"
    file.write_text(f"{device}{written}cameras: {{front: {{source: 0}}}}\n")
    assert load(file, {"mqtt-password": "x"}).mqtt.tls is not None
