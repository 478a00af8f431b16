"""`ospreyd watch` with a real broker: a real daemon, and whatever else a broker may carry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import yaml

from daemon.cli.watch import areas
from daemon.mqtt.incoming import Received
from daemon.publish import event_payloads
from daemon.records.objects import LineState, Occupancy, ZoneState
from daemon.tools.watch import Seen
from tests.conftest import ROOT, wait_for
from tests.daemon.publishing import UNREACHABLE, config, publisher, result
from tests.daemon.running import box, daemon, has, stop
from tests.servers.mosquitto import Mosquitto, free_port
from tests.servers.subscriber import Subscriber


def watch(*arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "daemon", "watch", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=90, env={**os.environ, **environ}, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def looks(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_real_daemon(broker: Mosquitto, subscriber: Subscriber, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    picture = cv2.imread(os.fspath(ROOT / "docs" / "demo.jpg"))
    assert picture is not None
    cv2.imwrite(str(pictures / "1.png"), picture)
    cameras = {"front": {"source": str(pictures), "loop": True}, "back": {"source": "0", "enabled": False}}
    document = box(broker, cameras, inference={"backend": "onnxruntime", "threads": 1})
    document["mqtt"]["stats_every"] = 0.5
    with daemon(tmp_path, document) as process:
        subscriber.wait(lambda messages: has(3, "front", messages), "detections", 60)
        first, last = looks(watch("--host", broker.host, "--port", broker.port, "--json", "--every", 3, "--count", 2))
        stop(process)
    assert first["broker"]["connected"]
    (device,) = last["devices"]
    assert (device["device"], device["status"], device["backend"]) == ("box", "online", "onnxruntime")
    back, front = device["cameras"]
    assert (back["camera"], back["state"], back["fps"], back["age_s"]) == ("back", "disabled", 0.0, None)
    assert (front["camera"], front["state"], front["reason"]) == ("front", "streaming", None)
    assert front["fps"] > 0.3
    assert 0 < front["latency_ms"]["p50"] <= front["latency_ms"]["p95"]
    assert front["dropped"] >= 0
    assert sum(front["objects"].values()) > 0
    assert last["unreadable"] == 0


def test_the_table_of_a_broker_that_carries_anything(broker: Mosquitto, subscriber: Subscriber) -> None:
    """Payloads of others are left out and counted; nothing is taken for a terminal's control codes."""
    for topic, payload in {
        "evil/status": b"\x1b[31mred",
        "evil/info": b"[]",
        "evil/stats": b"\xff",
        "evil/cam/status": b'{"state": "streaming"}',
        "evil/cam/detections": b"{",
        "[red]x/status": b"online",
    }.items():
        subscriber.publish(f"ospreyd/{topic}", payload, retain=True)
    with publisher(config(broker.port)) as running:
        running.camera_status(UNREACHABLE)
        for number in range(1, 4):
            running.results([result(number)])
        subscriber.wait_for("ospreyd/gate/yard/status")
        done = watch("--host", broker.host, "--port", broker.port, "--count", 1)
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout
        assert "offline (unreachable)" in done.stdout
        assert "[red]x" in done.stdout
        (look,) = looks(watch("--host", broker.host, "--port", broker.port, "--count", 1, "--json"))
    assert look["unreadable"] == 4
    assert [device["device"] for device in look["devices"]] == ["[red]x", "evil", "gate"]


def test_the_broker_of_a_configuration_and_a_login(tmp_path: Path, subscriber: Subscriber) -> None:
    folder = tmp_path / "guarded"
    folder.mkdir()
    with Mosquitto(folder, users={"eye": "pass"}) as guarded:
        file = tmp_path / "box.yaml"
        mqtt = {"host": guarded.host, "port": guarded.port, "username": "eye", "password": "pass"}
        file.write_text(yaml.safe_dump({"device": "box", "mqtt": mqtt, "cameras": {"a": {"source": "0"}}}))
        assert looks(watch(file, "--count", 1, "--json"))[0]["devices"] == []
        login = ("--host", guarded.host, "--port", guarded.port, "--username", "eye", "--count", 1, "--json")
        assert looks(watch(*login, OSPREYD_MQTT_PASSWORD="pass"))[0]["broker"]["connected"]
        refused = watch(*login, OSPREYD_MQTT_PASSWORD="s3cret")
        assert refused.returncode == 1
        assert "refused the login" in refused.stderr
        assert "s3cret" not in refused.stderr


def test_no_broker() -> None:
    port = free_port()
    done = watch("--host", "127.0.0.1", "--port", port)
    assert done.returncode == 1
    assert done.stderr == f"ospreyd: the broker at 127.0.0.1:{port} cannot be reached: Connection refused\n"
    assert watch("--prefix", "a b").returncode == 2


def test_a_flood_of_names_is_bounded() -> None:
    seen = Seen("ospreyd")
    for number in range(10_100):
        seen.subscription.handle(Received(f"ospreyd/d{number}/status", b"online", True, None, None))
    assert len(seen.report()["devices"]) == 10_000
    seen.subscription.handle(Received("elsewhere", b"online", True, None, None))
    assert seen.report()["unreadable"] == 1


def test_cameras_that_are_gone_from_the_device_are_not_shown(broker: Mosquitto, subscriber: Subscriber) -> None:
    seen = Seen("ospreyd")

    def names() -> list[str]:
        devices = seen.report()["devices"]
        return [camera["camera"] for device in devices for camera in device["cameras"]]

    with publisher(config(broker.port)):
        info = subscriber.wait_for("ospreyd/gate/info").payload
    seen.subscription.handle(Received("ospreyd/gate/info", info, True, None, None))
    assert names() == ["front", "yard"]
    fewer = json.dumps({**json.loads(info), "cameras": ["yard"]}).encode()
    seen.subscription.handle(Received("ospreyd/gate/info", fewer, True, None, None))
    wait_for(lambda: names() == ["yard"], "the table to follow")


def test_who_is_in_zones_and_has_crossed_lines_is_shown_until_they_are_removed() -> None:
    seen = Seen("ospreyd")

    def say(what: str, payload: bytes) -> str:
        seen.subscription.handle(Received(f"ospreyd/gate/front/{what}", payload, True, None, None))
        (device,) = seen.report()["devices"]
        return "; ".join(areas(device["cameras"][0]))

    here, nobody = Occupancy({"person": 2}, {"person": 1}, {"person": 1}), Occupancy()
    inside, empty = (
        event_payloads.zone("gate", ZoneState("front", "porch", of), of, ["person", "car"], 1e9)
        for of in (here, nobody)
    )
    crossed = LineState("front", "door", ({"person": 3}, {"person": 1, "car": 1}))
    line = event_payloads.line("gate", crossed, 1e9, ["person", "car"], 1e9)
    assert say("zones/porch", inside) == "porch: 2 person"
    assert say("zones/porch", empty) == "porch: nobody"
    assert say("lines/door", line) == "porch: nobody; door: 3 in, 2 out"
    assert say("zones/porch", b"") == "door: 3 in, 2 out"
