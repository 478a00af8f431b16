"""Capture from files and folders: every frame, its pace and its end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from daemon.capture.camera import CameraThread
from daemon.capture.sources.base import SourceError
from daemon.capture.sources.open import open_source
from daemon.config.camera import Camera
from daemon.records import CameraState, Frame, Reason
from daemon.stats import Stats
from tests.conftest import wait_for
from tests.daemon.capturing import capture_threads, capturing, pictures, read_video, write_video

FAST: dict[str, Any] = {"pace": "as-fast-as-possible"}
ENDED = [(CameraState.CONNECTING, None), (CameraState.STREAMING, None), (CameraState.OFFLINE, Reason.ENDED)]


@pytest.mark.parametrize(("width", "height"), [(64, 48), (322, 182), (1280, 720)])
def test_a_file_gives_the_frames_that_opencv_decodes(tmp_path: Path, width: int, height: int) -> None:
    video = write_video(tmp_path / "video.avi", pictures(12, width, height))
    with capturing(video, keep_images=True, **FAST) as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    expected = read_video(video)
    assert len(captured.images) == len(expected) == 12
    assert all(np.array_equal(got, want) for got, want in zip(captured.images, expected, strict=True))
    shown = [frame.image.host() for frame in captured.frames]
    assert all(image.shape == (height, width, 3) and image.flags.c_contiguous for image in shown)
    assert [frame.sequence for frame in captured.frames] == list(range(1, 13))
    assert [frame.stream_time for frame in captured.frames] == pytest.approx([n / 25 for n in range(12)])
    assert captured.states() == ENDED
    assert captured.statuses[-1].detail == "the end of the file is reached"


@pytest.mark.parametrize("name", ["intel_person-bicycle-car-detection_gifpreview_hevc.mp4", "car_traffic_small.mp4"])
def test_a_real_file_gives_the_frames_that_opencv_decodes(material: Path, name: str) -> None:
    video = material / "videos" / name
    sums: list[int] = []

    def add(frame: Frame) -> None:
        sums.append(int(frame.image.host()[::8, ::8].sum()))
        frame.release()

    with capturing(video, consume=add, **FAST) as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    assert sums == [int(image[::8, ::8].sum()) for image in read_video(video)]


@pytest.mark.usefixtures("decoder")
def test_realtime_keeps_the_pace_of_the_file(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.avi", pictures(26), fps=50.0)
    with capturing(video) as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    frames = captured.frames
    assert len(frames) == 26
    assert all(frame.live for frame in frames)
    assert frames[-1].captured_mono - frames[0].captured_mono == pytest.approx(0.5, abs=0.2)
    early = [frame.captured_mono - frames[0].captured_mono - (frame.stream_time or 0.0) for frame in frames]
    assert min(early) > -0.005


@pytest.mark.parametrize("pace", ["realtime", "as-fast-as-possible"])
@pytest.mark.usefixtures("decoder")
def test_a_looped_file_restarts_without_a_pause(tmp_path: Path, pace: str) -> None:
    video = write_video(tmp_path / "video.avi", pictures(5), fps=50.0)
    with capturing(video, pace=pace, loop=True) as captured:
        captured.wait_for_frames(22)
    frames = captured.frames[:22]
    assert [frame.sequence for frame in frames] == list(range(1, 23))
    assert [frame.stream_time for frame in frames] == pytest.approx([n % 5 / 50 for n in range(22)])
    assert [frame.passes for frame in frames] == [n // 5 for n in range(22)]
    assert captured.states() == ENDED[:2]
    if pace == "realtime":
        assert frames[-1].captured_mono - frames[0].captured_mono == pytest.approx(21 / 50, abs=0.2)


@pytest.mark.usefixtures("decoder")
def test_a_looped_file_that_was_away_for_a_while_begins_another_pass(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.avi", pictures(5), fps=50.0)
    with capturing(video, loop=True) as captured:
        captured.wait_for_frames(7)
        video.rename(tmp_path / "away.avi")
        captured.wait_for_state(CameraState.CONNECTING, Reason.NOT_FOUND)
        before = len(captured.frames)
        (tmp_path / "away.avi").rename(video)
        captured.wait_for_frames(before + 7)
    assert [frame.passes for frame in captured.frames[: before + 7]] == [n // 5 for n in range(before + 7)]


@pytest.mark.usefixtures("decoder")
def test_a_file_that_appears_is_captured(tmp_path: Path) -> None:
    video = tmp_path / "video.avi"
    with capturing(video, **FAST) as captured:
        status = captured.wait_for_state(CameraState.OFFLINE, Reason.NOT_FOUND)
        assert status.detail == f"{video} does not exist"
        write_video(tmp_path / "new.avi", pictures(3)).rename(video)
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    assert len(captured.frames) == 3


@pytest.mark.usefixtures("decoder")
def test_a_truncated_file_is_a_decode_error(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.avi", pictures(100, 320, 240)).read_bytes()
    video = tmp_path / "video.avi"
    video.write_bytes(whole[: len(whole) // 2])
    with capturing(video, **FAST) as captured:
        status = captured.wait_for_state(CameraState.OFFLINE, Reason.DECODE_ERROR)
        wait_for(lambda: not capture_threads(), "the thread's end")
    assert 0 < len(captured.frames) < 60
    assert status.detail.startswith(f"{video} breaks off after ")
    assert status.detail.endswith(" s of 4.0 s; it is damaged")


@pytest.mark.usefixtures("decoder")
def test_a_file_name_may_look_like_a_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "video.avi", pictures(2)).rename("concat:b.avi")
    with capturing("concat:b.avi", **FAST) as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    assert len(captured.frames) == 2


def test_a_folder_gives_its_pictures_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    colour, gray, deep = pictures(1, 64, 48)[0], np.full((20, 30), 77, np.uint8), np.full((8, 9, 4), 30000, np.uint16)
    cv2.imwrite(str(tmp_path / "c.png"), colour)
    cv2.imwrite(str(tmp_path / "a.bmp"), gray)
    cv2.imwrite(str(tmp_path / "d.png"), deep)
    (tmp_path / "b.jpg").write_text("no picture")
    (tmp_path / "notes.txt").write_text("no picture")
    with capturing(tmp_path, keep_images=True, **FAST) as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    assert [image.shape for image in captured.images] == [(20, 30, 3), (48, 64, 3), (8, 9, 3)]
    assert np.array_equal(captured.images[1], colour)
    assert np.all(captured.images[0] == 77)
    skipped = [message for message in caplog.messages if "skipped" in message]
    assert skipped == [f"{tmp_path / 'b.jpg'} is not a picture that OpenCV can read; it is skipped"]


def test_new_pictures_in_a_folder_are_captured_once_they_are_whole(tmp_path: Path) -> None:
    first, second = pictures(2)
    cv2.imwrite(str(tmp_path / "b.png"), first)
    with capturing(tmp_path, pace="as-fast-as-possible", keep_images=True) as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
        whole = cv2.imencode(".png", second)[1].tobytes()
        with (tmp_path / "a.png").open("wb") as file:
            for begin in range(0, len(whole), len(whole) // 6):
                file.write(whole[begin : begin + len(whole) // 6])
                file.flush()
                time.sleep(0.25)  # an upload
        captured.wait_for_frames(2)
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED, after=3)
    assert [frame.picture for frame in captured.frames] == ["b.png", "a.png"]
    assert (captured.images[1] == second).all()


def test_a_looped_folder_shows_a_picture_a_second(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), pictures(1)[0])
    with capturing(tmp_path, loop=True) as captured:
        captured.wait_for_frames(2)
    first, second = captured.frames[:2]
    assert second.captured_mono - first.captured_mono == pytest.approx(1.0, abs=0.2)
    assert (first.stream_time, first.live) == (None, True)


def _text(folder: Path) -> str:
    (folder / "video.mp4").write_text("This is no video.\n" * 100)
    return str(folder / "video.mp4")


def _broken_pictures(folder: Path) -> str:
    (folder / "a.png").write_text("no picture")
    return str(folder)


@pytest.mark.parametrize(
    ("make", "reason", "detail"),
    [
        (lambda folder: str(folder / "no.mp4"), Reason.NOT_FOUND, "{folder}/no.mp4 does not exist"),
        (lambda _: "x" * 300, Reason.NOT_FOUND, "x" * 300 + " cannot be read: File name too long"),
        (_text, Reason.DECODE_ERROR, "{folder}/video.mp4 is not a video that OpenCV can read"),
        (_broken_pictures, Reason.DECODE_ERROR, "the folder {folder} holds no picture that OpenCV can read"),
        (
            str,
            Reason.NO_VIDEO,
            "the folder {folder} holds no pictures (.bmp, .jpeg, .jpg, .png, .tif, .tiff, .webp)",
        ),
        (lambda _: "97", Reason.NOT_FOUND, "/dev/video97 does not exist"),
        (lambda _: "/dev/null", Reason.NO_VIDEO, "/dev/null gives no video; is another program using it?"),
    ],
)
def test_open_failures_have_a_reason(
    tmp_path: Path, make: Callable[[Path], str], reason: Reason, detail: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with capturing(make(tmp_path)) as captured:
        status = captured.wait_for_state(CameraState.OFFLINE, reason)
    assert status.detail == detail.format(folder=tmp_path)
    assert captured.states() == [(CameraState.CONNECTING, None), (CameraState.OFFLINE, reason)]
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.mark.skipif(
    cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER), reason="this OpenCV has GStreamer, whose absence is tested"
)
def test_missing_gstreamer_is_unsupported() -> None:
    with capturing("videotestsrc ! videoconvert ! appsink") as captured:
        status = captured.wait_for_state(CameraState.OFFLINE, Reason.UNSUPPORTED)
    assert status.detail == (
        "this OpenCV is built without GStreamer; give the camera as rtsp://, http:// or /dev/video0, "
        "or run ospreyd with an OpenCV that has it, such as Debian's python3-opencv"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_unauthorized(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.avi", pictures(1))
    video.chmod(0)
    with pytest.raises(SourceError) as raised:
        open_source(Camera(source=str(video)))
    assert (raised.value.reason, str(raised.value)) == (
        Reason.UNAUTHORIZED,
        f"{video} may not be read by the user of ospreyd",
    )


def test_a_disabled_camera_is_not_opened(tmp_path: Path) -> None:
    with capturing(write_video(tmp_path / "video.avi", pictures(1)), enabled=False) as captured:
        assert captured.states() == [(CameraState.DISABLED, None)]
        assert capture_threads() == []
    assert captured.frames == []


def test_an_unexpected_error_reaches_on_fatal(tmp_path: Path) -> None:
    failures: list[BaseException] = []
    error = RuntimeError("a mistake in the pipeline")

    def deliver(_: Frame) -> None:
        raise error

    camera = Camera(source=str(write_video(tmp_path / "video.avi", pictures(1))))
    thread = CameraThread("cam", camera, deliver, lambda _: None, Stats(), failures.append)
    thread.start()
    assert thread.join(5.0)
    assert failures == [error]
