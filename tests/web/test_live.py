"""Live pages: every state, pictures as they are asked for and no more, and an end when nobody looks."""

from __future__ import annotations

import json
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close
from websockets.sync.connection import Connection

from tests.conftest import wait_for
from tests.daemon.running import daemon, stop
from tests.servers.mosquitto import Mosquitto
from tests.web.running import WebPage, page, web_box

pytestmark = pytest.mark.timeout(300)  # daemon and page start with the first test


@dataclass
class Reader:
    """What came over a socket."""

    socket: Connection
    texts: list[dict[str, Any]] = field(default_factory=list)
    pictures: list[dict[str, Any]] = field(default_factory=list)
    jpegs: list[bytes] = field(default_factory=list)

    def say(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def read(self, seconds: float = 0.05) -> bool:
        """Whether something has come."""
        try:
            message = self.socket.recv(timeout=seconds)
        except TimeoutError:
            return False
        if isinstance(message, str):
            self.texts.append(json.loads(message))
        else:
            (length,) = struct.unpack(">I", message[:4])
            self.pictures.append(json.loads(message[4 : 4 + length]))
            self.jpegs.append(message[4 + length :])
        return True

    def until(self, condition: Any, what: str) -> None:
        wait_for(lambda: condition() or (self.read() and condition()), what)

    def next_picture(self) -> None:
        """Asks for one more and waits for it."""
        count = len(self.pictures)
        self.say(more="street")
        self.until(lambda: len(self.pictures) > count, "another picture")

    def next_text(self, kind: str) -> dict[str, Any]:
        """Waits for one more of a kind."""
        count = len(self.of(kind))
        self.until(lambda: len(self.of(kind)) > count, f"one more of {kind}")
        return self.of(kind)[-1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [text for text in self.texts if text["kind"] == kind]


def closing(socket: Connection) -> Close:
    """With which the page's process ends a socket."""
    with suppress(ConnectionClosed):
        while True:
            socket.recv(timeout=20)
    return Close(socket.close_code or 1006, "")


def size(jpeg: bytes) -> tuple[int, int]:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture.shape[1], picture.shape[0]


def test_a_page_is_told_every_state_and_sent_pictures_with_their_boxes(web: WebPage, viewer: httpx.Client) -> None:
    with web.live(viewer) as socket:
        seen = Reader(socket)
        kinds = {"daemon", "broker", "info", "camera", "setting", "zone", "stats"}
        seen.until(lambda: kinds <= {text["kind"] for text in seen.texts}, "every state")
        assert seen.of("daemon")[-1]["connected"] is True
        assert seen.of("broker")[-1]["connected"] is True
        seen.say(watch={"street": {"width": 320, "fps": 10}, "nobody": {}})
        seen.until(lambda: seen.of("pictures"), "an answer")
        assert seen.of("pictures")[-1]["allowed"] is True
        assert seen.pictures == [], "none without a credit"
        for _ in range(50):
            seen.say(more="street")
        seen.until(lambda: len(seen.pictures) >= 2, "two pictures")
        wait_for(lambda: not seen.read(1), "quiet")
        given = len(seen.pictures)
        assert given < 50, "two credits are kept, beside those that are used while the others come"
        while len(seen.pictures) < given + 18:
            seen.next_picture()
        sequences = [picture["sequence"] for picture in seen.pictures]
        assert sequences == sorted(set(sequences))
        assert size(seen.jpegs[-1]) == (seen.pictures[-1]["width"], seen.pictures[-1]["height"]) == (320, 240)
        told = {text["sequence"] for text in seen.of("detections")}
        with_boxes = [picture["boxes_of"] for picture in seen.pictures if picture["boxes_of"] is not None]
        assert len(with_boxes) >= 10
        assert set(with_boxes) <= told


def test_what_is_masked_is_for_who_may_edit(web: WebPage, viewer: httpx.Client, editor: httpx.Client) -> None:
    with web.live(viewer) as socket:
        seen = Reader(socket)
        seen.say(watch={"street": {"edited": False}})
        seen.until(lambda: seen.of("error"), "a refusal")
        for wrong in (
            "{",
            "[]",
            "{}",
            '{"watch": 1}',
            '{"more": "x", "watch": {}}',
            '{"watch": {"a": {"fps": 1e999}}}',
        ):
            socket.send(wrong)
            assert seen.next_text("error")["detail"], wrong
    with web.live(editor) as socket:
        seen = Reader(socket)
        seen.until(lambda: seen.of("info"), "the cameras")
        seen.say(watch={"street": {"width": 640, "edited": False}})
        seen.say(more="street")
        seen.until(lambda: seen.pictures, "a picture")
        assert seen.pictures[0]["edited"] is False
    assert "looks at the unmasked picture of camera street" in web.log
    answer = editor.get("api/cameras/street/picture.jpg?edited=0&width=160")
    assert (answer.status_code, size(answer.content)) == (200, (160, 120))
    away = editor.get("api/cameras/away/picture.jpg")
    assert (away.status_code, away.json()["error"]) == (503, "no-picture")
    assert away.json()["detail"] == editor.get("api/state").json()["cameras"]["away"]["status"]["detail"] != ""


def test_what_is_too_long_or_no_text_ends_the_socket(web: WebPage, viewer: httpx.Client) -> None:
    for message in ("x" * 5000, b"binary"):
        with web.live(viewer) as socket:
            socket.send(message)
            assert closing(socket).code in (1003, 1009, 1013)


def test_events_log_and_the_last_hour_are_there_for_who_comes_late(editor: httpx.Client) -> None:
    wait_for(lambda: any(one["picture"] for one in editor.get("api/events").json()["events"]), "an event's picture", 60)
    found = editor.get("api/events").json()
    numbers = [one["number"] for one in found["events"]]
    assert numbers == list(range(numbers[0], found["last"] + 1))
    pictured = next(one for one in found["events"] if one["picture"])
    assert pictured["event"]["type"] == "appeared"
    assert size(editor.get(f"api/events/{pictured['number']}.jpg").content) == (640, 480)
    wait_for(lambda: editor.get("api/cameras/street/timeline").json()["points"], "ten seconds", 30)
    point = editor.get("api/cameras/street/timeline").json()["points"][0]
    assert point["state"] in ("connecting", "streaming")
    assert point.keys() == {"time", "state", "fps", "p50_ms", "p95_ms", "dropped"}


def test_the_log_is_read_on_from_where_it_was(editor: httpx.Client) -> None:
    def beyond(number: int) -> dict[str, Any]:
        return dict(editor.get(f"api/log?after={number}").json())

    assert any("camera street: streaming" in line["text"] for line in beyond(0)["lines"])
    wait_for(lambda: beyond(last := beyond(0)["last"]) == {"last": last, "lines": []}, "nothing new")
    log = beyond(beyond(0)["last"] - 1)
    assert log["lines"][0]["number"] == log["last"] - len(log["lines"]) + 1
    assert beyond(1_000_000)["last"] >= log["last"], "by which a page knows that another daemon counts"


def test_orders_do_what_commands_do(editor: httpx.Client) -> None:
    answer = editor.post("api/cameras/street/set/fps", json={"value": 8})
    assert (answer.status_code, answer.json()["detail"]) == (200, "fps of street is 8.0")
    wait_for(lambda: editor.get("api/state").json()["cameras"]["street"]["settings"]["fps"]["value"] == 8, "the value")
    for path, body, status in (
        ("api/cameras/street/set/fps", {"value": "fast"}, 409),
        ("api/cameras/street/set/source", {"value": "0"}, 409),
        ("api/cameras/nobody/set/fps", {"value": 1}, 404),
        ("api/cameras/street/set/fps", {}, 422),
        ("api/models/default/build", {}, 409),
        ("api/models/nothing/build", {}, 404),
        ("api/reload", {"now": True}, 422),
    ):
        assert editor.post(path, json=body).status_code == status, path
    assert editor.post("api/cameras/street/set/fps", json={"value": 5}).status_code == 200
    assert editor.post("api/reload", json={}).json()["detail"].startswith("configuration loaded")


def test_a_page_ends_with_its_session_and_only_so_many_have_pictures(
    broker: Mosquitto, still: Path, tmp_path: Path
) -> None:
    """And the daemon's end is shown, and its return with pictures, without the page being loaded or asking again."""
    document = web_box(broker, {"street": {"source": str(still), "loop": True}}, {"max_viewers": 1})
    with page(tmp_path, document) as web, web.client() as client, web.live(client) as socket:
        seen = Reader(socket)
        seen.until(lambda: seen.of("daemon"), "the daemon's absence")
        assert seen.of("daemon")[-1]["connected"] is False
        assert client.get("api/cameras/street/shapes").json()["error"] == "daemon-away"
        seen.say(watch={"street": {"fps": 15}})
        for _ in range(2):
            with daemon(tmp_path, document) as process:
                seen.next_picture()
                with web.live(client) as second:
                    other = Reader(second)
                    other.next_text("info")
                    other.say(watch={"street": {}})
                    assert other.next_text("pictures")["allowed"] is False
                    assert client.get("api/state").json()["viewers"] == {"pictures": 1, "most": 1}
                stop(process)
            began = time.monotonic()
            seen.until(lambda: seen.of("daemon")[-1]["connected"] is False, "the daemon's end")
            assert time.monotonic() - began < 5
        client.delete("api/session")
        assert closing(socket).code == 4401
