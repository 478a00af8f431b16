"""Objects of a camera that is lost: they leave although no frame comes, and the stage sleeps until then and after."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from daemon.config.schema import Config
from daemon.records import CameraState, CameraStatus, Reason
from daemon.records.object_events import ObjectEvent
from daemon.records.objects import LeftReason
from engines.records import Detections
from tests.conftest import wait_for
from tests.daemon.publishing import result
from tests.daemon.test_analysis_stage import Analysed, analysed


def lost(analysed: Analysed) -> list[LeftReason | None]:
    """Why objects have left so far."""
    return [one.left_because for one in list(analysed.done) if isinstance(one, ObjectEvent) and one.left_because]


def test_objects_of_a_lost_camera_leave_and_the_stage_sleeps() -> None:
    settings = Config.model_validate(
        {
            "device": "gate",
            "mqtt": {"host": "localhost"},
            "tracking": {},
            "cameras": {"front": {"source": "rtsp://front/1"}},
        }
    )
    box = Detections(np.array([[2, 2, 60, 90]], np.float32), np.array([0.9], np.float32), np.array([0], np.int32))
    with analysed(settings) as a:
        for sequence in range(1, 30):
            at = time.monotonic() - 3 + sequence * 0.05
            seen = replace(result(), camera="front", sequence=sequence, captured_mono=at, captured_at=time.time())
            a.put(replace(seen, detections=box))
        wait_for(lambda: len(a.released) == 29, "all frames")
        now = time.monotonic()
        a.stage.camera_status(CameraStatus("front", CameraState.OFFLINE, Reason.TIMEOUT, "gone", now, now))
        wait_for(lambda: lost(a) == [LeftReason.CAMERA_LOST], "the object to leave")
        used, until = time.process_time(), time.monotonic() + 0.5
        wait_for(lambda: time.monotonic() > until, "half a second")
        assert time.process_time() - used < 0.25
