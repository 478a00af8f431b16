"""What doctor says of the broker: as the daemon where none runs, and never in place of one that does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from daemon.config.load import load
from daemon.config.schema import Config
from daemon.doctor.broker_login import broker as check
from daemon.outbox.sqlite_file import lock_of
from daemon.outbox.store import outbox_path
from tests.conftest import wait_for
from tests.daemon.running import TOPICS, box, daemon, stop
from tests.servers.mosquitto import HOST, Mosquitto, free_port
from tests.servers.subscriber import Subscriber

CAMERAS: dict[str, Any] = {"front": {"source": "rtsp://127.0.0.1:1/a"}, "yard": {"source": "rtsp://127.0.0.1:1/b"}}
ONLY_DAEMON = ("clientid_prefixes ospreyd-box",)
"""of Mosquitto's configuration: as brokers do whose rights go by client identifier"""


def read(folder: Path, document: dict[str, Any]) -> Config:
    file = folder / "box.yaml"
    file.write_text(yaml.safe_dump(document))
    return load(file)


@pytest.fixture
def config(broker: Mosquitto, tmp_path: Path) -> Callable[..., Config]:
    """With these keys of `mqtt`."""

    def of(**mqtt: Any) -> Config:
        document = box(broker, CAMERAS)
        document["mqtt"].update(mqtt)
        return read(tmp_path, document)

    return of


def test_a_broker_that_goes_by_client_identifier_is_asked_as_the_daemon(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, more=ONLY_DAEMON) as broker:
        document = box(broker, CAMERAS, service={"metrics": {"port": free_port()}})
        settings = read(tmp_path, document)
        unknown = check(settings)
        assert (unknown.facts["connected"], len(unknown.problems)) == (False, 1)
        assert "another client" in unknown.problems[0].fix
        with daemon(tmp_path, document) as process:
            wait_for(lambda: "as ospreyd-box (" in broker.output(), "the daemon")
            wait_for(lambda: check(settings).facts["connected"], "what the daemon says of itself", 40)
            assert check(settings).problems == ()
            assert process.poll() is None
            assert broker.output().count("as ospreyd-box (") == 1, "the daemon was thrown out"
            stop(process)
        stopped = check(settings)
        assert (stopped.facts["connected"], stopped.facts["client_id"]) == (True, "ospreyd-box")


def test_a_daemon_that_runs_elsewhere_keeps_its_connection(
    broker: Mosquitto, subscriber: Subscriber, config: Callable[..., Config]
) -> None:
    settings = config()
    lock_of(outbox_path(settings.mqtt.outbox, settings.device)).touch()  # as a run that has ended leaves it
    with Subscriber(HOST, broker.port) as elsewhere:
        elsewhere.publish(f"{TOPICS}/status", b"online", retain=True)
        assert check(settings).facts["connected"]
        assert "as ospreyd-box (" not in broker.output()
    assert [m.topic for m in subscriber.messages() if m.payload] == [f"{TOPICS}/status"]


def test_an_assigned_identifier_is_assigned_to_doctor_too(broker: Mosquitto, config: Callable[..., Config]) -> None:
    found = check(config(client_id=""))
    assert (found.facts["connected"], found.facts["client_id"]) == (True, "")
    assert "ospreyd-" not in broker.output()


@pytest.mark.parametrize(("formats", "warns"), [({"frigate": {}}, True), ({}, False), ({"homeassistant": {}}, False)])
def test_devices_that_share_frigates_topics_are_named(
    broker: Mosquitto, config: Callable[..., Config], formats: dict[str, Any], warns: bool
) -> None:
    with Subscriber(HOST, broker.port) as other:
        for device, cameras in {"attic": ["yard", "roof"], "cellar": ["door"], "box": ["front"], "odd": 7}.items():
            other.publish(f"ospreyd/{device}/info", orjson.dumps({"cameras": cameras}), retain=True)
        other.publish("ospreyd/broken/info", b"{", retain=True)
        found = check(config(formats=formats))
    assert found.facts["connected"]
    assert [("attic" in each.problem, "yard" in each.problem, each.stops) for each in found.problems] == (
        [(True, True, False)] if warns else []
    )
