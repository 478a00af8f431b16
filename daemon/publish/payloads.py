"""Makes the JSON bytes of messages from records; `detections` runs for every frame."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
import orjson

from daemon.publish.messages import (
    CameraStatusPayload,
    DetectedObject,
    DetectionsPayload,
    InfoPayload,
    LatencyPercentiles,
    StatsCamera,
    StatsPayload,
)
from daemon.records import (
    CameraStats,
    CameraStatus,
    DaemonInfo,
    DaemonStats,
    Drop,
    FrameResult,
    OutboxCounts,
    Percentiles,
)
from daemon.records.followed import Followed
from daemon.records.wire import rfc3339
from engines.records import Detections


def detections(device: str, result: FrameResult, *, zones: bool = False) -> bytes:
    """The message of one frame; its total latency ends here. `zones`: whether the camera has any."""
    begun = result.message or begin_detections(device, result, zones=zones)
    return b"%b%b}}" % (begun, orjson.dumps(_ms(time.monotonic() - result.captured_mono)))


def begin_detections(device: str, result: FrameResult, *, zones: bool = False) -> bytes:
    """All of that but the total latency, which comes last and is that of the moment when the message is sent."""
    latency = result.latency
    payload: DetectionsPayload = {
        "schema": 1,
        "device": device,
        "camera": result.camera,
        "sequence": result.sequence,
        "captured_at": rfc3339(result.captured_at),
        "stream_time": None if result.stream_time is None else round(result.stream_time, 6),
        "frame": {"width": result.width, "height": result.height},
        "model": result.model,
        "objects": objects(result.detections, result.labels, result.objects, zones=zones),
        "batch": result.batch,
        "latency_ms": {
            "queue": _ms(latency.queue),
            "preprocess": _ms(latency.preprocess),
            "detector": _ms(latency.detector),
            "postprocess": _ms(latency.postprocess),
            "total": 0,
        },
    }
    if result.picture is not None:
        payload = {"picture": result.picture, **payload}
    return orjson.dumps(payload)[: -len(b"0}}")]


def objects(
    found: Detections,
    labels: tuple[str, ...],
    followed: Sequence[Followed | None] | None = None,
    *,
    zones: bool = False,
) -> list[DetectedObject]:
    """Detections as they are published. Through float64, so that no float32 noise is left after the rounding.

    `followed`: the object that each is, None where it is none; None where nothing is followed.
    """
    boxes = found.boxes.astype(np.float64).round(2).tolist()
    scores = found.scores.astype(np.float64).round(4).tolist()
    result: list[DetectedObject] = [
        {"label": labels[class_id], "class_id": class_id, "score": score, "box": box}
        for class_id, score, box in zip(found.labels.tolist(), scores, boxes, strict=True)
    ]
    for shown, each in zip(result, followed or (), strict=followed is not None):
        shown["track_id"] = None if each is None else each.id
        shown["stationary"] = each is not None and each.stationary
        if zones:
            shown["zones"] = [] if each is None else list(each.zones)
    return result


def camera_status(device: str, status: CameraStatus, since: float) -> bytes:
    """The retained message of one camera's state; `since` in UTC, seconds since the epoch."""
    payload: CameraStatusPayload = {
        "schema": 1,
        "device": device,
        "camera": status.camera,
        "state": status.state,
        "reason": status.reason,
        "detail": status.detail,
        "since": rfc3339(since),
    }
    return orjson.dumps(payload)


def info(device: str, record: DaemonInfo, loaded_at: float) -> bytes:
    """The retained message of what this device is and runs; `loaded_at` in UTC, seconds since the epoch."""
    payload: InfoPayload = {
        "schema": 1,
        "device": device,
        "version": record.version,
        "backend": record.backend,
        "backend_reason": record.backend_reason,
        "gpu": record.gpu,
        "tensorrt": record.tensorrt,
        "models": {
            name: {
                "file": model.file,
                "family": model.family,
                "input": {"width": model.width, "height": model.height},
                "labels": list(model.labels),
                "precision": model.precision,
                "state": model.status.state,
                "progress": model.status.progress,
                "detail": model.status.detail,
            }
            for name, model in record.models.items()
        },
        "cameras": list(record.cameras),
        "configuration": {
            "loaded_at": rfc3339(loaded_at),
            "errors": list(record.configuration.errors) or None,
        },
    }
    return orjson.dumps(payload)


def stats(device: str, record: DaemonStats, outbox: OutboxCounts) -> bytes:
    """The periodic message of counts and latencies, made now. Every reason for a drop is there, with 0 too."""
    payload: StatsPayload = {
        "schema": 1,
        "device": device,
        "time": rfc3339(time.time()),
        "uptime_s": round(record.uptime, 3),
        "cameras": {name: _camera_stats(camera) for name, camera in record.cameras.items()},
        "latency_ms": _percentiles(record.latency),
        "batch": round(record.batch, 2),
        "outbox": {"waiting": outbox.waiting, "dropped": outbox.dropped, "problem": outbox.problem},
    }
    return orjson.dumps(payload, option=orjson.OPT_NON_STR_KEYS)  # the keys of `dropped` are an enumeration


def _camera_stats(camera: CameraStats) -> StatsCamera:
    payload: StatsCamera = {
        "connections": camera.connections,
        "captured": camera.captured,
        "processed": camera.processed,
        "published": camera.published,
        "dropped": {reason: camera.dropped.get(reason, 0) for reason in Drop},
        "fps": round(camera.fps, 2),
        "latency_ms": _percentiles(camera.latency),
    }
    if (objects := camera.objects) is not None:
        payload["objects"] = {
            "tracked": objects.tracked,
            "lost": objects.lost,
            "stationary": objects.stationary,
            "refused": objects.refused,
        }
    return payload


def _percentiles(stages: Mapping[str, Percentiles]) -> dict[str, LatencyPercentiles]:
    return {
        stage: {"p50": round(value.p50, 3), "p95": round(value.p95, 3), "p99": round(value.p99, 3)}
        for stage, value in stages.items()
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000.0, 3)
