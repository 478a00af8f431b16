"""What messages say: exact contents, and that the published JSON Schemas describe them and nothing else."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import orjson
import pytest

from daemon.publish import payloads
from daemon.publish.schemas import as_text, schemas, write
from daemon.records import CameraState, CameraStatus, Drop, ModelState, ModelStatus, OutboxCounts
from daemon.stats import CameraCount, DaemonCount, Stats
from engines.records import Detections
from tests.conftest import ROOT
from tests.daemon.publishing import INFO, UNREACHABLE, result

FOLDER = ROOT / "docs" / "mqtt"
LOADED = 1769860800.0
"""2026-01-31T12:00:00Z"""
NAMES = ("answer", "camera-status", "detections", "event", "info", "line", "setting", "stats", "zone")


def check(name: str, payload: bytes) -> Any:
    """Decodes a payload that must be what its schema says, without a field that the schema does not know."""
    schema = closed(schemas()[name])
    decoded = orjson.loads(payload)
    jsonschema.validate(decoded, schema, cls=jsonschema.Draft202012Validator)
    return decoded


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    schema = copy.deepcopy(schema)
    for part in (schema, *schema.get("$defs", {}).values()):
        if "properties" in part:
            part["additionalProperties"] = False
    return schema


def busy_stats() -> Stats:
    stats = Stats()
    for _ in range(2):
        stats.count(CameraCount.CONNECTIONS, "front")
    for _ in range(4):
        stats.count(CameraCount.CAPTURED, "front")
    stats.count_daemon(DaemonCount.BATCHES)
    stats.processed("front", queue=0.001, preprocess=0.002, detector=0.003, postprocess=0.004)
    stats.published([("front", 0.05)])
    stats.dropped("front", Drop.REPLACED)
    return stats


def test_detections() -> None:
    found = Detections(
        boxes=np.array([[1.005, 2.5, 640.126, 479.999], [0, 0, 1280, 720]], np.float32),
        scores=np.array([0.87654321, 0.5], np.float32),
        labels=np.array([2, 0], np.int32),
    )
    frame = replace(result(7), detections=found, captured_at=1769860800.25)
    decoded = check("detections", payloads.detections("gate", frame))
    total = decoded["latency_ms"].pop("total")
    assert 0 <= total < 60_000
    assert decoded == {
        "schema": 1,
        "device": "gate",
        "camera": "front",
        "sequence": 7,
        "captured_at": "2026-01-31T12:00:00.250000Z",
        "stream_time": 0.28,
        "frame": {"width": 1280, "height": 720},
        "model": "default",
        "objects": [
            {"label": "car", "class_id": 2, "score": 0.8765, "box": [1.0, 2.5, 640.13, 480.0]},
            {"label": "person", "class_id": 0, "score": 0.5, "box": [0.0, 0.0, 1280.0, 720.0]},
        ],
        "batch": 1,
        "latency_ms": {"queue": 4.0, "preprocess": 1.0, "detector": 20.0, "postprocess": 0.5},
    }


def test_total_latency_runs_from_capture_until_the_message() -> None:
    frame = result()
    frame = replace(frame, captured_mono=frame.captured_mono - 2.0)
    total = check("detections", payloads.detections("gate", frame))["latency_ms"]["total"]
    assert 2000 <= total < 62_000


def test_a_frame_in_which_nothing_was_seen() -> None:
    decoded = check("detections", payloads.detections("gate", replace(result(count=0), stream_time=None)))
    assert decoded["objects"] == []
    assert decoded["stream_time"] is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (1769860800.0, "2026-01-31T12:00:00.000000Z"),
        (1769860799.9999998, "2026-01-31T12:00:00.000000Z"),
        (1769860800.000001, "2026-01-31T12:00:00.000001Z"),
    ],
)
def test_times_are_utc_with_microseconds(seconds: float, text: str) -> None:
    decoded = check("camera-status", payloads.camera_status("gate", UNREACHABLE, seconds))
    assert decoded["since"] == text


def test_a_message_of_a_folder_names_its_picture() -> None:
    decoded = check("detections", payloads.detections("gate", replace(result(), picture="gâte 1.png")))
    assert decoded["picture"] == "gâte 1.png"
    assert "picture" not in check("detections", payloads.detections("gate", result()))


def test_camera_status() -> None:
    assert check("camera-status", payloads.camera_status("gate", UNREACHABLE, LOADED)) == {
        "schema": 1,
        "device": "gate",
        "camera": "yard",
        "state": "offline",
        "reason": "unreachable",
        "detail": "rtsp://camera.local/stream1 cannot be reached: Connection refused",
        "since": "2026-01-31T12:00:00.000000Z",
    }


@pytest.mark.parametrize("state", CameraState)
def test_every_camera_state_is_in_the_schema(state: CameraState) -> None:
    status = CameraStatus(camera="front", state=state, reason=None, detail="", since=1.0, changed_at=1.0)
    assert check("camera-status", payloads.camera_status("gate", status, LOADED))["reason"] is None


def test_info() -> None:
    assert check("info", payloads.info("gate", INFO, LOADED)) == {
        "schema": 1,
        "device": "gate",
        "version": "0.1.0",
        "backend": "onnxruntime",
        "backend_reason": "it was asked for",
        "gpu": None,
        "tensorrt": None,
        "models": {
            "default": {
                "file": "street",
                "family": "yolox",
                "input": {"width": 416, "height": 416},
                "labels": ["person", "bicycle", "car"],
                "precision": "fp32",
                "state": "building",
                "progress": 40,
                "detail": "calibrating",
            }
        },
        "cameras": ["front", "yard"],
        "configuration": {"loaded_at": "2026-01-31T12:00:00.000000Z", "errors": None},
    }


@pytest.mark.parametrize(
    "status", [ModelStatus(ModelState.READY), ModelStatus(ModelState.FAILED, detail="no space left")]
)
def test_every_model_state_is_in_the_schema(status: ModelStatus) -> None:
    model = replace(INFO.models["default"], status=status)
    said = check("info", payloads.info("gate", replace(INFO, models={"default": model}), LOADED))["models"]["default"]
    assert (said["state"], said["progress"], said["detail"]) == (status.state.value, None, status.detail)


def test_stats() -> None:
    decoded = check("stats", payloads.stats("gate", busy_stats().report(("front", "yard")), OutboxCounts(3, 1)))
    front = decoded["cameras"]["front"]
    assert (front["connections"], front["captured"], front["processed"], front["published"]) == (2, 4, 1, 1)
    assert front["dropped"] == {
        "replaced": 1,
        "too-old": 0,
        "no-model": 0,
        "held-back": 0,
        "damaged": 0,
        "no-buffer": 0,
        "analysis-queue": 0,
        "formats-queue": 0,
        "publish-queue": 0,
        "not-connected": 0,
        "packet-too-large": 0,
    }
    assert front["latency_ms"]["total"] == {"p50": 50.0, "p95": 50.0, "p99": 50.0}
    assert decoded["latency_ms"] == front["latency_ms"]
    assert decoded["cameras"]["yard"]["latency_ms"] == {}
    assert decoded["batch"] == 1.0
    assert decoded["outbox"] == {"waiting": 3, "dropped": 1, "problem": None}


@pytest.mark.parametrize("name", NAMES)
def test_the_published_schemas_are_up_to_date(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schemas()[name])
    published = orjson.loads((FOLDER / f"{name}.schema.json").read_bytes())
    assert published == schemas()[name], "run: python -m daemon.publish.schemas docs/mqtt"


def test_every_schema_and_field_is_described() -> None:
    assert tuple(sorted(schemas())) == NAMES
    for name, schema in schemas().items():
        assert schema["$id"] == f"urn:ospreyd:mqtt:{name}:1"
        for part in (schema, *schema.get("$defs", {}).values()):
            assert part["title"]
            assert part["description"]
            for field, about in part.get("properties", {}).items():
                assert about.get("description"), f"{name}: {part['title']}: {field}"


def test_write(tmp_path: Path) -> None:
    write(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {f"{name}.schema.json" for name in NAMES}
    assert (tmp_path / "info.schema.json").read_bytes() == as_text(schemas()["info"])


@pytest.mark.parametrize("name", NAMES)
def test_the_messages_in_the_documentation_are_real(name: str) -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    section = text.split(f"]({name}.schema.json)")[1]
    example = re.search(r"```json\n(.*?)```", section, re.DOTALL)
    assert example is not None
    check(name, example[1].encode())
