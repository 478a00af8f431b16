"""Messages from outside as nobody well-meaning sends them, for hypothesis, and what must hold for each."""

from __future__ import annotations

import threading

import orjson
from hypothesis import strategies as st

from daemon.config.schema import Config
from daemon.control.commands import LARGEST, Known, Name, Refused, Set, answer, judge
from daemon.control.handler import Control
from daemon.control.settings import Setting
from daemon.publish.formats.fanout import Formats
from daemon.publish.inbox import Received
from daemon.publish.topics import DeviceTopics

ROOT = "site/ospreyd/gate"

TOPICS = DeviceTopics.of("site/ospreyd", "gate")
KNOWN = Known(frozenset({"front", "yard"}), frozenset({"default"}))
CONFIG = Config.model_validate(
    {
        "device": "gate",
        "mqtt": {"host": "h", "formats": {"frigate": {}}},
        "cameras": {name: {"source": f"rtsp://{name}/1"} for name in KNOWN.cameras},
    }
)
FORMATS = Formats(CONFIG.mqtt, TOPICS, "gate", lambda _: None)
FRIGATE = {f"frigate/{camera}/detect/set" for camera in KNOWN.cameras}
DOCUMENTED = (
    {f"{ROOT}/{camera}/set/{setting.value}" for camera in KNOWN.cameras for setting in Setting}
    | {f"{ROOT}/command/{name.value}" for name in Name}
    | FRIGATE
)

_NAMES = st.sampled_from(["front", "yard", "set", "command", "state", "answer", "fps", "enabled", "confidence"])
_COMMANDS = st.sampled_from(["snapshot", "reload", "build-engine", "stats", "status", "..", "$SYS"])
_LEVELS = st.one_of(_NAMES, _COMMANDS, st.text(max_size=20))
_TOPICS = st.one_of(
    st.builds("{}/{}/set/{}".format, st.just(ROOT), _LEVELS, _LEVELS),
    st.builds("{}/command/{}".format, st.just(ROOT), _LEVELS),
    st.builds("frigate/{}/{}/set".format, _LEVELS, st.one_of(st.just("detect"), _LEVELS)),
    st.builds("{}/{}".format, st.just(ROOT), st.lists(_LEVELS, max_size=5).map("/".join)),
    st.text(),
)
_LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.text())
_OBJECTS = st.dictionaries(
    st.one_of(st.sampled_from(["camera", "annotated", "model", "schema"]), st.text(max_size=5)),
    st.one_of(_NAMES, _LEAVES),
    max_size=4,
)
_JSON = st.recursive(
    st.one_of(_LEAVES, _OBJECTS), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner)
)
_LIKELY = st.sampled_from(
    [
        b"true",
        b"false",
        b"ON",
        b"OFF",
        b"on",
        b"null",
        b"0.5",
        b"5",
        b'{"camera":"front"}',
        b'{"model":"default"}',
        b"",
        b"NaN",
        b"1e400",
    ]
)
_PAYLOADS = st.one_of(
    st.binary(max_size=1100),
    _JSON.map(orjson.dumps),
    _LIKELY,
    st.builds(lambda text, at: text[:at], _JSON.map(orjson.dumps), st.integers(0, 50)),
)
_RESPONSE_TOPICS = st.one_of(
    st.none(),
    st.text(),
    st.sampled_from(
        [
            "$SYS/x",
            "a/#",
            "frigate/events",
            "frigate",
            ROOT,
            f"{ROOT}/answer",
            f"{ROOT}/front/status",
            "site/ospreyd",
            "x" * 70_000,
        ]
    ),
    st.builds("{}/{}".format, st.just(ROOT), st.lists(_LEVELS, max_size=4).map("/".join)),
)

_ANYTHING = st.builds(
    Received,
    topic=_TOPICS,
    payload=_PAYLOADS,
    retained=st.booleans(),
    response_topic=_RESPONSE_TOPICS,
    correlation=st.one_of(st.none(), st.binary(max_size=300)),
)
_NEARLY_RIGHT = st.builds(
    Received,
    topic=st.sampled_from(sorted(DOCUMENTED)),
    payload=st.one_of(_LEAVES.map(orjson.dumps), _OBJECTS.map(orjson.dumps), _LIKELY, st.binary(max_size=20)),
    retained=st.just(False),
    response_topic=st.sampled_from([None, "me/answers", f"{ROOT}/answer/me"]),
    correlation=st.sampled_from([None, b"", b"\0\xff"]),
)
MESSAGES = st.one_of(_ANYTHING, _NEARLY_RIGHT)


class Host:
    """What commands did, by name; `error` is raised by what changes the daemon."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.error: Exception | None = None
        self.blocked = threading.Event()
        """cleared, it holds up what changes the daemon"""
        self.blocked.set()
        self.reached = threading.Event()
        """it has been asked"""

    def apply(self) -> None:
        """See daemon.control.handler.Host."""
        self.reached.set()
        self.blocked.wait(60)
        if self.error is not None:
            raise self.error
        self.calls.append("apply")

    def reload(self) -> str:
        """See daemon.control.handler.Host."""
        self.calls.append("reload")
        return "read again"

    def build_engine(self, model: str) -> None:
        """See daemon.control.handler.Host."""
        self.calls.append(f"build {model}")

    def snapshot(self, camera: str, annotated: bool) -> None:
        """See daemon.control.handler.Actions."""
        self.calls.append(f"snapshot {camera} {annotated}")

    def publish_stats(self) -> None:
        """See daemon.control.handler.Actions."""
        self.calls.append("stats")


def obeys_only_commands(message: Received) -> str:
    """Gives the message to the judge and the executor, and checks what became of it; the kind of command that it was.

    Whatever comes, it is answered where an answer may go; only a documented command does anything, and only that.
    """
    request = FORMATS.request(KNOWN, message) or judge(TOPICS, KNOWN, message, FORMATS.roots)
    answered_at = request.answer_to.name
    assert not answered_at.startswith("$")
    assert not f"{answered_at}/".startswith("frigate/")
    assert not answered_at.startswith("site/ospreyd/") or f"{answered_at}/".startswith(f"{ROOT}/answer/")
    assert len(request.name) <= 200
    orjson.loads(answer("gate", request.name, ok=False, detail=str(request.command)))
    if isinstance(request.command, Refused):
        return "refused"
    assert message.topic in DOCUMENTED
    assert not message.retained
    assert len(message.payload) <= LARGEST
    host = Host()
    control = Control(CONFIG, None, host, lambda *_: None)
    control.execute(request.command)
    changed = control.config != CONFIG
    assert changed == (host.calls == ["apply"])
    assert len(host.calls) <= 1
    if changed:
        assert isinstance(request.command, Set)
        camera, name = request.command.camera, request.command.setting.value
        value = message.payload == b"ON" if message.topic in FRIGATE else orjson.loads(message.payload)
        expected = CONFIG.cameras[camera].model_copy(update={name: value})
        assert control.config.cameras == {**CONFIG.cameras, camera: expected}
    return type(request.command).__name__
