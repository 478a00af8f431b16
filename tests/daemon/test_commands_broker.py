"""Commands over a real broker: executed, answered, rejected; after its restart, in a flood, and by a real daemon."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from daemon.control.overrides import Overrides, SettingsFile
from daemon.control.settings import Setting
from daemon.errors import UsageError
from engines.pictures import BgrPicture
from tests.conftest import ROOT, wait_for
from tests.daemon.commanding import ANSWER, GATE, ask, commanded, ready, setting_state
from tests.daemon.publishing import config, result
from tests.daemon.running import TOPICS, box, daemon, has, state_of, stop
from tests.daemon.test_payloads import check
from tests.servers.amqtt import Amqtt
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Message, Subscriber


def test_commands_are_executed_and_answered(broker: Mosquitto, subscriber: Subscriber) -> None:
    with commanded(config(broker.port, stats_every=3600)) as running:
        ready(subscriber, broker)
        assert setting_state(subscriber, "front", "enabled") == (True, "configuration")
        answer = ask(subscriber, "front/set/fps", "5", response_topic="me/1", correlation=b"\0one")
        assert answer["ok"]
        assert ask(subscriber, "front/set/enabled", "false")["ok"]
        assert (
            ask(subscriber, "command/reload", response_topic=f"{ANSWER}/me", correlation=b"")["detail"] == "read again"
        )
        assert ask(subscriber, "command/build-engine", '{"model": "default"}')["ok"]
        assert ask(subscriber, "command/stats")["ok"]
        subscriber.wait_for(f"{GATE}/stats")
        assert running.recorder.calls == ["apply", "apply", "reload", "build default"]
        with Subscriber(HOST, broker.port) as late:
            late.wait_for(f"{GATE}/yard/state/fps")
            assert late.wait_for(f"{GATE}/front/state/fps").retained
            assert setting_state(late, "front", "fps") == (5.0, "command")
            assert setting_state(late, "front", "enabled") == (False, "command")
            assert not late.messages(ANSWER)


def test_bad_command_is_answered_and_changes_nothing(broker: Mosquitto, subscriber: Subscriber) -> None:
    with commanded(config(broker.port)) as running:
        ready(subscriber, broker)
        assert ask(subscriber, "front/set/fps", "fast")["ok"] is False
        assert ask(subscriber, "front/set/confidence", "7", response_topic="me")["ok"] is False
        assert ask(subscriber, "front/set/source", '"rtsp://evil/1"')["ok"] is False
        running.recorder.error = UsageError("the model cannot be read")
        assert ask(subscriber, "front/set/fps", "5")["detail"] == "the model cannot be read"
        before = time.monotonic()
        subscriber.publish(f"{GATE}/front/set/fps", "5", response_topic=f"{GATE}/front/state/fps")
        assert check("answer", subscriber.wait_for(ANSWER, after=before).payload)["ok"] is False
        assert running.recorder.calls == []
        assert running.config == config(broker.port)
        assert len(subscriber.messages(f"{GATE}/front/state/fps")) == 1


def test_unexpected_error_is_answered_and_later_commands_work(
    broker: Mosquitto, subscriber: Subscriber, caplog: pytest.LogCaptureFixture
) -> None:
    with commanded(config(broker.port)) as running:
        ready(subscriber, broker)
        running.recorder.error = KeyError("front")
        answer = ask(subscriber, "front/set/fps", "5")
        assert (answer["ok"], answer["detail"]) == (False, "internal error")
        assert running.config == config(broker.port)
        assert "KeyError: 'front'" in caplog.text
        running.recorder.error = None
        assert ask(subscriber, "front/set/fps", "5")["ok"]


def test_commands_after_broker_restart(broker: Mosquitto, subscriber: Subscriber) -> None:
    with commanded(config(broker.port)):
        ready(subscriber, broker)
        ask(subscriber, "front/set/fps", "5")
        broker.kill()
        before = time.monotonic()
        broker.start()
        again = subscriber.wait_for(f"{GATE}/front/state/fps", after=before)
        assert check("setting", again.payload)["value"] == 5.0
        wait_for(lambda: f"{GATE}/command/+" in broker.output(), "the subscription")
        assert ask(subscriber, "front/set/fps", "6")["ok"]


def test_retained_command_is_rejected_at_connection(broker: Mosquitto, subscriber: Subscriber) -> None:
    subscriber.publish(f"{GATE}/front/set/enabled", "false", retain=True)
    with commanded(config(broker.port)) as running:
        answer = check("answer", subscriber.wait_for(ANSWER).payload)
        assert answer["ok"] is False
        assert running.recorder.calls == []


def test_commands_with_mqtt_3_1_1(tmp_path: Path) -> None:
    with (
        Amqtt(tmp_path) as broker,
        Subscriber(HOST, broker.port, mqtt5=False) as subscriber,
        commanded(config(broker.port)) as running,
    ):
        ready(subscriber, broker)
        assert ask(subscriber, "front/set/fps", "5")["ok"]
        assert setting_state(subscriber, "front", "fps") == (5.0, "command")
        assert ask(subscriber, "front/set/fps", "-5")["ok"] is False
        assert running.recorder.calls == ["apply"]


def test_command_after_a_flood_is_executed(broker: Mosquitto, subscriber: Subscriber) -> None:
    """Results are still published, commands beyond the queue are dropped, and one after the flood is executed."""
    with commanded(config(broker.port)) as running, Subscriber(HOST, broker.port, "nothing") as attacker:
        ready(subscriber, broker)
        for number in range(3000):
            attacker.flood(f"{GATE}/front/set/fps", b"x" * (number % 2000))
            if number % 100 == 0:
                running.publisher.results([result(number + 1)])
        attacker.publish("flood", b"over")
        subscriber.wait_for("flood", timeout=60)
        subscriber.wait(
            lambda messages: sum(m.topic == f"{GATE}/front/detections" for m in messages) == 30, "every result"
        )

        def executed() -> bool:
            before = time.monotonic()
            subscriber.publish(f"{GATE}/front/set/fps", "7")
            subscriber.wait_for(ANSWER, after=before)
            return running.recorder.calls == ["apply"]

        wait_for(executed, "the command to be executed")


def test_commands_queue_behind_a_slow_one_or_are_dropped(broker: Mosquitto, subscriber: Subscriber) -> None:
    """Nothing else waits: results are still published."""
    with commanded(config(broker.port)) as running:
        ready(subscriber, broker)
        running.recorder.blocked.clear()
        subscriber.flood(f"{GATE}/front/set/fps", b"1")
        assert running.recorder.reached.wait(20)
        for number in range(2, 101):
            subscriber.flood(f"{GATE}/front/set/fps", str(number).encode())
        wait_for(lambda: running.inbox.dropped == 99 - 64, "the inbox to overflow")
        running.publisher.results([result(1)])
        subscriber.wait_for(f"{GATE}/front/detections")
        assert running.recorder.calls == []
        running.recorder.blocked.set()
        subscriber.wait(lambda messages: sum(m.topic == ANSWER for m in messages) == 65, "an answer to each other")
        assert running.config.cameras["front"].fps == 65.0


def test_snapshots_reach_the_broker(broker: Mosquitto, subscriber: Subscriber) -> None:
    picture = np.full((720, 1280, 3), 90, np.uint8)
    with commanded(config(broker.port, formats={"homeassistant": {}})) as running:
        ready(subscriber, broker)
        running.snapshots.offer(result(1), BgrPicture(picture))
        assert ask(subscriber, "command/snapshot", '{"camera": "front", "annotated": false}')["ok"]
        running.snapshots.offer(result(2), BgrPicture(picture))
        came = subscriber.wait_for(f"{GATE}/front/snapshot")
        assert (came.content_type, came.qos) == ("image/jpeg", 1)
        assert subscriber.wait_for(f"{GATE}/front/image").payload == came.payload
        decoded = cv2.imdecode(np.frombuffer(came.payload, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        assert abs(int(decoded[100, 100, 0]) - 90) < 3
        with Subscriber(HOST, broker.port) as late:
            assert late.wait_for(f"{GATE}/front/image").retained
            assert not late.messages(f"{GATE}/front/snapshot")
        before = time.monotonic()
        only_yard = {"yard": running.config.cameras["yard"]}
        running.publisher.configure(running.config.model_copy(update={"cameras": only_yard}))
        subscriber.wait_for(f"{GATE}/front/image", b"", after=before)


def test_snapshot_of_an_appearance(broker: Mosquitto, subscriber: Subscriber) -> None:
    settings = config(broker.port, formats={"frigate": {}})
    events = settings.events.model_copy(update={"snapshot": "plain"})
    picture = np.full((720, 1280, 3), 90, np.uint8)
    with commanded(settings.model_copy(update={"events": events})) as running:
        ready(subscriber, broker)
        for label in ("person", "car"):
            running.snapshots.request("front", False, label)
        running.snapshots.offer(result(1), BgrPicture(picture))
        for topic in (f"{GATE}/front/snapshot", "frigate/front/person/snapshot", "frigate/front/car/snapshot"):
            came = subscriber.wait_for(topic)
            assert (came.payload[:2], came.content_type) == (b"\xff\xd8", "image/jpeg")
        running.snapshots.offer(result(2), BgrPicture(picture))
        running.snapshots.request("front", False, "dog")
        running.snapshots.offer(result(3), BgrPicture(picture))
        subscriber.wait_for("frigate/front/dog/snapshot")
        assert len(subscriber.messages(f"{GATE}/front/snapshot")) == 2


def test_persisted_settings_survive_a_restart(broker: Mosquitto, subscriber: Subscriber, tmp_path: Path) -> None:
    kept = SettingsFile("gate", tmp_path / "state")
    with commanded(config(broker.port), kept):
        ready(subscriber, broker)
        ask(subscriber, "front/set/fps", "5")
    for given, expected in ((kept, (5.0, "command")), (None, (None, "configuration"))):
        before = time.monotonic()
        with commanded(config(broker.port), given) as running:
            subscriber.wait_for(f"{GATE}/front/state/fps", after=before)
            assert setting_state(subscriber, "front", "fps") == expected
            assert running.config.cameras["front"].fps == expected[0]
    cleared = [m.topic for m in subscriber.messages() if "/state/" in m.topic and not m.payload]
    assert cleared == [], "a restart clears no setting, not even for a moment"


def test_commands_to_a_real_daemon(broker: Mosquitto, subscriber: Subscriber, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    street = cv2.imread(os.fspath(ROOT / "docs" / "demo.jpg"))
    assert street is not None
    for number in range(3):
        cv2.imwrite(str(pictures / f"{number}.png"), street)
    cameras = {"front": {"source": str(pictures), "loop": True}}
    document = box(broker, cameras, inference={"backend": "onnxruntime", "threads": 1})
    document["mqtt"]["stats_every"] = 3600
    ids = itertools.count()

    def ask_box(topic: str, payload: str = "") -> Message:
        reply = f"me/{next(ids)}"
        subscriber.publish(f"{TOPICS}/{topic}", payload, response_topic=reply)
        return subscriber.wait_for(reply)

    with daemon(tmp_path, document) as process:
        subscriber.wait(lambda messages: has(3, "front", messages), "detections", 60)
        assert ask_box("command/snapshot", '{"camera": "front"}').json()["ok"]
        picture = cv2.imdecode(
            np.frombuffer(subscriber.wait_for(f"{TOPICS}/front/snapshot").payload, np.uint8), cv2.IMREAD_COLOR
        )
        assert picture is not None
        assert picture.shape == street.shape
        assert ask_box("command/stats").json()["ok"]
        subscriber.wait_for(f"{TOPICS}/stats")
        assert ask_box("front/set/fps", "fast").json()["ok"] is False
        stop(process)


def test_real_daemon_starts_with_persisted_settings_and_reads_them_later(
    broker: Mosquitto, subscriber: Subscriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    folder = tmp_path / "settings-box.json"
    folder.mkdir()
    document = box(broker, {"front": {"source": "rtsp://127.0.0.1:1/x"}}, inference={"backend": "onnxruntime"})
    document["mqtt"]["persist_settings"] = True
    with daemon(tmp_path, document) as process:
        subscriber.wait(lambda messages: state_of(messages, "front")["state"] == "offline", "the state", 60)
        folder.rmdir()
        SettingsFile("box", tmp_path).save(Overrides({"front": {Setting.ENABLED: False}}))
        subscriber.wait(lambda messages: state_of(messages, "front")["state"] == "disabled", "the new state", 60)
        stop(process)
    broker.stop()
    broker.start()  # it has forgotten what the first run has retained
    with Subscriber(HOST, broker.port) as later, daemon(tmp_path, document) as process:
        later.wait(lambda messages: state_of(messages, "front")["state"] == "disabled", "the state", 60)
        enabled = check("setting", later.wait_for(f"{TOPICS}/front/state/enabled").payload)
        assert (enabled["value"], enabled["origin"]) == (False, "command")
        stop(process)
