"""NVDEC decodes what OpenCV decodes on the CPU, and its frames stay on the GPU until they are analysed."""

from __future__ import annotations

import gc
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.capture.buffers import FrameMemory
from daemon.capture.sources.decoder import opencv_reader
from daemon.capture.sources.nvdec import NvdecReader, nvdec_problem
from daemon.config.camera import Camera
from daemon.demo.film import Film, Shot, film
from daemon.demo.score import Score, score, seen_in
from daemon.records import CameraState, Frame, Reason
from engines.backends import Backend, SessionSettings, frames_on, open_session, prepare
from engines.build.cache import EngineCache
from engines.evaluate.verify import iou
from engines.model import read_model
from engines.models import street_onnx
from engines.pictures import BgrPicture, Nv12Picture
from engines.postprocess import Thresholds
from tests.conftest import wait_for
from tests.daemon.capturing import capturing, read_video
from tests.daemon.running import box, daemon, detections_of, has, state_of, stop
from tests.servers.mosquitto import Mosquitto
from tests.servers.rtsp import RtspServer, need_rtsp
from tests.servers.subscriber import Message, Subscriber

SURE = 0.5
"""score from which on what is seen in one must be seen in the other; the least that is reported is less"""
FAST: dict[str, Any] = {"pace": "as-fast-as-possible"}
ON_GPU = FrameMemory(frames=6, gpu=0)


@pytest.fixture(scope="module", autouse=True)
def works(backend: Backend) -> None:
    """A GPU, and PyAV that decodes on it."""
    if (problem := nvdec_problem()) is not None:
        pytest.skip(problem)


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Film:
    return film(Shot("street", 1280, 720, 10.0, seed=61), tmp_path_factory.mktemp("film") / "street.mp4", 4.0)


@pytest.mark.parametrize("name", ["car_traffic_small.mp4", "intel_person-bicycle-car-detection_gifpreview_hevc.mp4"])
def test_nvdec_gives_the_frames_that_opencv_decodes(material: Path, name: str) -> None:
    video = material / "videos" / name
    small: list[np.ndarray[tuple[int, ...], np.dtype[np.int16]]] = []

    def keep(frame: Frame) -> None:
        assert isinstance(frame.image, Nv12Picture)
        assert frame.image.gpu == 0
        small.append(frame.image.host()[::8, ::8].astype(np.int16))
        frame.release()

    with capturing(video, consume=keep, memory=ON_GPU, **FAST) as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    assert captured.wait_for_state(CameraState.STREAMING).detail == "", "OpenCV has decoded it"
    expected = read_video(video)
    assert len(small) == len(expected)
    assert max(np.abs(got - want[::8, ::8]).mean() for got, want in zip(small, expected, strict=True)) < 2.5


def test_edited_pictures_and_those_of_other_backends_come_as_bgr(street: Film) -> None:
    """Decoded by NVDEC all the same."""
    wanted = read_video(street.file)[0]
    kinds: list[tuple[FrameMemory, dict[str, Any]]] = [(ON_GPU, {"rotate": 180}), (FrameMemory(), {})]
    for memory, settings in kinds:
        with capturing(street.file, True, memory=memory, hw_acceleration="nvdec", **FAST, **settings) as captured:
            captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
        assert captured.wait_for_state(CameraState.STREAMING).detail == ""
        assert isinstance(captured.frames[0].image, BgrPicture)
        shown = captured.images[0][::-1, ::-1] if settings else captured.images[0]
        assert np.abs(shown.astype(int) - wanted).mean() < 2.5


def test_what_is_seen_is_what_is_seen_in_bgr(street: Film, backend: Backend, cache: EngineCache) -> None:
    settings = SessionSettings(Thresholds(0.3, 0.45), max_batch=4, cache=cache.folder)
    session = open_session(prepare(backend, read_model(street_onnx()), settings, lambda *_: None))
    seen, opencv = [], opencv_reader(Camera(source=str(street.file)))
    for reader in (NvdecReader(Camera(source=str(street.file))), opencv):
        assert reader.open(str(street.file))
        found = []
        while reader.grab():
            picture = reader.retrieve(None)
            pixels = picture.pixels.copy() if isinstance(picture, BgrPicture) else picture
            found.append(session.collect(session.submit([pixels])).detections[0])
        reader.close()
        seen.append(found)
    session.close()
    ours, theirs = seen
    assert len(ours) == len(theirs) > 0
    missed = sure = 0
    for got, want in zip(ours, theirs, strict=True):
        for those, others in ((want, got), (got, want)):
            for index in np.flatnonzero(those.scores >= SURE):
                same = others.labels == those.labels[index]
                sure += 1
                missed += not (iou(those.boxes[index : index + 1], others.boxes[same]) > 0.75).any()
    assert sure > 50
    assert missed <= 0.02 * sure, f"{missed} of {sure}"


