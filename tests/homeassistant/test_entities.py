"""What Home Assistant makes of the daemon: entities that follow it, obey, and go with their camera."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from daemon.demo.film import Shot, film
from tests.conftest import ROOT, missing, wait_for
from tests.daemon.running import box, daemon, stop
from tests.servers.mosquitto import Mosquitto, free_port

PYTHON = ROOT / ".venv" / "homeassistant" / "bin" / "python"


class Home:
    """A Home Assistant that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == "ready"

    def ask(self, **asked: object) -> Any:
        """See home.py."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def entities(self, camera: str = "") -> dict[str, Any]:
        """By what comes after the names of the device and the camera."""
        start = f"ospreyd_box_{camera}_" if camera else "ospreyd_box_"
        found = self.ask(entities=True)
        return {name.removeprefix(start): entity for name, entity in found.items() if name.startswith(start)}

    def wait_state(self, camera: str, what: str, *states: str) -> None:
        def shown() -> object:
            return self.entities(camera).get(what, {}).get("state")

        wait_for(lambda: shown() in states, f"{camera} {what} to be {states}, which is {shown()}", 40)

    def call(self, service: str, camera: str, what: str, **data: object) -> None:
        """Calls a service, such as switch.turn_on, of an entity."""
        entity = self.entities(camera)[what]["entity_id"]
        self.ask(call=[*service.split("."), {"entity_id": entity, **data}])


@contextmanager
def home(folder: Path, port: int) -> Iterator[Home]:
    """Home Assistant on the broker at `port`; what it complains of is in folder/home.log."""
    if not PYTHON.exists():
        missing("Home Assistant", "make .venv/homeassistant")
    (folder / "home").mkdir()
    (folder / "home" / "configuration.yaml").touch()
    script = Path(__file__).with_name("home.py")
    command = [str(PYTHON), str(script), str(folder / "home"), str(port), str(free_port())]
    with (
        (folder / "home.log").open("w") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            yield Home(process)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(Shot("street", 640, 480, 10.0, seed=21), tmp_path_factory.mktemp("film") / "street.mp4", 4.0).file


def test_entities_follow_the_daemon_and_obey(broker: Mosquitto, street: Path, tmp_path: Path) -> None:
    film = {"source": str(street), "loop": True, "labels": ["person", "car"]}
    document = box(
        broker,
        {"front": film, "yard": {"source": "rtsp://127.0.0.1:9/none", "labels": ["person"]}},
        events={"appear_frames": 1, "snapshot": "annotated"},
        inference={"backend": "onnxruntime", "threads": 1},
    )
    document["mqtt"]["formats"] = {"homeassistant": {}}
    with home(tmp_path, broker.port) as assistant, daemon(tmp_path, document) as process:
        _finds_what_is_there(assistant)
        _obeys(assistant)
        del document["cameras"]["yard"]
        (tmp_path / "box.yaml").write_text(yaml.safe_dump(document))
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: not assistant.entities("yard"), "the entities of the yard to go", 40)
        assert assistant.entities("front")
        stop(process)
        assistant.wait_state("", "connected", "off")
        assistant.wait_state("front", "enabled", "unavailable")
        document["cameras"] = {"gate": film}  # while the daemon does not run
        with daemon(tmp_path, document) as other:
            assistant.wait_state("gate", "connectivity", "on")
            wait_for(lambda: not assistant.entities("front"), "the entities of the front to go", 40)
            stop(other)
        complaints = (tmp_path / "home.log").read_text()
        assert "ospreyd" not in complaints, complaints


def test_zones_and_lines_are_shown_and_go_with_their_camera(broker: Mosquitto, street: Path, tmp_path: Path) -> None:
    """Occupancy, counts, line totals and the event entity, of a drawn street that is filmed again and again."""
    left, right = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]], [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]
    front = {
        "source": str(street),
        "loop": True,
        "labels": ["person", "car"],
        "zones": {"left": {"polygon": left, "dwell": 0.5}, "right": {"polygon": right}},
        "lines": {"middle": {"points": [[0.5, 0], [0.5, 1]], "in": [0.9, 0.5]}},
    }
    inference = {"backend": "onnxruntime", "threads": 1}
    document = box(broker, {"front": front}, tracking={"confirm_frames": 2}, inference=inference)
    document["mqtt"]["formats"] = {"homeassistant": {}}
    with home(tmp_path, broker.port) as assistant, daemon(tmp_path, document) as process:
        assistant.wait_state("front", "zone_left_car_occupancy", "on")
        wait_for(lambda: _number(assistant, "zone_left_car_count") > 0, "a car in the zone", 60)
        wait_for(
            lambda: sum(_number(assistant, f"line_middle_{what}") for what in LINES) > 0, "a crossing of the line", 60
        )
        assistant.wait_state("front", "zone_left_dwell", "on", "off")
        wait_for(lambda: _event_type(assistant).startswith(("line-crossed-", "zone-dwell")), "the event entity", 60)
        entities = assistant.entities("front")
        assert entities["line_middle_car_in"]["attributes"]["state_class"] == "total_increasing"
        del document["cameras"]["front"]["zones"]["left"], document["cameras"]["front"]["lines"]
        (tmp_path / "box.yaml").write_text(yaml.safe_dump(document))
        process.send_signal(signal.SIGHUP)
        wait_for(
            lambda: (
                {name.split("_")[1] for name in assistant.entities("front") if name.startswith("zone_")} == {"right"}
                and not [name for name in assistant.entities("front") if name.startswith("line_")]
            ),
            "the entities of the zone and the line to go",
            40,
        )
        stop(process)
        complaints = (tmp_path / "home.log").read_text()
        assert "ospreyd" not in complaints, complaints


LINES = ("person_in", "person_out", "car_in", "car_out")


def _number(assistant: Home, what: str) -> float:
    state = assistant.entities("front").get(what, {}).get("state")
    return float(state) if state not in (None, "unknown", "unavailable") else 0.0


def _event_type(assistant: Home) -> str:
    return str(assistant.entities("front").get("areas", {}).get("attributes", {}).get("event_type"))


def _finds_what_is_there(assistant: Home) -> None:
    assistant.wait_state("", "connected", "on")
    assistant.wait_state("front", "connectivity", "on")
    assistant.wait_state("yard", "connectivity", "off")
    assistant.wait_state("yard", "person_occupancy", "unavailable")
    assistant.wait_state("front", "car_occupancy", "on")
    # "unknown" until the first count arrives
    wait_for(lambda: assistant.entities("front")["car_count"]["state"] not in {"unknown", "0"}, "a car", 40)
    front = assistant.entities("front")
    assert set(front) == {
        "connectivity",
        "enabled",
        "confidence",
        "snapshot",
        *("_".join(both) for both in itertools.product(("person", "car"), ("occupancy", "count"))),
    }
    assert {(entity["device"], entity["via"]) for entity in front.values()} == {("box front", "box")}
    assert front["enabled"]["entity_id"] == "switch.box_front_enabled"
    assert front["car_occupancy"]["attributes"]["device_class"] == "occupancy"
    assert assistant.entities("yard")["connectivity"]["attributes"]["reason"] == "refused"
    image = front["snapshot"]["entity_id"]
    wait_for(lambda: assistant.ask(image=image) > 1000, "a picture", 40)


def _obeys(assistant: Home) -> None:
    assert assistant.entities("front")["confidence"]["state"] == "unknown"
    assistant.call("number.set_value", "front", "confidence", value=0.55)
    assistant.wait_state("front", "confidence", "0.55")
    assistant.call("switch.turn_off", "front", "enabled")
    assistant.wait_state("front", "enabled", "off")
    assistant.wait_state("front", "connectivity", "off")
    assistant.wait_state("front", "car_count", "unavailable")
    assistant.call("switch.turn_on", "front", "enabled")
    assistant.wait_state("front", "connectivity", "on")
    assistant.wait_state("front", "car_occupancy", "on", "off")


def test_nobody_else_is_disturbed(broker: Mosquitto, tmp_path: Path) -> None:
    """Entities of another device on the same broker stay when this one clears what it left itself."""
    other = "homeassistant/switch/ospreyd_other/front_enabled/config"
    ours = "homeassistant/switch/ospreyd_box/gone_enabled/config"
    document = box(broker, {"front": {"source": os.fspath(tmp_path / "none.mp4"), "labels": []}})
    document["mqtt"]["formats"] = {"homeassistant": {}}
    with home(tmp_path, broker.port) as assistant:
        for device, topic in (("other", other), ("box", ours)):
            entity = {"name": "x", "unique_id": f"{device}_x", "command_topic": "x", "device": {"identifiers": device}}
            publish = ["mosquitto_pub", "-h", broker.host, "-p", str(broker.port), "-r", "-t", topic]
            subprocess.run([*publish, "-m", json.dumps(entity)], check=True)
        wait_for(lambda: {"other_x", "box_x"} <= set(assistant.ask(entities=True)), "both entities", 40)
        with daemon(tmp_path, document) as process:
            wait_for(lambda: "box_x" not in assistant.ask(entities=True), "ours to go", 40)
            assistant.wait_state("front", "connectivity", "off")
            assert "other_x" in assistant.ask(entities=True)
            stop(process)
