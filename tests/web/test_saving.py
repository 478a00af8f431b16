"""Shapes saved by the page: only their lines change; what the daemon would not run with is never left in the file."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from daemon.errors import ConfigError
from daemon.web.shape_values import present
from tests.conftest import wait_for
from tests.daemon.running import daemon
from tests.servers.mosquitto import Mosquitto, free_port
from tests.web.running import WebPage, folders, page

pytestmark = pytest.mark.timeout(300)  # daemon and page start with the first test

PASSWORD = "of-the-page"
SECRET = "s3cret-of-the-camera"
DOOR = {"polygon": [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]], "labels": ["person"]}
TEXT = """# the box at the gate
device: box
mqtt: {{host: 127.0.0.1, port: {broker}}}
service: {{metrics: null, web: {{port: {web}, password: {password}}}}}
models: {{default: street}}
tracking: {{}}   # follow them
cameras:
    front:
        source: "{film}"   # by the door
        loop: true
        fps: 2
        zones:
            # the porch
            porch: {{polygon: [[0, 0], [1, 0], [1, 1]]}}   # all of it
        masks:
            - [[0, 0], [0.1, 0], [0.1, 0.1]]
    other: {{source: {film}, loop: true, fps: 2}}
    secret: {{source: "rtsp://127.0.0.1:9/x", user: me, password: {secret}, zones: {{old: {{polygon: {polygon}}}}}}}
    shared: &shared {{source: {film}, enabled: false}}
    alias: *shared
