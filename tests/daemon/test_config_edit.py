"""Edits of zones, lines, masks and crops in configuration files as people write them."""

from __future__ import annotations

import difflib
import itertools
import re
from typing import Any

import pytest
import yaml

from daemon.config.edit import edit, paste, read

POLYGON = [[0.1, 0.2], [0.3, 0.4], [0.5, 0.9]]
FILE = """\
device: gate  # the name
mqtt: {host: broker}
cameras:
  # beside the road
  front:
    source: a.mp4   # the door
    zones:
      porch:   # where they wait
        # above the sill
        polygon: [[0.1, 0.2], [0.3, 0.4], [0.5, 0.9]]
        labels: [person]  # only
      # yard: off
    masks:
      - [[0,0],[1,0],[1,1]]   # neighbour
      # second
      - - [0, 0]
        - [0.5, 0]
        - [0.5, 0.5]
    fps: 5
  flow: {source: b.mp4, masks: [[[0,0],[1,0],[1,1]]], "fps": 3}
  lines:
    source: c.mp4
    zones: {gate: {polygon: [
       [0.1, 0.2],  # corner
       [0.3, 0.4],
       [0.5, 0.1]   # last
    ], labels: ["a", 'b']}}
# end
"""
PORCH = {"polygon": POLYGON, "labels": ["person"]}
FIRST, SECOND = [[0, 0], [1, 0], [1, 1]], [[0, 0], [0.5, 0], [0.5, 0.5]]
GATE = [[0.1, 0.2], [0.3, 0.4], [0.5, 0.1]]


