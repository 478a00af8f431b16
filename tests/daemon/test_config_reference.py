"""What is written about the configuration is what the schema says: examples, JSON Schema and the table of keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from daemon.config.camera import Camera
from daemon.config.json_schema import field_schema, json_schema
from daemon.config.load import load
from daemon.config.mqtt import Mqtt
from daemon.config.schema import Config
from daemon.config.sentences import requirement
from daemon.errors import ConfigError
from tests.conftest import ROOT

CONFIGS = ROOT / "configs"
DOCS = ROOT / "docs"


def keys(schema: dict[str, Any], whole: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every key, a name of the user's own written <name>."""
    for choice in schema.get("anyOf", [schema]):
        if "$ref" in choice:
            yield from keys(whole["$defs"][choice["$ref"].rsplit("/", 1)[1]], whole, path)
        if isinstance(choice.get("additionalProperties"), dict):
            yield from keys(choice["additionalProperties"], whole, (*path, "<name>"))
        for name, child in choice.get("properties", {}).items():
            yield (*path, name)
            yield from keys(child, whole, (*path, name))


ALL_KEYS = list(keys(json_schema(), json_schema()))


NAMED = (("models",), ("cameras",), *(("cameras", "<name>", key) for key in ("objects", "zones", "lines")))
"""below which names of the user's own stand"""


def given_keys(values: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every key in a loaded file, in the notation of `keys`."""
    if not isinstance(values, dict):
        return
    for name, child in values.items():
        part = "<name>" if path in NAMED else name
        if part != "<name>":
            yield (*path, part)
        yield from given_keys(child, (*path, part))


def full_with_everything_on() -> str:
    """full.yaml with the keys that are switched off by a # directly before them."""
    return re.sub(r"#(?=[a-z_]+:)", "", (CONFIGS / "full.yaml").read_text(encoding="utf-8"))


def reference_table() -> list[str]:
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for path in ALL_KEYS:
        parent = field_schema(path[:-1])
        unwrapped = parent["properties"][path[-1]]
        meaning, _, said_default = unwrapped["description"].partition("; default: ")
        if path[-1] in parent.get("required", ()):
            default = "required"
        elif unwrapped.get("default") is not None:
            default = f"`{json.dumps(unwrapped['default']).strip(chr(34))}`"
        else:
            default = said_default or "all defaults"
        value = requirement(field_schema(path)).removeprefix("must be ").split(" (of ")[0]
        key = ".".join(path)
        lines.append(" | ".join([f"| `{key}`", value, default, meaning.replace("|", r"\|") + " |"]))
    return lines


def test_the_smallest_example_is_the_promised_one() -> None:
    lines = (CONFIGS / "minimal.yaml").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "device: gate-01",
        "mqtt: {host: localhost}",
        "cameras:",
        "  front: {source: rtsp://camera.local/stream1}",
    ]
    assert load(CONFIGS / "minimal.yaml", {}) == Config(
        device="gate-01",
        mqtt=Mqtt(host="localhost"),
        cameras={"front": Camera(source="rtsp://camera.local/stream1")},
    )


def test_the_full_example_loads_with_nothing_in_the_environment() -> None:
    config = load(CONFIGS / "full.yaml", {})
    assert config.mqtt.address == ("localhost", 1883)
    assert config.cameras["recorded"].source == str(CONFIGS / "recordings/street.mp4")


def test_the_full_example_has_every_key_and_no_other(tmp_path: Path) -> None:
    text = full_with_everything_on()
    assert set(given_keys(yaml.safe_load(text))) == set(ALL_KEYS)
    copy = tmp_path / "full.yaml"
    copy.write_text(text, encoding="utf-8")
    (tmp_path / "models").mkdir()
    for name in ("broker-ca.pem", "device.pem", "device.key", "models/yolox_s.onnx"):
        (tmp_path / name).touch()
    (tmp_path / "scenes").mkdir()
    config = load(copy, {"OSPREYD_WEB_PASSWORD": "a long one", "OSPREYD_VIEWER_PASSWORD": "another one"})
    assert config.mqtt.tls is not None
    assert config.mqtt.tls.ca == tmp_path / "broker-ca.pem"
    assert config.mqtt.tls.key == tmp_path / "device.key"
    assert config.models["default"].labels == "coco"
    assert config.models["default"].calibration == tmp_path / "scenes"
    assert config.inference.cache == tmp_path / "engines"


def test_the_full_example_gives_each_default_that_is_a_single_value() -> None:
    config = load(CONFIGS / "full.yaml", {})
    assert (
        config.models
        == Config.model_validate({"device": "x", "mqtt": {"host": "x"}, "cameras": {"x": {"source": "0"}}}).models
    )
    assert config.inference.model_copy(update={"threads": None}) == type(config.inference)()


@pytest.mark.parametrize("example", ["minimal", "full", "everything on"])
def test_the_examples_satisfy_the_json_schema(example: str) -> None:
    path = CONFIGS / f"{example}.yaml"
    text = path.read_text(encoding="utf-8") if path.exists() else full_with_everything_on()
    Draft202012Validator.check_schema(json_schema())
    Draft202012Validator(json_schema()).validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("values", "valid"),
    [
        ({"device": "${HOSTNAME}", "mqtt": {"host": "h", "port": "${PORT}"}, "cameras": {"a": {"source": 0}}}, True),
        ({"device": "a", "mqtt": {"host": "h", "port": "1883"}, "cameras": {"a": {"source": "0"}}}, False),
        ({"device": "a", "mqtt": {"host": "h"}, "cameras": {"a b": {"source": "0"}}}, False),
        ({"device": "a", "mqtt": {"host": "h"}, "cameras": {}}, False),
        ({"device": "a", "mqtt": {"host": "h"}, "cameras": {"a": {"source": "0", "fqs": 3}}}, False),
        ({"device": "a", "mqtt": {"host": "h"}, "cameras": {"a": {"source": "x.mp4", "loop": "${LOOP}"}}}, True),
        ({"device": "a", "mqtt": {"host": "h"}, "cameras": {"a": {"source": "x.mp4", "loop": 3}}}, False),
    ],
)
def test_the_json_schema_tells_right_from_wrong(values: dict[str, object], valid: bool) -> None:
    assert Draft202012Validator(json_schema()).is_valid(values) is valid


def test_the_json_schema_describes_every_key_and_names_nothing_internal() -> None:
    text = json.dumps(json_schema())
    assert '"title"' not in text.replace('"title": "ospreyd configuration"', "", 1)
    for path in ALL_KEYS:
        assert field_schema(path[:-1])["properties"][path[-1]]["description"]


def test_the_published_json_schema_is_up_to_date() -> None:
    published = json.loads((DOCS / "config.schema.json").read_text(encoding="utf-8"))
    assert published == json_schema(), "write it again: ospreyd schema config > docs/config.schema.json"


def test_the_table_of_keys_is_up_to_date() -> None:
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    expected = "\n".join(reference_table())
    assert expected in text, f"the table in docs/configuration.md should be:\n{expected}"


def test_the_errors_shown_in_the_guide_are_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first YAML block after the heading 'Errors' gives exactly the text block after it."""
    guide = (DOCS / "configuration.md").read_text(encoding="utf-8").partition("## Errors")[2]
    blocks = re.findall(r"```\w+\n(.*?)```", guide, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("cameras.yaml").write_text(blocks[0], encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(Path("cameras.yaml"), {})
    assert str(caught.value) == blocks[1].rstrip("\n")
