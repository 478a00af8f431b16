"""Places and values that an edit of a configuration file refuses."""

from __future__ import annotations

from typing import Any

import pytest

from daemon.config.edit import EditError, edit, locked, read
from tests.daemon.test_config_edit import FILE, POLYGON, PORCH

LOCKED = {
    "alias": ("cameras:\n  a: &a {source: x}\n  front: *a\n", "line 3: cameras.front is written elsewhere"),
    "alias of a value": (
        "z: &z {p: {}}\ncameras:\n  front:\n    source: x\n    zones: *z\n",
        "line 5: cameras.front.zones uses an alias",
    ),
    "alias deep in a value": (
        "p: &p [0, 0]\ncameras:\n  front:\n    masks: [[*p, [1, 0], [1, 1]]]\n",
        "line 4: cameras.front.masks uses an alias",
    ),
    "merge": (
        "base: &base\n  zones: {p: {}}\ncameras:\n  front:\n    <<: *base\n    source: x\n",
        "line 5: cameras.front.zones comes from <<",
    ),
    "merge in a zone": (
        "base: &base {dwell: 5}\ncameras:\n  front:\n    zones:\n      p: {<<: *base, labels: []}\n",
        "line 5: cameras.front.zones uses <<",
    ),
    "anchor": (
        "cameras:\n  front: &f\n    source: x\n  back: *f\n",
        "line 2: cameras.front.zones is used elsewhere as *f",
    ),
    "anchor in a value": (
        "cameras:\n  front:\n    masks: &m [[[0, 0], [1, 0], [1, 1]]]\n  back: {masks: *m}\n",
        "line 3: cameras.front.masks is used elsewhere as *m",
    ),
    "tag": (
        "cameras:\n  front:\n    zones:\n      p:\n        labels: [!secret L]\n",
        "line 5: cameras.front.zones uses a tag (!secret)",
    ),
}


@pytest.mark.parametrize("name", LOCKED)
def test_what_is_used_elsewhere_is_locked(name: str) -> None:
    text, sentence = LOCKED[name]
    key = next((key for key in ("masks", "zones") if f"front.{key}" in sentence), "zones")
    with pytest.raises(EditError) as raised:
        edit(text, ("cameras", "front", key), {"new": {"polygon": POLYGON}})
    assert str(raised.value).startswith(sentence)
    if name != "alias":
        assert str(locked(text, "front")).startswith(sentence)


def test_what_nothing_else_uses_is_not_locked() -> None:
    assert locked(FILE, "front") is None
    unused = "cameras:\n  front: &unused\n    <<: {fps: 3}\n    source: x\n"
    assert locked(unused, "front") is None
    assert edit(unused, ("cameras", "front", "crop"), [0, 0, 1, 1]) == unused + "    crop: [0, 0, 1, 1]\n"


@pytest.mark.parametrize(
    "path",
    [
        ("cameras", "front", "source"),
        ("cameras", "front", "zones/../source"),
        ("cameras", "front", "<<"),
        ("models", "default", "zones"),
        ("mqtt",),
        ("cameras", "front"),
        ("cameras", "front", "zones", "porch"),
        (),
    ],
)
def test_other_places_are_refused(path: tuple[str, ...]) -> None:
    with pytest.raises(EditError, match="only zones, lines, masks and crop of a camera can be edited"):
        edit(FILE, path, {"porch": PORCH})


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"p": {"labels": ["${MQTT_PASSWORD}"]}}, "must not hold ${"),
        ({"${X}": {"polygon": POLYGON}}, "must not hold ${"),
        ([[float("nan"), 0]], "nan is not a finite number"),
        ([1e308 * 10], "inf is not a finite number"),
        ({"p": {"labels": ["a\nb"]}}, "control characters"),
        ({"p": {"labels": ["\ud800"]}}, "control characters"),
        ({5: {}}, "the key 5 is not text"),
        ([b"x"], "bytes is not a JSON value"),
        ([[0.5, 0.5]] * 20_000, "longer than 100000 characters"),
    ],
)
def test_values_that_cannot_be_written_are_refused(value: Any, why: str) -> None:
    with pytest.raises(EditError) as raised:
        edit(FILE, ("cameras", "front", "zones"), value)
    assert why in str(raised.value)


@pytest.mark.parametrize("text", ["", "a: [", "- a", "cameras: 5", "cameras: {front: x}", "cameras:\n  back: {}\n"])
def test_a_file_without_the_camera_is_refused_in_a_sentence(text: str) -> None:
    for call in (lambda: edit(text, ("cameras", "front", "crop"), [0, 0, 1, 1]), lambda: read(text, "front")):
        with pytest.raises(EditError, match=r"the file|line \d+|no keys"):
            call()
