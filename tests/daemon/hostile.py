"""Messages from outside as nobody well-meaning sends them, for hypothesis."""

from __future__ import annotations

import orjson
from hypothesis import strategies as st

from daemon.control.commands import CommandName
from daemon.control.settings import Setting
from daemon.mqtt.incoming import Received

ROOT = "ospreyd/box"
CAMERAS = ("front", "yard", "back")
FRIGATE = {f"frigate/{camera}/detect/set" for camera in CAMERAS}
DOCUMENTED = (
    {f"{ROOT}/{camera}/set/{setting.value}" for camera in CAMERAS for setting in Setting}
    | {f"{ROOT}/command/{name.value}" for name in CommandName}
    | FRIGATE
)
"""every topic of a command"""

_NAMES = st.sampled_from([*CAMERAS, "set", "command", "state", "answer", *(setting.value for setting in Setting)])
_CAMERAS = st.sampled_from(CAMERAS)
_COMMANDS = st.sampled_from([*(name.value for name in CommandName), "status", "..", "$SYS"])
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
    [b"true", b"false", b"ON", b"OFF", b"on", b"null", b"0.5", b"5", b"", b"NaN", b"1e400"]
    + [b'{"camera":"%s"}' % camera.encode() for camera in CAMERAS]
    + [b'{"model":"default"}', b'{"model":"broken"}']
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
    st.sampled_from(["$SYS/x", "a/#", "frigate/events", "frigate", "ospreyd", "x" * 60_000]),
    st.sampled_from([ROOT, f"{ROOT}/answer", f"{ROOT}/front/status"]),
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
_RIGHT = st.builds(
    lambda command, more: Received(command[0], command[1], False, *more),
    st.one_of(
        st.tuples(st.builds("{}/{}/set/enabled".format, st.just(ROOT), _CAMERAS), st.sampled_from([b"true", b"false"])),
        st.tuples(
            st.builds("{}/{}/set/{}".format, st.just(ROOT), _CAMERAS, st.sampled_from(["fps", "confidence"])),
            st.one_of(st.none(), st.floats(0, 1, exclude_min=True)).map(orjson.dumps),
        ),
        st.tuples(st.sampled_from(sorted(FRIGATE)), st.sampled_from([b"ON", b"OFF"])),
        st.tuples(st.just(f"{ROOT}/command/snapshot"), _CAMERAS.map(lambda camera: orjson.dumps({"camera": camera}))),
        st.tuples(st.sampled_from([f"{ROOT}/command/reload", f"{ROOT}/command/stats"]), st.just(b"")),
    ),
    st.sampled_from([(None, None), ("me/answers", b"\0\xff")]),
)
MESSAGES = st.one_of(_ANYTHING, _NEARLY_RIGHT, _RIGHT)


def may_be_answered_at(topic: str) -> bool:
    """Whether an answer there cannot pass for a message of a device, the broker or another format."""
    below = f"{topic}/"
    return below.startswith(f"{ROOT}/answer/") or not below.startswith(("ospreyd/", "frigate/", "$"))
