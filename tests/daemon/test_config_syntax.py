"""Files that are no YAML mapping, and YAML's own means: aliases and merged keys."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daemon.config.camera import Camera as CameraSettings
from daemon.config.load import load
from daemon.errors import ConfigError
from tests.daemon.configuring import ABOVE, CAMERA, loaded, mistakes


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _: None, "conf/x.yaml: no such file"),
        (lambda path: path.mkdir(), "conf/x.yaml: is a folder; name the configuration file in it"),
        (lambda path: path.symlink_to(path.name), "conf/x.yaml: cannot be read: Too many levels of symbolic links"),
    ],
)
def test_a_file_that_cannot_be_read(make, message: str) -> None:  # type: ignore[no-untyped-def] # three one-liners
    path = Path("conf/x.yaml")
    path.parent.mkdir()
    make(path)
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert caught.value.problems == (message,)


EMPTY = " is empty; the smallest useful file gives device, mqtt and cameras"
NO_MAPPING = "must be a mapping that gives device, mqtt and cameras, got"
MISPLACED = "does not belong here; check the indentation and the quotes"
COLON = "a ':' where none can be; check the indentation, or put the text in quotes"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", EMPTY),
        ("# nothing\n", EMPTY),
        ("\n- a\n", f"2: {NO_MAPPING} a list"),
        ("gate-01", f"1: {NO_MAPPING} text"),
        (b"device: a\nmqtt: \xff\n", "2: is not UTF-8 text; save the file as UTF-8"),
        ("device: a\nmqtt: \x00", "2: is not YAML: a control character (U+0000)"),
        ("device: a: b", f"1: is not YAML at column 10: {COLON}"),
        ("mqtt:\n\t- b", "2: is not YAML at column 1: a tab; indent with spaces"),
        ("device: @x", "1: is not YAML at column 9: text that begins with @ needs quotes"),
        ("mqtt:\n  b: 1\n c: 2", f"3: is not YAML at column 2: {MISPLACED}"),
        ("device: 'x' y", f"1: is not YAML at column 13: {MISPLACED}"),
        ("device: 'x\nmqtt: y\n", "1: is not YAML at column 9: a quote that is never closed"),
        ("a: 1\nhalf\nb: 2", "2: is not YAML at column 1: a key without ':'"),
        ("a: [1\nb: 2", "2: is not YAML at column 2: a ',' or ']' is missing"),
        ("a: {b: c", "1: is not YAML at column 9: a ',' or '}' is missing"),
        ("a: {b: ${C}}", "1: is not YAML at column 9: ${…} needs quotes inside { } and [ ]"),
        ("a: }", "1: is not YAML at column 4: a value is missing"),
        ('a: "\\q"', "1: is not YAML at column 6: found unknown escape character 'q'"),
        ("a: |9x", "1: is not YAML at column 6: expected chomping or indentation indicators"),
        ("a: 1\n---\nb: 2", "2: is not YAML at column 1: a second document ('---'); a configuration is one document"),
        ("[" * 2000, " is nested too deeply for a configuration"),
    ],
)
def test_what_is_no_yaml_mapping(text: str | bytes, message: str) -> None:
    assert mistakes(text) == [message]


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert loaded("\ufeff" + ABOVE + CAMERA).device == "gate-01"


def test_a_path_that_is_not_utf8() -> None:
    path = Path(os.fsdecode(b"b\xff.yaml"))
    path.write_text(ABOVE + CAMERA)
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert caught.value.problems == (r"'b\udcff.yaml': must be in UTF-8, its folders too; rename what is not",)


def test_the_value_of_an_alias_is_reported_where_it_is_used() -> None:
    text = "device: &name gate-01\nmqtt:\n  host: h\n  port: *name\n" + CAMERA
    assert mistakes(text) == ["4: mqtt.port: must be a whole number from 1 to 65535, got 'gate-01'"]


def test_merged_keys_give_way_to_own_ones_and_later_ones_to_earlier_ones() -> None:
    config = loaded(
        ABOVE + "cameras:\n  a: &a {source: a.mp4, loop: true, confidence: 0.1}\n"
        "  b: &b {source: b.mp4, confidence: 0.2, stall_after: 5}\n"
        "  c: {<<: [*a, *b], source: c.mp4}\n  d: {source: 0, <<: {confidence: 0.3}}\n  e: *b\n"
    )
    folder = Path.cwd()
    assert config.cameras["c"] == CameraSettings(source=str(folder / "c.mp4"), loop=True, confidence=0.1, stall_after=5)
    assert config.cameras["d"] == CameraSettings(source="0", confidence=0.3)
    assert config.cameras["e"] == config.cameras["b"]


def test_a_pyramid_of_aliases_costs_no_more_than_its_text() -> None:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
    text = ABOVE + "a0: &a0 [x]\n" + levels + "cameras: {front: {source: a, labels: *a39}}\n"
    told = mistakes(text)
    assert len(told) == 40 + 9
    assert "42: cameras.front.labels[8]: must be text, got a list" in told