"""


@dataclass
class Edited:
    """A page whose file is changed."""

    web: WebPage
    client: httpx.Client
    file: Path

    def shapes(self, camera: str = "front") -> dict[str, Any]:
        answer = self.client.get(f"api/cameras/{camera}/shapes")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def put(self, shapes: dict[str, Any], camera: str = "front", revision: str | None = None) -> httpx.Response:
        sent = self.shapes(camera)["revision"] if revision is None else revision
        return self.client.put(f"api/cameras/{camera}/shapes", json={"shapes": shapes}, headers={"If-Match": sent})

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """What is done inside leaves the file alone, and nothing beside it."""
        before, beside = self.file.read_bytes(), sorted(self.file.parent.glob("*.yaml*"))
        yield
        assert self.file.read_bytes() == before
        assert sorted(self.file.parent.glob("*.yaml*")) == beside


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory, still: Path) -> Iterator[Edited]:
    """The daemon of refusing_daemon, whose file is in a strange style."""
    folder = tmp_path_factory.mktemp("saving")
    with folders(folder), Mosquitto(folder) as broker:
        port, file = free_port(), folder / "box.yaml"
        text = TEXT.format(
            broker=broker.port, web=port, film=still, secret=SECRET, password=PASSWORD, polygon=[[0, 0], [1, 0], [1, 1]]
        )
        document = {"service": {"web": {"port": port}}}
        with (
            daemon(folder, text, "tests.web.refusing_daemon"),
            page(folder, document) as web,
            web.client(PASSWORD) as client,
        ):
            wait_for(lambda: "secret" in client.get("api/state").json()["cameras"], "the daemon", 120)
            yield Edited(web, client, file)


def changed_lines(before: str, after: str) -> list[str]:
    return [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]


def test_a_zone_that_is_saved_changes_its_lines_and_is_run_with(edited: Edited) -> None:
    before = edited.file.read_bytes().decode()
    mode, connections = edited.file.stat().st_mode, connections_of(edited)
    found = edited.shapes()
    assert found["shapes"]["zones"] == {"porch": {"polygon": [[0, 0], [1, 0], [1, 1]]}}
    assert (found["at"]["zones.porch"], found["at"]["masks.0"]) == (14, 16)
    assert found["tracking"] is True
    assert "person" in found["labels"]
    assert {"polygon", "labels", "dwell", "max_count"} <= found["schema"]["zone"]["properties"].keys()
    wanted = {**found["shapes"], "zones": {**found["shapes"]["zones"], "door": DOOR}}
    checked = edited.client.post("api/cameras/front/shapes/check", json={"shapes": wanted}).json()
    assert (checked["mistakes"], checked["locked"]) == ([], None)
    assert edited.file.read_bytes().decode() == before, "a check writes nothing"

    answer = edited.put(wanted)
    assert answer.status_code == 200, answer.text
    assert "changed: front" in answer.json()["detail"]
    assert answer.json()["present"] == edited.shapes()
    assert edited.shapes()["shapes"] == wanted
    after = edited.file.read_bytes().decode()
    assert all(line.startswith("+ ") for line in changed_lines(before, after))
    shown = [(line["kind"], line["text"]) for line in answer.json()["diff"]]
    assert shown == [("new", line[2:]) for line in changed_lines(before, after)]
    assert edited.file.stat().st_mode == mode
    assert connections_of(edited) == connections, "no camera was opened again"
    wait_for(lambda: "door" in edited.client.get("api/state").json()["cameras"]["front"]["zones"], "its state")
    saves = edited.client.get("api/history").json()["saves"]
    assert (saves[0]["camera"], saves[0]["what"], saves[0]["role"]) == ("front", "zones.door", "edit")
    assert f"box.yaml:{answer.json()['diff'][0]['line']}" in edited.web.log

    back = edited.client.post(f"api/history/{saves[0]['number']}", json={})
    assert back.status_code == 200, back.text
    assert edited.file.read_bytes().decode() == before, "byte for byte"
    assert edited.client.post("api/history/99", json={}).status_code == 404


def connections_of(edited: Edited) -> dict[str, int]:
    """Of cameras that have been opened, by statistics from now."""
    known = edited.client.get("api/state").json()["stats"]
    found: dict[str, int] = {}

    def come() -> bool:
        stats = edited.client.get("api/state").json()["stats"]
        if stats is not None and (known is None or stats["time"] != known["time"]):
            found.update({name: stats["cameras"][name]["connections"] for name in ("front", "other")})
        return all(found.values()) and bool(found)

    wait_for(come, "statistics of open cameras")
    return found


def test_what_was_changed_by_hand_meanwhile_is_not_overwritten(edited: Edited) -> None:
    found = edited.shapes()
    text = edited.file.read_text()
    edited.file.write_text(text.replace("[0.1, 0.1]]", "[0.1, 0.2]]"))
    with edited.unchanged():
        answer = edited.put({**found["shapes"], "lines": {}}, revision=found["revision"])
        assert (answer.status_code, answer.json()["error"]) == (412, "changed")
        assert answer.json()["present"]["shapes"]["masks"] == [[[0, 0], [0.1, 0], [0.1, 0.2]]]
        assert edited.client.put("api/cameras/front/shapes", json={"shapes": {}}).status_code == 428
    edited.file.write_text(text.replace("the box at", "this box at"))  # another part, which stays
    wanted = {**edited.shapes()["shapes"], "masks": []}
    assert edited.put(wanted, revision=found["revision"]).status_code == 200
    assert "masks" not in edited.file.read_text()
    assert "this box at" in edited.file.read_text()
    edited.file.write_text(text)


def test_a_mistake_is_told_where_it_is_and_nothing_is_written(edited: Edited) -> None:
    shapes = edited.shapes()["shapes"]
    crossing = {"polygon": [[0, 0], [1, 1], [1, 0], [0, 1]]}
    with edited.unchanged():
        for part, path in (
            ({"zones": {"porch": crossing}}, "zones.porch.polygon"),
            ({"zones": {"a b": DOOR}}, "zones"),
            ({"zones": {"door": {**DOOR, "labels": ["unicorn"]}}}, "zones.door.labels"),
            ({"zones": {"door": {**DOOR, "colour": "red"}}}, "zones.door.colour"),
            ({"masks": [[[0, 0], [1, 1]]]}, "masks.0"),
            ({"lines": {"kerb": {"points": [[0, 0], [0, 0]], "in": [1, 1]}}}, "lines.kerb.points"),
            ({"crop": [0.5, 0, 0.2, 1]}, "crop"),
            ({"masks": [[[0, 0], [1, 0], [1e308, 1]]]}, "masks.0.2.0"),
        ):
            wanted = {**shapes, **part}
            answer = edited.put(wanted)
            assert (answer.status_code, answer.json()["error"]) == (422, "mistakes"), part
            told = answer.json()["mistakes"]
            assert told[0]["path"].startswith(path), told
            assert told[0]["line"]
            checked = edited.client.post("api/cameras/front/shapes/check", json={"shapes": wanted}).json()
            assert checked["mistakes"] == told


@pytest.mark.parametrize(
    "body",
    [
        {"shapes": {"source": "0"}},
        {"shapes": {"zones": {}, "password": "x"}},
        {"shapes": {"zones/../source": {}}},
        {"shapes": {"<<": {}}},
        {"shapes": {"zones": {"<<": {"polygon": [[0, 0], [1, 0], [1, 1]]}}}},
        {"shapes": {"zones": {"door": {"polygon": [[0, 0], [1, 0], [1, 1]], "labels": ["${HOME}"]}}}},
        {"shapes": {"zones": {"door": {"polygon": "!secret x"}}}},
        {"shapes": {"zones": {"door\n    source": {}}}},
        {"shapes": {"masks": [[[0, 0], [1, 0], [float("nan"), 1]]]}},
        {"shapes": {"masks": [[[0, 0], [1, 0], [float("inf"), 1]]]}},
        {"shapes": {"masks": [[[0.5, 0.5]] * 10_000]}},
        {"shapes": {"masks": [[]] * 300}},
        {"shapes": []},
        {},
    ],
)
def test_nothing_but_shapes_can_be_written(edited: Edited, body: dict[str, Any]) -> None:
    headers = {"If-Match": edited.shapes()["revision"], "Content-Type": "application/json"}
    with edited.unchanged():
        for camera, status in (("front", 422), ("nobody", 404)):
            path = f"api/cameras/{camera}/shapes"
            answer = edited.client.put(path, content=json.dumps(body), headers=headers)
            assert answer.status_code == status, answer.text


def test_what_the_daemon_refuses_at_last_is_put_back(edited: Edited) -> None:
    shapes = edited.shapes()["shapes"]
    with edited.unchanged():
        answer = edited.put({**shapes, "zones": {**shapes["zones"], "refuse": DOOR}})
        assert (answer.status_code, answer.json()["error"]) == (409, "reload-refused")
        assert "this is refused" in answer.json()["detail"]
    wait_for(
        lambda: edited.client.get("api/state").json()["info"]["configuration"]["errors"] is None,
        "the daemon to have the old configuration",
    )


def test_what_only_a_person_can_change_is_said_with_the_lines_to_paste(edited: Edited) -> None:
    found = edited.shapes("alias")
    assert "alias" in found["locked"]
    with edited.unchanged():
        answer = edited.put({"zones": {"door": DOOR}}, "alias", found["revision"])
        assert (answer.status_code, answer.json()["error"]) == (423, "locked")
        assert answer.json()["paste"].startswith("cameras:\n  alias:\n    zones:\n")
        checked = edited.client.post("api/cameras/alias/shapes/check", json={"shapes": {"zones": {"door": DOOR}}})
        assert checked.json()["locked"] == found["locked"]


def test_a_line_that_changes_is_shown_without_the_password_on_it(edited: Edited) -> None:
    text = edited.file.read_text()
    answer = edited.put({"zones": {"old": DOOR}}, "secret")
    assert answer.status_code == 200, answer.text
    assert SECRET in edited.file.read_text()
    assert len(answer.json()["diff"]) >= 2
    history = edited.client.get("api/history").text
    assert not any(SECRET in shown for shown in (answer.text, history, edited.web.log))
    edited.file.write_text(text)


def test_a_link_is_followed_and_line_ends_stay(edited: Edited) -> None:
    text, target = edited.file.read_text(), edited.file.parent / "elsewhere"
    target.mkdir()
    real = target / "real.yaml"
    real.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    edited.file.unlink()
    edited.file.symlink_to(real)
    shapes = edited.shapes()["shapes"]
    assert edited.put({**shapes, "zones": {**shapes["zones"], "door": DOOR}}).status_code == 200
    assert edited.file.is_symlink()
    after = real.read_bytes()
    assert after.startswith(b"\xef\xbb\xbf#")
    assert b"door" in after
    assert after.count(b"\n") == after.count(b"\r\n")
    edited.file.unlink()
    edited.file.write_text(text)


def test_what_is_wrong_with_a_file_names_it() -> None:
    with pytest.raises(ConfigError, match=r"^the file:2: is not YAML"):
        present("a: [\n", "front", "box.yaml", [])
