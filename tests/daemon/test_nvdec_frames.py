"""Frames that were decoded on a GPU: who decides that, and where they are copied to memory. Without a GPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.capture.buffers import Buffer, FrameMemory
from daemon.capture.sources import decoder as choice
from daemon.capture.sources import video as videos
from daemon.capture.sources.decoder import decided, decided_for, reader_of
from daemon.capture.sources.nvdec import NvdecReader
from daemon.capture.sources.reader import Reader
from daemon.config.camera import Camera
from daemon.records import CameraState, Reason
from engines.pictures import BgrPicture, Image, Nv12Picture, Picture
from tests.daemon.capturing import capturing, pictures, read_video, write_video
from tests.nv12 import Planes, nv12

pytest.importorskip("av")
FAST: dict[str, Any] = {"pace": "as-fast-as-possible"}
ON_GPU = FrameMemory(gpu=0)


class GpuReader(NvdecReader):
    """As if the frames that the CPU decodes were on GPU 0; those that are copied from there are counted."""

    copies = 0

    def __init__(self, camera: Camera) -> None:
        super().__init__(camera, software=True)

    def retrieve(self, into: Image | None) -> Picture:
        picture = super().retrieve(into)
        assert isinstance(picture, Nv12Picture)

        def read() -> Planes:
            GpuReader.copies += 1
            return picture.read()

        return replace(picture, gpu=0, read=read)


@pytest.fixture
def nvdec(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose GPU decodes."""

    def choose(camera: Camera) -> tuple[Reader, str | None]:
        return (GpuReader(camera), None) if camera.hw_acceleration == "nvdec" else reader_of(camera)

    monkeypatch.setattr(choice, "nvdec_problem", lambda: None)
    monkeypatch.setattr(videos, "reader_of", choose)
    GpuReader.copies = 0


@pytest.mark.parametrize(
    ("asked", "gpu", "problem", "used"),
    [
        ("auto", 0, None, "nvdec"),
        ("auto", 0, "PyAV is not installed", "none"),
        ("auto", None, None, "none"),
        ("none", 0, None, "none"),
        ("any", 0, None, "any"),
        ("nvdec", None, "PyAV is not installed", "nvdec"),  # so that the status says why it is not
    ],
)
def test_what_auto_means(
    asked: str, gpu: int | None, problem: str | None, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "nvdec_problem", lambda: problem)
    camera = Camera.model_validate({"source": "rtsp://a/1", "hw_acceleration": asked})
    assert decided(camera, gpu).hw_acceleration == used


@pytest.mark.usefixtures("nvdec")
def test_auto_is_the_default_and_the_cpu_with_onnx_runtime() -> None:
    camera = Camera(source="rtsp://a/1")
    assert camera.hw_acceleration == "auto"
    assert decided_for(camera, "onnxruntime").hw_acceleration == "none"
    assert decided_for(camera, "tensorrt").hw_acceleration in {"none", "nvdec"}  # whether it works here or not


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "video.avi", pictures(12))


@pytest.mark.usefixtures("nvdec")
def test_frames_stay_where_they_were_decoded(video: Path) -> None:
    with capturing(video, memory=ON_GPU, **FAST) as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    assert [getattr(frame.image, "gpu", None) for frame in captured.frames] == [0] * 12
    assert GpuReader.copies == 0


@pytest.mark.usefixtures("nvdec")
@pytest.mark.parametrize(
    ("memory", "settings"),
    [
        (ON_GPU, {"rotate": 180}),
        (ON_GPU, {"masks": [[(0.9, 0.9), (1, 0.9), (1, 1)]]}),
        (FrameMemory(), {"hw_acceleration": "nvdec"}),
        (FrameMemory(gpu=1), {"hw_acceleration": "nvdec"}),
    ],
    ids=["rotated", "masked", "for the CPU", "of another GPU"],
)
def test_they_are_copied_to_be_edited_and_for_others(
    memory: FrameMemory, settings: dict[str, Any], video: Path
) -> None:
    with capturing(video, True, memory=memory, **FAST, **settings) as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    assert all(isinstance(frame.image, BgrPicture) for frame in captured.frames)
    assert GpuReader.copies == 12
    for image, wanted in zip(captured.images, read_video(video), strict=True):
        shown = image[::-1, ::-1] if "rotate" in settings else image
        assert np.abs(shown[:40, :50].astype(int) - wanted[:40, :50]).mean() < 2


def test_a_buffer_holds_no_memory_for_them() -> None:
    picture = replace(nv12(pictures(1)[0]), gpu=0)

    class Source:
        def retrieve(self, _into: Image | None) -> Picture:
            return picture

    buffer = Buffer()
    source: Any = Source()
    assert buffer.fill(source, ON_GPU) is picture
    assert buffer.image is None
    converted = buffer.fill(source, FrameMemory())
    assert isinstance(converted, BgrPicture)
    assert converted.pixels is buffer.image
