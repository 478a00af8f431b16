"""The shapes of the messages, from which the JSON Schemas are made.

Every message is one JSON object with `"schema": 1`; times are RFC 3339 in UTC with microseconds and a Z; durations
say their unit in their name; boxes are [x1, y1, x2, y2] in pixels of the frame whose size stands beside them.
A later version may add fields; a field that changes its meaning raises the number.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import NotRequired, TypedDict

from daemon.records import CameraState, Drop, ModelState, Reason
from daemon.records.wire import Count, Size, Time, documented

Milliseconds = Annotated[float, Field(ge=0)]


@documented
class DetectedObject(TypedDict):
    """One object that was seen."""

    label: str
    """Class name."""
    class_id: Count
    """Index of the class in the model's labels."""
    score: Annotated[float, Field(ge=0, le=1)]
    """How sure the model is; 4 decimals."""
    box: Annotated[list[float], Field(min_length=4, max_length=4)]
    """[x1, y1, x2, y2], pixels of the frame: left, top, right, bottom; 2 decimals."""
    track_id: NotRequired[str | None]
    """Which object it is, the same in its events; null until that is certain. Only where `tracking` is on."""
    stationary: NotRequired[bool]
    """Whether that object stands. Only where `tracking` is on."""
    zones: NotRequired[list[str]]
    """Zones that the object is in, in the order entered. Only where the camera has zones."""


@documented
class FrameLatency(TypedDict):
    """How long this frame spent in each stage, milliseconds."""

    queue: Milliseconds
    """From capture until its batch began to be prepared for the model."""
    preprocess: Milliseconds
    """Frames to the model's input, whole batch."""
    detector: Milliseconds
    """The model, whole batch."""
    postprocess: Milliseconds
    """Non-maximum suppression and mapping to frame pixels, whole batch."""
    total: Milliseconds
    """From capture until this message was written."""


@documented
class DetectionsPayload(TypedDict):
    """What was seen in one frame; not retained, at most once (QoS 0)."""

    schema: Literal[1]
    """Version of this payload."""
    device: str
    """Name of the device."""
    camera: str
    """Name of the camera."""
    sequence: Annotated[int, Field(ge=1)]
    """Counts the camera's captured frames; gaps are frames that were dropped."""
    captured_at: Time
    """When the frame was captured."""
    stream_time: float | None
    """The stream's own timestamp, seconds; null where the source has none."""
    picture: NotRequired[str]
    """Name of the file; only where the source is a folder of pictures."""
    frame: Size
    """Size of the frame, which the boxes refer to."""
    model: str
    """Name of the model in the configuration."""
    objects: list[DetectedObject]
    """Best first; empty where nothing was seen."""
    batch: Annotated[int, Field(ge=1)]
    """Frames that went through the model together."""
    latency_ms: FrameLatency
    """How old this answer is, stage by stage."""


@documented
class CameraStatusPayload(TypedDict):
    """Where a camera stands; retained."""

    schema: Literal[1]
    """Version of this payload."""
    device: str
    """Name of the device."""
    camera: str
    """Name of the camera."""
    state: CameraState
    """Detections come only while it is streaming."""
    reason: Reason | None
    """Why it is not streaming; null while it is, on its first connection and when disabled."""
    detail: str
    """One sentence for a person; may be empty."""
    since: Time
    """When it came into this state."""


@documented
class InfoModel(TypedDict):
    """One model."""

    file: str
    """File that it was read from, or the name of a model that ships with ospreyd."""
    family: str
    """How its outputs are laid out."""
    input: Size
    """Size of its input."""
    labels: list[str]
    """Class names; class_id is an index into them."""
    precision: str
    """What it computes with: fp32, fp16, int8 or fp8."""
    state: ModelState
    """Frames of its cameras are processed only while it is ready; a model that failed is tried again at the next
    start."""
    progress: Annotated[int, Field(ge=0, le=100)] | None
    """Per cent of the building that is done; null unless building."""
    detail: str
    """What is being done while building, one sentence that says why it failed, or nothing."""


@documented
class InfoConfiguration(TypedDict):
    """How the configuration stands."""

    loaded_at: Time
    """When the one that runs was read."""
    errors: list[str] | None
    """Why the one that was to take its place last was refused, a sentence for each mistake; null where it was not."""


@documented
class InfoPayload(TypedDict):
    """What this device is and runs; retained."""

    schema: Literal[1]
    """Version of this payload."""
    device: str
    """Name of the device."""
    version: str
    """Version of ospreyd."""
    backend: str
    """What the models run on: tensorrt, tensorrt_rtx or onnxruntime."""
    backend_reason: str
    """Why that was chosen; one sentence for a person."""
    gpu: str | None
    """Name of the GPU; null where none is used."""
    tensorrt: str | None
    """Version of TensorRT; null where it is not used."""
    models: dict[str, InfoModel]
    """By name in the configuration."""
    cameras: list[str]
    """Names of the configured cameras."""
    configuration: InfoConfiguration
    """Of the configuration file, with what commands have set over it."""


@documented
class LatencyPercentiles(TypedDict):
    """How long at most a share of the frames since the last report took, milliseconds."""

    p50: Milliseconds
    """Half of the frames."""
    p95: Milliseconds
    """95 % of the frames."""
    p99: Milliseconds
    """99 % of the frames."""


@documented
class StatsObjects(TypedDict):
    """How many objects a camera has."""

    tracked: Count
    """That are certain and have not left."""
    lost: Count
    """Of them those that were not in the last frame."""
    stationary: Count
    """Of them those that stand."""
    refused: Count
    """Detections, ever, that would have begun an object beyond `max_objects`."""


@documented
class StatsCamera(TypedDict):
    """Counts of one camera since the daemon started, and its rates since the last report."""

    connections: Count
    """Times that its source was opened; all but the first are reconnects."""
    captured: Count
    """Frames captured."""
    processed: Count
    """Frames that went through a model."""
    published: Count
    """Frame messages written to the connection with the broker."""
    dropped: dict[Drop, Count]
    """Frames and messages dropped, by reason."""
    fps: Annotated[float, Field(ge=0)]
    """Frames processed per second since the last report."""
    latency_ms: dict[str, LatencyPercentiles]
    """By stage: queue, preprocess, detector, postprocess, tracking, total; stages without a frame are absent."""
    objects: NotRequired[StatsObjects]
    """Only where `tracking` is on and a frame was processed."""


@documented
class StatsOutbox(TypedDict):
    """How events stand that wait on disk until the broker has acknowledged them."""

    waiting: Count
    """Events that wait now."""
    dropped: Count
    """Events dropped because of `max_mb` or `max_age_hours`, since the outbox was made."""
    problem: str | None
    """Why events wait in memory only, as on a full or read-only disk; null where they are on disk."""


@documented
class StatsPayload(TypedDict):
    """How the device is doing; every `mqtt.stats_every` seconds, not retained."""

    schema: Literal[1]
    """Version of this payload."""
    device: str
    """Name of the device."""
    time: Time
    """When this report was made."""
    uptime_s: Annotated[float, Field(ge=0)]
    """Seconds since the daemon started."""
    cameras: dict[str, StatsCamera]
    """By name."""
    latency_ms: dict[str, LatencyPercentiles]
    """All cameras together, by stage."""
    batch: Annotated[float, Field(ge=0)]
    """Mean number of frames in a batch since the last report; 0 if there was none."""
    outbox: StatsOutbox
    """Events that are not published yet."""
