"""The difference between two configurations."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from daemon.config.difference import Difference, difference, used_models
from daemon.config.schema import Config


def config(cameras: dict[str, dict[str, Any]], **more: Any) -> Config:
    sources = {name: {"source": f"rtsp://{name}/1", **camera} for name, camera in cameras.items()}
    return Config.model_validate({"device": "box", "mqtt": {"host": "localhost"}, "cameras": sources, **more})


def changes(old: Config, new: Config) -> dict[str, Any]:
    """What is not empty."""
    found = difference(old, new)
    return {name: value for name in Difference.__slots__ if (value := getattr(found, name))}


A = config({"a": {}, "b": {}})
MODELS: dict[str, dict[str, Any]] = {"default": {}, "other": {}}


def test_nothing() -> None:
    assert changes(A, config({"b": {}, "a": {}})) == {}
    assert not difference(A, A)


def test_added_and_removed_cameras() -> None:
    assert changes(A, config({"b": {}, "c": {}})) == {"added": ("c",), "removed": ("a",)}


def test_keys_of_the_source_reopen_the_camera() -> None:
    for key in ({"source": "rtsp://other/1"}, {"rotate": 90}, {"transport": "udp"}, {"enabled": False}):
        assert changes(A, config({"a": key, "b": {}})) == {"reopened": ("a",)}


def test_other_keys_change_a_running_camera() -> None:
    for key in ({"confidence": 0.7}, {"fps": 5}, {"priority": 2}, {"labels": ["car"]}):
        assert changes(A, config({"a": key, "b": {}})) == {"changed": ("a",)}


def test_keys_of_the_session_reload_the_model() -> None:
    precise = config({"a": {}, "b": {}}, models={"default": {"precision": "fp32"}})
    assert changes(A, precise) == {"changed": ("a", "b"), "models": ("default",)}
    assert changes(A, config({"a": {}, "b": {}}, inference={"max_batch": 2})) == {"models": ("default",)}


def test_confidence_of_a_model_changes_its_cameras() -> None:
    assert changes(A, config({"a": {}, "b": {}}, models={"default": {"confidence": 0.9}})) == {"changed": ("a", "b")}


def test_camera_with_another_model() -> None:
    two = config({"a": {}, "b": {}}, models=MODELS)
    other = config({"a": {}, "b": {"model": "other"}}, models=MODELS)
    assert changes(two, other) == {"changed": ("b",), "models": ("other",)}
    assert changes(other, two) == {"changed": ("b",), "unused": ("other",)}


def test_waiting_times_change_without_reloading() -> None:
    assert changes(A, config({"a": {}, "b": {}}, inference={"max_age_ms": 5.0})) == {"inference": True}
    assert changes(A, config({"a": {}, "b": {}}, events={"gone_after": 9.0})) == {"events": ("gone_after",)}


def test_keys_that_need_a_restart_are_named() -> None:
    mqtt = {"host": "elsewhere", "keepalive": 60}
    new = config({"a": {}, "b": {}}, mqtt=mqtt, device="gate", inference={"backend": "onnxruntime"})
    assert difference(A, new).fixed == ("device", "mqtt.host", "mqtt.keepalive", "inference.backend")


_CAMERAS = st.dictionaries(
    st.sampled_from("abcde"),
    st.fixed_dictionaries(
        {},
        optional={
            "fps": st.sampled_from([5, 10]),
            "rotate": st.sampled_from([0, 90]),
            "model": st.sampled_from(sorted(MODELS)),
            "enabled": st.booleans(),
        },
    ),
    min_size=1,
)


@given(_CAMERAS, _CAMERAS)
def test_every_camera_and_model_is_named_once(old: dict[str, Any], new: dict[str, Any]) -> None:
    before, after = config(old, models=MODELS), config(new, models=MODELS)
    found = difference(before, after)
    named = [*found.added, *found.removed, *found.reopened, *found.changed]
    assert len(named) == len(set(named))
    assert (set(before.cameras) | set(found.added)) - set(found.removed) == set(after.cameras)
    untouched = set(after.cameras) - set(named)
    assert all(before.cameras[name] == after.cameras[name] for name in untouched)
    assert (set(used_models(before)) | set(found.models)) - set(found.unused) == set(used_models(after))
    assert bool(found) == (before.cameras != after.cameras)
