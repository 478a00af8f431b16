"""Which events are sent first after an outage, a refusal, or with a silent broker."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from daemon.config.outbox import Outbox as Settings
from daemon.mqtt.outgoing import Delivery
from daemon.outbox.sender import OutboxSender
from tests.conftest import wait_for
from tests.daemon.publishing import config, in_background, publisher, result
from tests.daemon.test_outbox import counts, tell, waiting
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.proxy import Proxy
from tests.servers.subscriber import Message, Subscriber

USERS = {"watcher": "w", "osprey": "o"}
EMPTY = {"waiting": 0, "dropped": 0, "problem": None}
YARD = "ospreyd/gate/yard/events"


def outbox_of(messages: list[Message]) -> object:
    """What the newest report says of the outbox."""
    reports = [message.json() for message in messages if message.topic == "ospreyd/gate/stats"]
    return reports[-1]["outbox"] if reports else None


def test_new_events_of_other_cameras_pass_a_backlog(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path, users={"watcher": "w"}) as broker,
        Subscriber(HOST, broker.port, username="watcher", password="w") as subscriber,
        publisher(config(broker.port, username="osprey", password="o", outbox={"replay_rate": 30})) as running,
    ):
        tell(running, range(90))
        wait_for(lambda: waiting() == 90, "the backlog on disk")
        wait_for(lambda: "refused the login" in running.link.detail, "the refusal")
        broker.add_user("osprey", "o")
        subscriber.wait(lambda messages: len(counts(messages)) >= 3, "the first of the backlog", 40)
        tell(running, range(90, 92))
        tell(running, range(5), "yard")
        subscriber.wait(lambda messages: len(counts(messages, "yard")) == 5, "the other camera's")
        before = len(counts(subscriber.messages()))
        subscriber.wait(lambda messages: len(counts(messages)) == 92, "all of the camera", 40)
        front, yard = subscriber.messages("ospreyd/gate/front/events"), subscriber.messages(YARD)
        assert before < 90, "the backlog was not over"
        assert counts(subscriber.messages()) == list(range(92)), "a camera's new events wait for its late ones"
        assert [m.json()["replayed"] for m in front] == [True] * 90 + [False] * 2
        assert not any(m.json()["replayed"] for m in yard)
        assert front[89].at - front[0].at > 1.9, "89 at 30 a second, of which a second may be made up for"


def test_an_event_queued_with_the_connect_is_no_backlog(tmp_path: Path) -> None:
    sent: list[bytes] = []

    def deliver(_topic: str, payload: bytes) -> Delivery:
        sent.append(payload)
        return Delivery("connection", len(sent))

    sender = OutboxSender(tmp_path / "outbox.db", Settings(), deliver, lambda _: None)
    sender.link_changed(connected=True)
    sender.put("gate/front/events", b'{"replayed":false}', time.monotonic())
    sender.start()
    wait_for(lambda: sent, "the event")
    sender.stop(0.0)
    assert sent == [b'{"replayed":false}']


def test_a_refused_event_delays_only_its_topic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("daemon.outbox.order.RETRY_REFUSED", 0.5)
    rules = tmp_path / "acl"
    refusing = "user watcher\ntopic read #\nuser osprey\ntopic write ospreyd/gate/front/#\ntopic write +/+/stats\n"
    rules.write_text(refusing)
    rules.chmod(0o600)
    with (
        Mosquitto(tmp_path, users=USERS, more=[f"acl_file {rules}"]) as broker,
        Subscriber(HOST, broker.port, username="watcher", password="w") as subscriber,
        publisher(config(broker.port, username="osprey", password="o", stats_every=0.5)) as running,
    ):
        wait_for(lambda: running.link.connected, "the connection")
        for number in range(150):
            tell(running, range(number, number + 1), "yard")
            tell(running, range(number, number + 1))
        subscriber.wait(lambda messages: len(counts(messages)) == 150, "all of the other camera")
        wait_for(lambda: waiting() == 150, "what is refused, on disk")
        subscriber.wait(
            lambda messages: outbox_of(messages) == {**EMPTY, "waiting": 150},
            "what stats say of it",
        )
        tried = broker.output().count("Denied PUBLISH")
        wait_for(lambda: broker.output().count("Denied PUBLISH") >= tried + 3, "three more attempts")
        assert f"the broker refuses an event on {YARD}: Not authorized" in caplog.text
        assert caplog.text.count("refuses an event") == 1
        rules.write_text(refusing + f"topic write {YARD}\n")
        broker.signal(signal.SIGHUP)
        subscriber.wait(lambda messages: len(counts(messages, "yard")) == 150, "what was refused", 40)
        subscriber.wait(lambda messages: outbox_of(messages) == EMPTY, "an empty outbox")
        for topic, camera in (("ospreyd/gate/front/events", "front"), (YARD, "yard")):
            assert counts(subscriber.messages(), camera) == list(range(150))
            assert len(subscriber.messages(topic)) == 150, "none was sent again without need"


def test_a_silent_broker_blocks_nobody(
    broker: Mosquitto, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the connection, and that is all."""
    monkeypatch.setattr("daemon.mqtt.connection._CONNACK_WITHIN", 2.0)  # so that the test need not wait for ten seconds
    proxy = Proxy(broker.port, random.Random(0))
    proxy.silent = True
    with publisher(config(proxy.port)) as running:

        def work() -> None:
            for number in range(300):
                tell(running, range(number, number + 1))
                running.results([result(number + 1), result(number + 1, camera="yard")])

        worker = in_background(work)
        worker.join(30)
        assert not worker.is_alive()
        wait_for(lambda: waiting() == 300, "three hundred events on disk")
        assert not running.link.connected
        began = time.monotonic()
        running.stop(2)
        assert time.monotonic() - began < 2 + 1.5
        assert waiting() == 300
    with publisher(config(proxy.port)) as running:
        tell(running, range(300, 400))
        wait_for(lambda: waiting() == 400, "four hundred events on disk")
        wait_for(lambda: "did not answer" in running.link.detail, "the end of an attempt", 30)
        proxy.silent = False
        subscriber.wait(lambda messages: len(counts(messages)) == 400, "four hundred events", 60)
        wait_for(lambda: waiting() == 0, "an empty outbox")
        assert counts(subscriber.messages()) == list(range(400))
    proxy.close()
