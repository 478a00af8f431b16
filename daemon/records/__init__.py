"""What the stages hand to each other: frozen records, with units and coordinate space under each field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from daemon.records.event import Event as Event
from daemon.records.event_types import EventType as EventType
from daemon.records.followed import Followed, ObjectCounts
from daemon.records.info import (
    ConfigurationInfo as ConfigurationInfo,
)
from daemon.records.info import (
    DaemonInfo as DaemonInfo,
)
from daemon.records.info import (
    ModelInfo as ModelInfo,
)
from daemon.records.info import (
    ModelState as ModelState,
)
from daemon.records.info import (
    ModelStatus as ModelStatus,
)
from daemon.records.info import (
    OutboxCounts as OutboxCounts,
)
from daemon.records.info import (
    OutboxStatus as OutboxStatus,
)
from engines.pictures import Picture
from engines.records import Detections


class CameraState(str, Enum):
    """Where a camera stands; published retained on `<camera>/status`."""

    DISABLED = "disabled"
    CONNECTING = "connecting"
    STREAMING = "streaming"
    STALLED = "stalled"
    OFFLINE = "offline"


class Reason(str, Enum):
    """Why a camera is not streaming, as far as it can be told from what happened."""

    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not-found"
    NO_VIDEO = "no-video"
    DECODE_ERROR = "decode-error"
    TIMEOUT = "timeout"
    FROZEN = "frozen"
    """frames come, but the picture no longer changes"""
    ENDED = "ended"
    UNSUPPORTED = "unsupported"
    NO_RESOURCES = "no-resources"
    """the process may open no more files, or there is no memory for the pictures"""
    MODEL_FAILED = "model-failed"
    """the camera's model cannot be used, so the camera is not opened"""
    SHARD_FAILED = "shard-failed"
    """the process that captures and analyses the camera has ended, and is started again"""


class Drop(str, Enum):
    """Why a frame or a message was dropped; each drop is counted under its reason."""

    REPLACED = "replaced"
    """a newer frame of the same camera came before this one could be batched"""
    TOO_OLD = "too-old"
    """older than `max_age_ms` when its turn came"""
    NO_MODEL = "no-model"
    """its model was not ready yet, or has failed"""
    HELD_BACK = "held-back"
    """the network or the camera's server held it back, and a newer one of the stream was there already"""
    DAMAGED = "damaged"
    """what came in its place was no picture, or not all of one"""
    NO_BUFFER = "no-buffer"
    """every frame buffer of the camera was in use"""
    ANALYSIS_QUEUE = "analysis-queue"
    """analysis was behind; the oldest result made room"""
    FORMATS_QUEUE = "formats-queue"
    """the messages of `mqtt.formats` were behind; the oldest result made room"""
    PUBLISH_QUEUE = "publish-queue"
    """the publisher was behind; the oldest result made room"""
    NOT_CONNECTED = "not-connected"
    """no broker to send the message to, or the connection broke before it was written"""
    PACKET_TOO_LARGE = "packet-too-large"
    """a message of the frame is larger than the broker's Maximum Packet Size"""


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """A camera's state as it is published, retained."""

    camera: str
    state: CameraState
    reason: Reason | None
    """None while streaming, connecting for the first time or disabled"""
    detail: str
    """one sentence for a person, without credentials: why it does not stream, or streams otherwise than configured;
    empty where there is nothing to say"""
    since: float
    """when it came into this state, time.monotonic()"""
    changed_at: float
    """when its state or reason last changed, UTC, seconds since the epoch"""
    changed_mono: float | None = None
    """the same by time.monotonic(); None: only the other is known"""


@dataclass(frozen=True, slots=True)
class Frame:
    """One captured picture. Whoever drops it or is done with it calls `release` exactly once."""

    camera: str
    sequence: int
    """counts the camera's captured frames from 1, across reconnects and dropped frames"""
    image: Picture
    """rotated, cropped, resized and masked as configured; valid until `release`"""
    captured_at: float
    """UTC, seconds since the epoch"""
    captured_mono: float
    """time.monotonic() at the same instant, seconds"""
    stream_time: float | None
    """the stream's own timestamp, seconds; None where the source has none"""
    live: bool
    """True: a newer frame may replace it; False: a file read as fast as possible, nothing is dropped"""
    release: Callable[[], None]
    """gives the picture's buffer back to the camera"""
    picture: str | None = None
    """name of the file in the folder that it comes from; None: another source"""
    passes: int | None = None
    """how often the recording had begun again before, by this camera since it was started; None: it is no recording"""


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames of one model that go through it together."""

    model: str
    frames: tuple[Frame, ...]
    """oldest first"""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long one frame spent in each stage, seconds."""

    queue: float
    """from capture until its batch began to be prepared"""
    preprocess: float
    """uint8 frames to the model's input, whole batch"""
    detector: float
    """model with head, whole batch"""
    postprocess: float
    """NMS and mapping to source pixels, whole batch"""


@dataclass(frozen=True, slots=True)
class FrameResult:
    """What was seen in one frame."""

    camera: str
    sequence: int
    width: int
    """of the analysed frame, rotated, cropped and resized as configured, pixels"""
    height: int
    """of the same, pixels"""
    captured_at: float
    """UTC, seconds since the epoch"""
    captured_mono: float
    """time.monotonic(), seconds"""
    stream_time: float | None
    """seconds; None where the source has none"""
    live: bool
    """False: the publisher must not drop it, the pipeline waits instead"""
    model: str
    labels: tuple[str, ...]
    """the model's class names, indexed by Detections.labels"""
    detections: Detections
    """boxes in pixels of that frame, best first"""
    batch: int
    """frames that went through the model together"""
    latency: Latency
    picture: str | None = None
    """name of the file in the folder that the frame comes from; None: another source"""
    skipped: bool = False
    """`mqtt.every` leaves out the message of this frame"""
    objects: tuple[Followed | None, ...] | None = None
    """which object each detection is, None where it is none; None where the camera's objects are not followed"""
    passes: int | None = None
    """how often the recording had begun again before, by this camera since it was started; None: it is no recording"""
    message: bytes | None = None
    """its own message but for the end, where a shard's process has made it; then it may have no detections"""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of one stage's latencies since the last report, milliseconds."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class CameraStats:
    """Totals of one camera since the daemon started, and rates since the last report."""

    connections: int
    """how often its source was opened; all but the first are reconnects"""
    captured: int
    processed: int
    published: int
    dropped: Mapping[Drop, int]
    fps: float
    """frames processed per second since the last report"""
    latency: Mapping[str, Percentiles]
    """by stage: queue, preprocess, detector, postprocess, tracking, total (capture to the message being written)"""
    objects: ObjectCounts | None = None
    """None where the camera is not tracked"""


@dataclass(frozen=True, slots=True)
class DaemonStats:
    """What `…/stats` carries."""

    uptime: float
    """seconds"""
    cameras: Mapping[str, CameraStats]
    latency: Mapping[str, Percentiles]
    """all cameras together, by stage"""
    batch: float
    """mean frames in a batch since the last report; 0 if there was none"""
