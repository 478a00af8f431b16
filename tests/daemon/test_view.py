"""What another process sees of a running daemon through its socket, and what it may ask."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from tests.conftest import wait_for
from tests.daemon.looking import Looker, looking, memory
from tests.daemon.running import daemon, stop
from tests.servers.mosquitto import free_port

RED, GREEN = (40, 40, 200), (40, 200, 40)
MASK = [[[0, 0.5], [1, 0.5], [1, 1], [0, 1]]]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Left half red, right half green, 640x360."""
    file = tmp_path_factory.mktemp("film") / "halves.mp4"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), 20, (640, 360))
    picture = np.zeros((360, 640, 3), np.uint8)
    picture[:, :320], picture[:, 320:] = RED, GREEN
    for _ in range(40):
        writer.write(picture)
    writer.release()
    return file


def document(film: Path, **camera: Any) -> dict[str, Any]:
    """Without a broker."""
    cameras = {"halves": {"source": str(film), "loop": True, **camera}}
    mqtt = {"host": "127.0.0.1", "port": free_port()}
    more = {"models": {"default": "street"}, "service": {"metrics": None}}
    return {"device": "box", "mqtt": mqtt, "cameras": cameras, **more}


def is_like(pixel: Any, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(np.asarray(pixel, int) - colour).max() < 40)


def test_states_results_and_pictures_come_without_a_broker(film: Path, tmp_path: Path) -> None:
    config = document(film, crop=[0.5, 0, 1, 1], masks=MASK, rotate=180)
    with daemon(tmp_path, config) as process, looking() as looker:
        assert looker.wait(lambda one: one["kind"] == "hello", "a greeting")["device"] == "box"
        looker.wait(lambda one: one["kind"] == "camera" and one["state"] == "streaming", "the camera")
        assert looker.wait(lambda one: one["kind"] == "broker", "the broker's state")["connected"] is False
        assert looker.of("info")[-1]["cameras"] == ["halves"]
        assert looker.of("setting", setting="fps")[-1]["value"] is None

        told, edited = looker.picture("halves", 320, edited=True)
        assert (told["width"], told["height"]) == (320, 360), "the crop, which is as wide already"
        assert is_like(edited[90, 160], RED), "turned, the left half is on the right"
        assert edited[270, 160].max() < 40, "masked"
        told, whole = looker.picture("halves", 320, edited=False)
        assert (told["width"], told["height"]) == (320, 180)
        assert told["sequence"] >= 1
        assert is_like(whole[45, 80], GREEN)
        assert is_like(whole[135, 240], RED), "neither cropped nor masked"

        assert looker.of("detections") == [], "nobody has asked for them"
        looker.say(do="watch", cameras=["halves"])
        seen = looker.wait(lambda one: one["kind"] == "detections", "detections")
        assert (seen["camera"], seen["frame"]) == ("halves", {"width": 320, "height": 360})
        counted = "statistics with frames"
        looker.wait(lambda one: one["kind"] == "stats" and one["cameras"]["halves"]["captured"] > 0, counted)
        stop(process)


def test_orders_do_what_commands_do_and_a_check_changes_nothing(film: Path, tmp_path: Path) -> None:
    config = document(film)
    with daemon(tmp_path, config) as process, looking() as looker:
        file = tmp_path / "box.yaml"
        answer = looker.ask(do="set", camera="halves", setting="fps", value=7)
        assert answer["ok"], answer
        looker.wait(lambda one: one["kind"] == "setting" and one["value"] == 7, "the new value")
        assert not looker.ask(do="set", camera="halves", setting="fps", value="fast")["ok"]
        assert not looker.ask(do="set", camera="halves", setting="source", value="x.mp4")["ok"]
        assert not looker.ask(do="build-engine", model="default")["ok"], "ONNX Runtime needs none"
        wrong = yaml.safe_dump({**config, "cameras": {"halves": {"source": "0", "masks": [[[0, 0], [1, 1]]]}}})
        refused = looker.ask(do="check", text=wrong)
        assert not refused["ok"]
        assert [problem.split(": ")[1] for problem in refused["problems"]] == ["cameras.halves.masks[0]"]
        assert looker.ask(do="check", text=file.read_text())["ok"]
        file.write_text(wrong)
        assert not looker.ask(do="reload")["ok"]
        file.write_text(yaml.safe_dump(config))
        assert looker.ask(do="reload")["ok"]
        lines = looker.ask(do="log", after=0)["lines"]
        assert [line["number"] for line in lines] == list(range(1, len(lines) + 1))
        assert any("fps of halves is 7" in line["text"] for line in lines)
        assert not any("check" in line["text"] for line in lines)
        events = looker.ask(do="events", after=0)
        assert [(e["event"]["type"], e["waits"]) for e in events["events"][:2]] == [("camera-state", True)] * 2
        assert looker.ask(do="events", after=events["last"])["events"] == []
        assert looker.ask(do="event-picture", number=1)["jpeg"] is None
        assert looker.ask(do="timeline", camera="halves")["every_s"] == 10
        stop(process)


def says(looker: Looker, data: bytes, *fds: int) -> None:
    looker.send(data, fds)
    wait_for(lambda: looker.read() and looker.ended, f"being cut off after {data!r}")


def test_who_misbehaves_is_cut_off_and_the_daemon_goes_on(film: Path, tmp_path: Path) -> None:
    picture = b'{"do":"picture","id":1,"camera":"halves","width":320,"edited":true}\n'
    small, unsealed = memory(100), memory(1 << 20, seal=0)
    with daemon(tmp_path, document(film)) as process:
        for data, *fds in (
            (b"GET / HTTP/1.1\r\n\r\n",),
            (b"[]\n",),
            (b'{"do":"watch"}\n',),
            (b'{"do":"run","id":1}\n',),
            (b'{"do":"picture","camera":"halves","width":320,"edited":true}\n', unsealed),
            (picture,),
            (picture, small),
            (picture, unsealed),
            (picture, 0),
        ):
            with looking() as looker:
                looker.wait(lambda one: one["kind"] == "hello", "a greeting")
                says(looker, data, *fds)
        with looking() as looker:
            looker.wait(lambda one: one["kind"] == "hello", "a greeting")
            with looking() as second:
                second.wait(lambda one: one["kind"] == "busy", "a refusal")
            assert looker.picture("halves", 320, edited=True)[0]["width"] == 320
            before = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
            for _ in range(20):
                looker.picture("halves", 320, edited=False)
            assert len(list(Path(f"/proc/{process.pid}/fd").iterdir())) <= before + 1
        stop(process)


def test_two_daemons_of_one_device_do_not_share_a_socket(film: Path, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    config = document(film)
    with daemon(tmp_path / "first", config) as first, looking() as looker:
        looker.wait(lambda one: one["kind"] == "hello", "a greeting")
        with daemon(
            tmp_path / "second", {**config, "mqtt": {**config["mqtt"], "outbox": {"path": "other.db"}}}
        ) as other:
            log = tmp_path / "second" / "log"
            wait_for(lambda: "no web page: another ospreyd" in log.read_text(), "a warning")
            wait_for(lambda: "streaming" in log.read_text(), "the other one's camera")
            stop(other)
        assert looker.ask(do="timeline", camera="halves")["every_s"] == 10
        stop(first)
    assert not (Path(os.environ["RUNTIME_DIRECTORY"]) / "box.sock").exists()