def without_quotes(value: Any) -> Any:
    """Numbers that stand in quotes as numbers: the configuration reads both alike."""
    if isinstance(value, dict):
        return {key: without_quotes(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_quotes(item) for item in value]
    return float(value) if isinstance(value, str) and re.fullmatch(r"0?\.\d+", value) else value


def changed(text: str, camera: str, key: str, value: object) -> list[str]:
    """The lines that differ, as a diff shows them; the value and everything else are checked by another reader."""
    after = edit(text, ("cameras", camera, key), value)
    wanted = yaml.safe_load(text)
    if value:
        wanted["cameras"][camera][key] = value
    else:
        wanted["cameras"][camera].pop(key, None)
    assert without_quotes(yaml.safe_load(after)) == without_quotes(wanted)
    lines = difflib.unified_diff(text.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


CASES: list[tuple[str, str, object, list[str]]] = [
    (
        "front",
        "zones",
        {"porch": {**PORCH, "labels": ["person", "car"]}},
        ["-        labels: [person]  # only", "+        labels: [person, car]  # only"],
    ),
    (
        "front",
        "zones",
        {"porch": {**PORCH, "dwell": [5, 10]}, "yard": {"polygon": POLYGON}},
        ["+        dwell: [5, 10]", "+      yard:", "+        polygon: [[0.1, 0.2], [0.3, 0.4], [0.5, 0.9]]"],
    ),
    (
        "front",
        "zones",
        {"terrace": PORCH},
        ["-      porch:   # where they wait", "+      terrace:   # where they wait"],
    ),
    (
        "front",
        "zones",
        {},
        [
            "-    zones:",
            "-      porch:   # where they wait",
            "+      # where they wait",
            "-        polygon: [[0.1, 0.2], [0.3, 0.4], [0.5, 0.9]]",
            "-        labels: [person]  # only",
            "+        # only",
        ],
    ),
    (
        "front",
        "lines",
        {"kerb": {"points": [[0, 0], [1, 1]], "in": [0, 1]}},
        ["+    lines:", "+      kerb:", "+        points: [[0, 0], [1, 1]]", "+        in: [0, 1]"],
    ),
    ("front", "crop", [0, 0, 0.5, 1], ["+    crop: [0, 0, 0.5, 1]"]),
    ("front", "masks", [SECOND], ["-      - [[0,0],[1,0],[1,1]]   # neighbour", "+      # neighbour"]),
    ("front", "masks", [FIRST], ["-      - - [0, 0]", "-        - [0.5, 0]", "-        - [0.5, 0.5]"]),
    ("front", "masks", [FIRST, POLYGON, SECOND], ["+      - [[0.1, 0.2], [0.3, 0.4], [0.5, 0.9]]"]),
    (
        "front",
        "masks",
        [FIRST, [*SECOND[:2], [0.6, 0.6]]],
        ["-        - [0.5, 0.5]", "+        - [0.6, 0.6]"],
    ),
    (
        "flow",
        "masks",
        [FIRST, SECOND],
        [
            '-  flow: {source: b.mp4, masks: [[[0,0],[1,0],[1,1]]], "fps": 3}',
            '+  flow: {source: b.mp4, masks: [[[0,0],[1,0],[1,1]], [[0, 0], [0.5, 0], [0.5, 0.5]]], "fps": 3}',
        ],
    ),
    (
        "flow",
        "masks",
        None,
        ['-  flow: {source: b.mp4, masks: [[[0,0],[1,0],[1,1]]], "fps": 3}', '+  flow: {source: b.mp4, "fps": 3}'],
    ),
    (
        "lines",
        "zones",
        {"gate": {"polygon": [*GATE, [0.7, 0.7]], "labels": ["a", "b"]}},
        ["-       [0.5, 0.1]   # last", "+       [0.5, 0.1],   # last", "+       [0.7, 0.7]"],
    ),
    (
        "lines",
        "zones",
        {"gate": {"polygon": [GATE[0], [0.2, 0.2], *GATE[1:]], "labels": ["c", "b"]}},
        ["+       [0.2, 0.2],", """-    ], labels: ["a", 'b']}}""", """+    ], labels: ["c", 'b']}}"""],
    ),
]


@pytest.mark.parametrize(("camera", "key", "value", "lines"), CASES)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last_line", [True, False], ids=["ended", "cut"])
def test_only_these_lines_change(
    camera: str, key: str, value: object, lines: list[str], ending: str, last_line: bool
) -> None:
    text = (FILE if last_line else FILE.removesuffix("# end\n").removesuffix("\n")).replace("\n", ending)
    assert changed(text, camera, key, value) == lines
    after = edit(text, ("cameras", camera, key), value)
    assert after.endswith(ending) == text.endswith(ending)
    assert after.count("\r") == (after.count("\n") if ending == "\r\n" else 0)


def test_an_equal_value_changes_nothing() -> None:
    for camera in ("front", "flow", "lines"):
        for key, value in read(FILE, camera).values.items():
            assert edit(FILE, ("cameras", camera, key), value) == FILE


def test_the_only_zone_of_a_line_gives_way_to_another() -> None:
    text = "cameras:\n  a: {source: x, zones: {porch: {polygon: [[0, 0], [1, 0], [1, 1]]}}}\n"
    lines = changed(text, "a", "zones", {"yard": {"polygon": POLYGON}})
    assert lines[1] == "+  a: {source: x, zones: {yard: {polygon: [[0.1, 0.2], [0.3, 0.4], [0.5, 0.9]]}}}"


def test_a_byte_order_mark_stays() -> None:
    text = "\ufeffcameras: {a: {source: x}}\n"
    assert edit(text, ("cameras", "a", "crop"), [0, 0, 1, 0.5]).startswith("\ufeffcameras: {a: {source: x, crop: [")
    below = "\ufeffcameras:\n  a:\n    source: x\n"
    assert edit(below, ("cameras", "a", "crop"), [0, 0, 1, 1]) == below + "    crop: [0, 0, 1, 1]\n"


def test_what_is_read() -> None:
    shapes = read(FILE, "front")
    assert shapes.values == {"zones": {"porch": PORCH}, "lines": {}, "masks": [FIRST, SECOND], "crop": None}
    assert shapes.lines == {"zones.porch": 8, "masks.0": 14, "masks.1": 16}
    assert read("cameras: {a: {source: x, crop: [0, 0, .5, 1]}}", "a").values["crop"] == [0, 0, 0.5, 1]
    labels = read("cameras: {a: {zones: {b: {labels: [5, '5', true, null, 1e3]}}}}", "a").values["zones"]
    assert labels == {"b": {"labels": [5, 5, True, None, 1000.0]}}


def test_text_is_quoted_where_yaml_would_read_it_otherwise() -> None:
    labels = [
        "person",
        "traffic light",
        "null",
        "yes",
        "~",
        "5",
        "a: b",
        "a #b",
        "- x",
        "*x",
        "",
        "ü",
        "it's",
        '"',
        "!x",
    ]
    after = edit(FILE, ("cameras", "front", "zones"), {"porch": {**PORCH, "labels": labels}})
    assert yaml.safe_load(after)["cameras"]["front"]["zones"]["porch"]["labels"] == labels


def test_lines_to_paste() -> None:
    assert yaml.safe_load(paste(("cameras", "front", "masks"), [FIRST, SECOND])) == {
        "cameras": {"front": {"masks": [FIRST, SECOND]}}
    }


def test_styles_as_people_write_them() -> None:
    """One camera in many styles: a point moves, one comes, one goes, a zone comes and goes."""
    zones = (
        "zones: {{a: {{polygon: {p}}}}}",
        "zones:\n{i}a: {{polygon: {p}}}",
        "zones:\n{i}a:\n{i}{i}polygon: {p}",
        "zones:\n\n{i}# why\n{i}a:   # here\n\n{i}{i}polygon: {p}\n{i}{i}labels: [car]",
        '"zones":\n{i}"a":\n{i}{i}labels:\n{i}{i}- car\n{i}{i}polygon: {p}',
        "zones:\n{i}a:\n{i}{i}polygon:\n{i}{i}{i}{p}",
    )
    points = (
        "[[0.1, 0.2], [0.3, 0.4], [0.5, 0.9]]",
        "[ [0.1,0.2],[0.3,0.4],[0.5,0.9], ]",
        "[[0.1, 0.2],\n          [0.3, 0.4],\n          [0.5, 0.9]]",
        "[\n          [0.1, 0.2], # one\n          [0.3, 0.4], # two\n          [0.5, 0.9], # three\n        ]",
        "\n          - [0.1, 0.2]\n          - [0.3, 0.4]  # two\n          - [0.5, 0.9]",
        "\n".join(
            ["", *(" " * 10 + line for line in ("- - 0.1", "  - 0.2", "- - 0.3", "  - 0.4", "-", "  - .5", "  - 0.9"))]
        ),
        "[[0.1, 0.2], ['0.3', \"0.4\"], [0.5, .9]]",
    )
    done = 0
    for zone, point, indent in itertools.product(zones, points, ("  ", "   ", "    ")):
        if point.startswith("\n") and ("{{" in zone or "{i}{i}{i}" in zone):
            continue  # a block cannot stand in braces, nor behind blanks
        body = zone.format(i=indent, p=point).replace("\n", f"\n{indent * 2}")
        text = f"device: x\ncameras:\n{indent}a:\n{indent * 2}source: x\n{indent * 2}{body}\n{indent * 2}fps: 5\n"
        value = read(text, "a").values["zones"]
        assert isinstance(value, dict)
        assert value["a"]["polygon"] == POLYGON, text
        edits = [[0.15, 0.2], *POLYGON[1:]], POLYGON[1:], [*POLYGON, [0, 1]], [POLYGON[0], [0, 0], *POLYGON[1:]]
        changed(text, "a", "zones", {"a": {**value["a"], "polygon": edits[done % len(edits)]}})
        changed(text, "a", "zones", {**value, "b": {"polygon": POLYGON}})
        changed(text, "a", "zones", {})
        done += 1
    assert done >= 100