def test_held_frames_are_not_written_again(street: Film) -> None:
    """As many as a camera may have in the pipeline, while it goes on."""
    reader = NvdecReader(Camera(source=str(street.file)))
    assert reader.open(str(street.file))
    held = []
    for _ in range(20):
        assert reader.grab()
        picture = reader.retrieve(None)
        held.append((picture, picture.host()))
    reader.close()
    assert all(np.array_equal(picture.host(), image) for picture, image in held)


def used() -> int:
    """Bytes of the GPU."""
    from engines.tensorrt.device import use_device  # noqa: PLC0415  it needs NVIDIA's CUDA bindings

    free, total = use_device().memory_info()
    return total - free


@pytest.mark.alone
def test_fifty_connections_leave_nothing(street: Film) -> None:
    """With frames that are released after their connection is closed."""
    late: list[Any] = []
    after = []
    for number in range(50):
        reader = NvdecReader(Camera(source=str(street.file)))
        assert reader.open(str(street.file))
        for _ in range(5):
            assert reader.grab()
            late.append(reader.retrieve(None))
        reader.close()
        del late[:-3]
        if number in (9, 49):
            late.clear()
            gc.collect()
            after.append(used())
    assert after[1] - after[0] < 8e6


@pytest.fixture
def rtsp(street: Film) -> Iterator[str]:
    need_rtsp()
    server = RtspServer(video=street.file)
    yield server.url()
    server.kill()


def is_or_gave_up(
    wanted: Callable[[list[Message]], bool], process: subprocess.Popen[str], messages: list[Message]
) -> bool:
    return wanted(messages) or process.poll() is not None


def has_ended(camera: str, messages: list[Message]) -> bool:
    return bool(state_of(messages, camera)["state"] == "offline")


def test_a_daemon_decodes_on_the_gpu_by_itself(
    broker: Mosquitto, subscriber: Subscriber, street: Film, backend: Backend, tmp_path: Path
) -> None:
    """Every frame of files is published and right, with pictures on demand, beside a camera that is edited."""
    cameras: dict[str, Any] = {f"s{number}": {"source": str(street.file), **FAST} for number in range(3)}
    cameras["turned"] = {"source": str(street.file), "rotate": 180, **FAST}
    cameras["cpu"] = {"source": str(street.file), "hw_acceleration": "none", **FAST}
    more = {"inference": {"cache": "engines", "max_batch": 4}, "events": {"snapshot": "best"}, "tracking": {}}
    document = box(broker, cameras, **more)
    log = tmp_path / "log"
    with daemon(tmp_path, document) as process:
        for name in cameras:
            wanted = partial(has, len(street.truths), name)
            subscriber.wait(partial(is_or_gave_up, wanted, process), "every frame", 120)
            assert process.poll() is None, log.read_text()
            subscriber.wait(partial(has_ended, name), "the film's end", 30)
        assert stop(process) < 5
    assert frames_on(backend) == 0
    said = log.read_text()
    assert "OpenCV decodes on the CPU" not in said
    assert "converted on the CPU" not in said
    for name in ("s0", "s1", "s2", "cpu"):
        total = Score()
        messages = detections_of(subscriber, name)
        assert [m["sequence"] for m in messages] == list(range(1, len(street.truths) + 1))
        for message in messages:
            total += score(street.truths[message["sequence"] - 1], seen_in(message))
        assert total.recall >= 0.85
        assert total.precision >= 0.85


def test_a_camera_over_rtsp_is_decoded_on_the_gpu(rtsp: str) -> None:
    with capturing(rtsp, memory=ON_GPU) as captured:
        captured.wait_for_frames(20)
    assert captured.wait_for_state(CameraState.STREAMING).detail == ""
    pictures = [frame.image for frame in captured.frames]
    assert all(isinstance(picture, Nv12Picture) and picture.gpu == 0 for picture in pictures)


def test_events_are_used_again(street: Film) -> None:
    """As many as pictures are held at once, not as many as there are frames."""
    from daemon.capture.sources.nvdec_pictures import _events  # noqa: PLC0415

    reader = NvdecReader(Camera(source=str(street.file)))
    assert reader.open(str(street.file))
    gc.collect()
    before = len(_events)
    frames = 0
    while reader.grab():
        reader.retrieve(None)
        frames += 1
    assert frames > 30
    wait_for(lambda: len(_events) <= before + 2, "events to be given back")
    reader.close()
