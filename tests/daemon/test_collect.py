"""Calibration pictures from recordings and cameras: how many, and spread over what there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from daemon.config.camera import Camera
from daemon.tools.collect import collect
from engines.errors import CalibrationError
from tests.daemon.capturing import pictures, read_video, write_video


@pytest.mark.parametrize(
    ("length", "frames", "expected"),
    [
        (12, 3, [0, 4, 8]),
        (12, 12, list(range(12))),
        (5, 12, list(range(5))),
        (12, 1, [0]),
        (1, 3, [0]),
    ],
)
def test_a_recording_gives_frames_spread_over_its_length(
    tmp_path: Path, length: int, frames: int, expected: list[int]
) -> None:
    video = write_video(tmp_path / "video.avi", pictures(length))
    told: list[float] = []
    # one that the configuration plays forever is read once
    found = list(collect(Camera(source=str(video), loop=True), frames, every=9.0, progress=told.append))
    decoded = read_video(video)
    assert [next(i for i, image in enumerate(decoded) if np.array_equal(image, got)) for got in found] == expected
    assert told == [n / frames for n in range(1, len(expected) + 1)]


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        CalibrationError, match=f"^no more calibration pictures from {tmp_path}/a.mp4: {tmp_path}/a.mp4 does"
    ):
        list(collect(Camera(source=str(tmp_path / "a.mp4")), 3, 1.0, lambda _: None))


def test_passwords_are_not_told() -> None:
    camera = Camera(source="rtsp://user:secret@127.0.0.1:1/x", open_timeout=1.0)
    with pytest.raises(CalibrationError) as caught:
        list(collect(camera, 3, 1.0, lambda _: None))
    assert "secret" not in str(caught.value)
    assert "rtsp://127.0.0.1:1/x" in str(caught.value)
