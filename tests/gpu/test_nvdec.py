"""NVDEC decodes what OpenCV decodes on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from daemon.capture.sources.nvdec import nvdec_problem
from daemon.records import CameraState, Frame, Reason
from tests.daemon.capturing import capturing, read_video


@pytest.mark.parametrize("name", ["car_traffic_small.mp4", "intel_person-bicycle-car-detection_gifpreview_hevc.mp4"])
def test_nvdec_gives_the_frames_that_opencv_decodes(material: Path, name: str) -> None:
    if (problem := nvdec_problem()) is not None:
        pytest.skip(problem)
    video = material / "videos" / name
    small: list[np.ndarray[tuple[int, ...], np.dtype[np.int16]]] = []

    def keep(frame: Frame) -> None:
        small.append(frame.image.host()[::8, ::8].astype(np.int16))
        frame.release()

    with capturing(video, consume=keep, hw_acceleration="nvdec", pace="as-fast-as-possible") as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    assert captured.wait_for_state(CameraState.STREAMING).detail == "", "OpenCV has decoded it"
    expected = read_video(video)
    assert len(small) == len(expected)
    assert max(np.abs(got - want[::8, ::8]).mean() for got, want in zip(small, expected, strict=True)) < 2.5
