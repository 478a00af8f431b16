"""What docs/development.md says of additions: one new file and its registration, in a copy of the daemon."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema

from tests.conftest import ROOT

EVENT = '''
@documented
class LoiteringFields(TypedDict):
    """Its own."""

    still: Annotated[float, Field(ge=0)]
    """Seconds."""


@dataclass(frozen=True, slots=True)
class LoiteringEvent(Event):
    Fields: ClassVar[Any] = LoiteringFields

    still: float = 0.0

    def fields(self) -> LoiteringFields:
        return {"still": self.still}
'''
FORMAT = """
class Plain(Format):
    def __init__(self, options: Options, topics: DeviceTopics, _device: str) -> None:
        self.root = options.topic

    def event(self, event: Event) -> Iterable[OutgoingMessage]:
        return (OutgoingMessage(self.root, event.type.encode(), DeliveryKind.EVENT),)


FORMAT = Plain
"""
SOURCE = """
def open_source(camera, begin):
    raise SourceError(Reason.UNSUPPORTED, "noise")
"""
FILES = {
    "records/loitering.py": (ROOT / "daemon/records/object_events.py", "@documented", EVENT),
    "publish/formats/plain.py": (ROOT / "daemon/publish/formats/homeassistant.py", "\n\n\n", FORMAT),
    "capture/sources/noise.py": (ROOT / "daemon/capture/sources/v4l2.py", "\n\n\n", SOURCE),
}
"""each new file, and one beside it whose imports it has, up to a text"""
REGISTRATIONS = {
    "records/event_types.py": [
        ("from enum import Enum\n", "from daemon.records.loitering import LoiteringEvent\n"),
        ('    CAMERA_STATE = "camera-state"\n', '    LOITERING = "loitering", LoiteringEvent\n'),
    ],
    "config/formats.py": [
        ("    deepstream: DeepStream | None =", "    plain: DeepStream | None = None\n"),
    ],
    "config/sources.py": [
        ('    RTSP = "rtsp"\n', '    NOISE = "noise"\n'),
        ("    SourceKind.GSTREAMER:", '    SourceKind.NOISE: _Traits("noises", re.compile("^noise"), frozenset()),\n'),
    ],
    "control/settings.py": [('    FPS = "fps"\n', '    STALL_AFTER = "stall_after"\n')],
    "stats.py": [("    CONNECTIONS = (", '    NOISES = ("noises", "Noises.")\n')],
}
"""by file: what is added before a text"""
PROBE = """
import json
from pathlib import Path
from daemon.capture.sources.open import open_source
from daemon.capture.sources.base import SourceError
from daemon.config.camera import Camera
from daemon.config.schema import Config
from daemon.mqtt.topics import DeviceTopics
from daemon.publish import event_payloads
from daemon.publish.asyncapi import asyncapi
from daemon.publish.formats.fanout import Formats
from daemon.publish.schemas import schemas
from daemon.records import EventType
from daemon.records.loitering import LoiteringEvent
from daemon.stats import CameraCount

config = Config.model_validate({
    "device": "box", "mqtt": {"host": "localhost", "formats": {"plain": {"topic": "p"}}},
    "cameras": {"a": {"source": "noise 1"}},
})
event = LoiteringEvent("a", EventType.LOITERING, 1.0, still=2.5)
sent = []
Formats(config.mqtt, DeviceTopics.of("ospreyd", "box"), "box", sent.append).event(event)
try:
    open_source(config.cameras["a"])
except SourceError as error:
    source = str(error)
print(json.dumps({
    "payload": json.loads(event_payloads.event("box", event)),
    "schema": schemas()["event"],
    "sent": [(one.topic, one.payload.decode()) for one in sent],
    "source": source,
    "commands": sorted(asyncapi()["components"]["messages"]),
    "counters": [one.value[0] for one in CameraCount],
}))
"""


def test_an_addition_is_one_file_and_its_registration(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "daemon", tmp_path / "daemon", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "engines").symlink_to(ROOT / "engines")
    for name, (beside, until, text) in FILES.items():
        (tmp_path / "daemon" / name).write_text(beside.read_text().partition(until)[0] + "\n\n" + text)
    for name, additions in REGISTRATIONS.items():
        file = tmp_path / "daemon" / name
        for before, added in additions:
            assert file.read_text().count(before) == 1, before
            file.write_text(file.read_text().replace(before, added + before))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PROBE], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["payload"]["type"], found["payload"]["still"]) == ("loitering", 2.5)
    jsonschema.validate(found["payload"], found["schema"])
    assert found["schema"]["properties"]["still"] == {
        "description": "Seconds.",
        "minimum": 0,
        "title": "Still",
        "type": "number",
    }
    assert found["sent"] == [["p", "loitering"]]
    assert found["source"] == "noise"
    assert "command-set-stall_after" in found["commands"]
    assert "noises" in found["counters"]
