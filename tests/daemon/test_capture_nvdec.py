"""The source of NVDEC with decoders on the CPU, and what a camera does where NVDEC cannot decode.

The fixture `decoder` runs other tests of capture with the same reader.
"""

from __future__ import annotations

import itertools
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.capture.sources import decoder as choice
from daemon.capture.sources import nvdec, nvdec_pictures
from daemon.capture.sources.decoder import opencv_reader, reader_of
from daemon.capture.sources.nvdec import NvdecReader, nvdec_problem
from daemon.config.camera import Camera
from daemon.records import CameraState, Reason
from engines.pictures import ColourMatrix, Nv12Picture
from tests.daemon.capturing import capturing, decoded_by, pictures, read_video, write_video

av = pytest.importorskip("av")

NO_GPU = "there is no NVIDIA GPU to decode on"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "video.avi", pictures(12))


@pytest.fixture
def gpu_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as can be seen before a video is opened."""
    monkeypatch.setattr(choice, "nvdec_problem", lambda: None)
    monkeypatch.setattr(nvdec, "use_primary_context", lambda: 1 << 30)


def encode(file: Path, size: tuple[int, int], frames: int = 3, **stream: Any) -> Path:
    """A video of flat colour that PyAV encodes; `stream` are attributes of its encoder."""
    with av.open(str(file), "w") as container:
        encoder = container.add_stream("mpeg4", rate=25)
        encoder.width, encoder.height = size
        encoder.pix_fmt = "yuv420p"
        for name, value in stream.items():
            setattr(encoder.codec_context, name, value)
        for _ in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), (40, 90, 200), np.uint8), "bgr24")
            container.mux(encoder.encode(frame))
        container.mux(encoder.encode(None))
    return file


def opened(file: Path) -> NvdecReader:
    reader = NvdecReader(Camera(source=str(file)), software=True)
    assert reader.open(str(file))
    return reader


def picture_of(file: Path) -> Nv12Picture:
    reader = opened(file)
    assert reader.grab()
    picture = reader.retrieve(None)
    assert isinstance(picture, Nv12Picture)
    return picture


@pytest.mark.parametrize(
    "name",
    [
        "intel_person-bicycle-car-detection_gifpreview_h264.mp4",
        "intel_person-bicycle-car-detection_gifpreview_hevc.mp4",
        "trtalpha_people_mjpeg.mp4",
        "vtest_pets_480x360.avi",
    ],
)
def test_a_real_video_shows_what_opencv_shows(material: Path, name: str) -> None:
    """At the same times, and in the same colours: limited and full range, BT.601 and 709, with and without PTS."""
    file = material / "videos" / name
    ours, theirs = opened(file), opencv_reader(Camera(source=str(file)))
    assert theirs.open(str(file))
    assert (ours.fps, ours.frames) == (theirs.fps, theirs.frames)
    for number in itertools.count():
        if not theirs.grab():
            break
        assert ours.grab()
        if theirs.position or number == 0:  # it has none for the last frames of a stream without PTS
            assert ours.position == pytest.approx(theirs.position, abs=1e-6 if number > 1 else 0.11)
        if number % 8 == 0:
            got, wanted = ours.retrieve(None).host(), theirs.retrieve(None).host()
            assert np.abs(got.astype(int) - wanted).mean() < 1.5
    assert number == theirs.frames
    assert not ours.grab()


@pytest.mark.parametrize(
    ("height", "said", "matrix"),
    [
        (480, None, ColourMatrix.BT601),
        (720, None, ColourMatrix.BT709),
        (720, "ITU601", ColourMatrix.BT601),
        (480, "ITU709", ColourMatrix.BT709),
    ],
)
def test_a_stream_that_says_no_colours_has_those_of_its_size(
    tmp_path: Path, height: int, said: str | None, matrix: ColourMatrix
) -> None:
    colours = {} if said is None else {"colorspace": av.video.reformatter.Colorspace[said]}
    assert picture_of(encode(tmp_path / "video.mkv", (640, height), **colours)).matrix is matrix


@pytest.mark.parametrize("name", ["car_traffic_small.mp4", "vtest_pets_480x360.avi"])
def test_a_file_that_is_opened_again_at_its_end_begins_again(material: Path, tmp_path: Path, name: str) -> None:
    """With the same decoder; of another file under its name, with another one."""
    file = tmp_path / name
    shutil.copy(material / "videos" / name, file)
    reader, passes = opened(file), []
    containers = []
    for turn in range(3):
        shown: list[tuple[float, int]] = []
        while reader.grab():
            shown.append((round(reader.position, 6), reader.retrieve(None).digest() if len(shown) % 50 == 0 else 0))
        passes.append(shown)
        containers.append(reader._container)
        if turn == 1:
            shutil.copy(file, tmp_path / "other")
            (tmp_path / "other").rename(file)
        assert reader.open(str(file))
    assert passes[0] == passes[1] == passes[2] != []
    assert containers[0] is containers[1] is not containers[2]


def test_a_decoder_takes_no_threads_of_its_own(video: Path) -> None:
    """FFmpeg's own choice is one a core, which is thousands with many cameras."""
    before = len(list(Path("/proc/self/task").iterdir()))
    readers = [opened(video) for _ in range(5)]
    assert all(reader.grab() for reader in readers)
    assert len(list(Path("/proc/self/task").iterdir())) <= before


def test_odd_sizes(tmp_path: Path) -> None:
    picture = picture_of(encode(tmp_path / "video.mkv", (63, 47)))
    assert (picture.width, picture.height) == (63, 47)
    assert np.abs(picture.host().astype(int) - (40, 90, 200)).mean() < 4


def test_frames_come_as_bgr(video: Path) -> None:
    with decoded_by("pyav"), capturing(video, keep_images=True, pace="as-fast-as-possible") as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    assert [status.detail for status in captured.statuses if status.state is CameraState.STREAMING] == [""]
    assert len(captured.images) == 12
    for image, wanted in zip(captured.images, read_video(video), strict=True):
        assert np.abs(image.astype(int) - wanted).mean() < 2


@pytest.mark.usefixtures("decoder")
def test_a_stream_over_http_that_is_no_mjpeg(tmp_path: Path) -> None:
    """Whatever FFmpeg reads; at its end the camera connects again."""
    encode(tmp_path / "video.mkv", (160, 120), 20)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with capturing(f"http://127.0.0.1:{server.server_port}/video.mkv") as captured:
            captured.wait_for_state(CameraState.CONNECTING, Reason.ENDED)
            reported = len(captured.statuses)
            captured.wait_for_state(CameraState.STREAMING, after=reported)
        server.shutdown()
    frame = captured.frames[0]
    assert (frame.image.width, frame.image.height, frame.live) == (160, 120, True)


def test_a_frame_outlives_the_next_one(material: Path) -> None:
    """Its planes are the decoder's own memory, which must not be written again while it is held."""
    reader = opened(material / "videos" / "car_traffic_small.mp4")
    held = []
    for _ in range(40):
        assert reader.grab()
        picture = reader.retrieve(None)
        held.append((picture, picture.host()))
    reader.close()
    assert all(np.array_equal(picture.host(), image) for picture, image in held)


def test_without_a_gpu_the_cpu_decodes_and_the_status_says_why(
    video: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(choice, "nvdec_problem", lambda: NO_GPU)
    with capturing(video, hw_acceleration="nvdec", keep_images=True, pace="as-fast-as-possible") as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    streaming = captured.wait_for_state(CameraState.STREAMING)
    assert streaming.detail == f"{NO_GPU}; OpenCV decodes on the CPU"
    assert any(streaming.detail in record.message and record.levelname == "WARNING" for record in caplog.records)
    assert all(map(np.array_equal, captured.images, read_video(video)))


@pytest.mark.usefixtures("gpu_is_there")
def test_what_nvdec_does_not_decode_the_cpu_does(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyAV refuses a decoder whose hardware is not there, as it does one that NVDEC does not have."""
    device = av.codec.hwaccel.HWAccel("qsv", allow_software_fallback=False)
    monkeypatch.setattr(NvdecReader, "_hardware", lambda _: device)
    with capturing(video, hw_acceleration="nvdec", keep_images=True, pace="as-fast-as-possible") as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    streaming = captured.wait_for_state(CameraState.STREAMING)
    assert streaming.detail == f"{video} is not a video that NVDEC can read; OpenCV decodes on the CPU"
    assert all(map(np.array_equal, captured.images, read_video(video)))


@pytest.mark.usefixtures("gpu_is_there")
def test_a_gpu_without_room_leaves_a_video_to_the_cpu(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvdec, "use_primary_context", lambda: 100_000_000)
    with capturing(video, hw_acceleration="nvdec", pace="as-fast-as-possible") as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    said = "the GPU has 100 MB of memory free, and decoding may take 256 MB; OpenCV decodes on the CPU"
    assert captured.wait_for_state(CameraState.STREAMING).detail == said


@pytest.mark.usefixtures("gpu_is_there")
def test_what_nobody_decodes_is_told_of_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NvdecReader, "_hardware", lambda _: None)
    file = tmp_path / "video.avi"
    file.write_bytes(b"no video" * 100)
    with capturing(file, hw_acceleration="nvdec") as captured:
        status = captured.wait_for_state(CameraState.OFFLINE, Reason.DECODE_ERROR)
    assert status.detail == f"{file} is not a video that OpenCV can read"


@pytest.mark.parametrize("wanted", ["none", "auto", "any"])
@pytest.mark.usefixtures("gpu_is_there")
def test_nothing_else_asks_for_nvdec(wanted: str, video: Path) -> None:
    reader, why = reader_of(Camera.model_validate({"source": str(video), "hw_acceleration": wanted}))
    assert (reader.name, why) == ("OpenCV", None)


def test_why_nvdec_cannot_be_used_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    with monkeypatch.context() as here:
        here.setattr("ctypes.CDLL", _no_library)
        nvdec_pictures.primary_context.cache_clear()
        said.append(nvdec_problem.__wrapped__())
        here.setattr("av.codec.hwaccel.hwdevices_available", lambda: ["drm"])
        said.append(nvdec_problem.__wrapped__())
        here.setitem(__import__("sys").modules, "av.codec.hwaccel", None)
        said.append(nvdec_problem.__wrapped__())
    assert said == [
        "there is no NVIDIA GPU to decode on: libcuda.so.1 is not here",
        "this PyAV is built without NVDEC, as on ARM; its wheels for x86-64 have it",
        "PyAV is not installed; pip install 'ospreyd[nvdec]'",
    ]


def _no_library(name: str) -> None:
    raise OSError(f"{name} is not here")
