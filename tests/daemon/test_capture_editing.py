"""What becomes of a camera's pictures before inference: real files in, pixels compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from daemon.capture.buffers import FrameMemory
from daemon.capture.sources.open import open_source
from daemon.config.camera import Camera
from daemon.records import CameraState, Frame, Reason
from tests.conftest import wait_for
from tests.daemon.capturing import Image, capturing, pictures, read_video, write_video

FAST: dict[str, Any] = {"pace": "as-fast-as-possible"}
TURNS = {0: 0, 90: 3, 180: 2, 270: 1}
"""quarter turns of numpy.rot90 for each `rotate`"""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pictures of 64x48."""
    return write_video(tmp_path_factory.mktemp("video") / "video.avi", pictures(5))


def captured_images(source: Path, **settings: Any) -> list[Image]:
    """Every picture of a file, in memory that was allocated for it, as inference gets it."""
    allocated: list[Image] = []

    def allocate(shape: tuple[int, ...]) -> Image:
        allocated.append(np.empty(shape, np.uint8))
        return allocated[-1]

    def check(frame: Frame) -> None:
        assert any(frame.image.host() is memory for memory in allocated)
        assert frame.image.host().flags.c_contiguous
        frame.release()

    with capturing(
        source, keep_images=True, consume=check, memory=FrameMemory(allocate=allocate), **FAST, **settings
    ) as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    assert len(allocated) == 1
    return captured.images


@pytest.mark.parametrize("rotate", [90, 180, 270])
def test_rotate_is_clockwise(video: Path, rotate: int) -> None:
    wanted = [np.rot90(image, TURNS[rotate]) for image in read_video(video)]
    got = captured_images(video, rotate=rotate)
    assert len(got) == len(wanted)
    assert all(np.array_equal(a, b) for a, b in zip(got, wanted, strict=True))


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_crop_refers_to_the_rotated_picture(video: Path, rotate: int) -> None:
    wanted = [np.rot90(image, TURNS[rotate]) for image in read_video(video)]
    height, width = wanted[0].shape[:2]
    left, top, right, bottom = width // 4, 0, width // 2, height - 12
    got = captured_images(video, rotate=rotate, crop=(left / width, top / height, right / width, bottom / height))
    assert got[0].shape == (bottom - top, right - left, 3)
    assert all(np.array_equal(a, b[top:bottom, left:right]) for a, b in zip(got, wanted, strict=True))


def test_a_crop_has_one_pixel_at_least(video: Path) -> None:
    assert captured_images(video, crop=(0.999, 0.999, 1.0, 1.0))[0].shape == (1, 1, 3)
    assert captured_images(video, crop=(0.0, 0.0, 0.001, 0.001))[0].shape == (1, 1, 3)


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("size", [(20, 30), (200, 160)])
def test_resize_comes_after_rotate_and_crop(video: Path, rotate: int, size: tuple[int, int]) -> None:
    turned = [np.rot90(image, TURNS[rotate]) for image in read_video(video)]
    height, width = turned[0].shape[:2]
    how = cv2.INTER_AREA if size[0] <= width // 2 and size[1] <= height // 2 else cv2.INTER_LINEAR
    halves = [np.ascontiguousarray(image[: height // 2, width // 2 :]) for image in turned]
    wanted = [cv2.resize(half, size, interpolation=how) for half in halves]
    got = captured_images(video, rotate=rotate, crop=(0.5, 0.0, 1.0, 0.5), resize=size)
    assert got[0].shape == (size[1], size[0], 3)
    assert all(np.abs(a.astype(int) - b.astype(int)).max() <= 2 for a, b in zip(got, wanted, strict=True))


def test_masks_are_black_and_the_rest_is_untouched(video: Path) -> None:
    """Two that overlap leave no hole between them."""
    masks = (((0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5)), ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)))
    got = captured_images(video, masks=masks)
    for image, plain in zip(got, read_video(video), strict=True):
        assert not image[:25, :33].any()
        assert not image[12:37, 16:49].any()
        expected = plain.copy()
        expected[:25, :33] = 0
        expected[12:37, 16:49] = 0
        assert np.array_equal(image, expected)


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.usefixtures("decoder")
def test_masks_do_not_move_with_other_settings(tmp_path: Path, rotate: int) -> None:
    """A white picture: what is masked alone, then cropped and enlarged by hand, is what the settings give."""
    source = write_video(tmp_path / "white.avi", [np.full((48, 64, 3), 255, np.uint8)] * 2)
    masks = (((0.3, 0.2), (0.9, 0.4), (0.5, 0.95)),)
    alone = captured_images(source, rotate=rotate, masks=masks)[0]
    height, width = alone.shape[:2]
    part = alone[height // 4 :, : width // 2]
    wanted = cv2.resize(np.ascontiguousarray(part), None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST)
    size = (wanted.shape[1], wanted.shape[0])
    got = captured_images(source, rotate=rotate, masks=masks, crop=(0.0, 0.25, 0.5, 1.0), resize=size)[0]
    assert (got == 0).any()
    assert (got[wanted == 255] == 0).mean() < 0.02
    assert (got[wanted == 0] > 250).mean() < 0.1


def test_pictures_of_different_sizes_are_edited(tmp_path: Path) -> None:
    for index, (width, height) in enumerate([(64, 48), (40, 80), (64, 48)]):
        cv2.imwrite(str(tmp_path / f"{index}.png"), pictures(1, width, height)[0])
    with capturing(tmp_path, keep_images=True, rotate=90, crop=(0, 0, 0.5, 1), **FAST) as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    assert [image.shape for image in captured.images] == [(64, 24, 3), (40, 40, 3), (64, 24, 3)]


def test_masks_alone_cost_no_copy(video: Path) -> None:
    source = open_source(Camera(source=str(video), masks=(((0, 0), (1, 0), (1, 1)),)))
    source.grab()
    memory = np.full((48, 64, 3), 7, np.uint8)
    assert source.retrieve(memory).host() is memory
    assert not memory[0].any()
    source.close()


@pytest.mark.parametrize("settings", [{"rotate": 90}, {"crop": (0, 0, 0.5, 1)}, {"rotate": 270, "resize": (40, 60)}])
def test_edited_pictures_are_written_into_the_given_memory(video: Path, settings: dict[str, Any]) -> None:
    source = open_source(Camera(source=str(video), **settings))
    source.grab()
    memory = np.zeros_like(source.retrieve(None).host())
    assert source.retrieve(memory).host() is memory
    assert memory.any()
    source.close()


@pytest.mark.parametrize("name", ["car_traffic_small.mp4", "vtest_pets_480x360.avi", "trtalpha_people_mjpeg.mp4"])
@pytest.mark.parametrize("start", [0.04, 3.7, 12.0])
@pytest.mark.usefixtures("decoder")
def test_start_skips_the_beginning_of_a_real_file(material: Path, name: str, start: float) -> None:
    file = material / "videos" / name
    frames: list[tuple[float | None, Image]] = []
    whole = open_source(Camera(source=str(file)))
    while len(frames) < 5:
        whole.grab()
        assert whole.due is not None
        if whole.due >= start - 0.0005:
            frames.append((whole.stream_time, whole.retrieve(None).host().copy()))
    whole.close()
    skipping = open_source(Camera(source=str(file), start=start))
    for time, image in frames:
        skipping.grab()
        assert skipping.stream_time == pytest.approx(time, abs=0.001)
        assert np.array_equal(skipping.retrieve(None).host(), image)
    skipping.close()


@pytest.mark.usefixtures("decoder")
def test_each_loop_begins_at_the_start(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.avi", pictures(10))
    with capturing(video, loop=True, start=0.2, **FAST) as captured:
        captured.wait_for_frames(12)
    times = [frame.stream_time for frame in captured.frames[:12]]
    assert times == pytest.approx([n % 5 / 25 + 0.2 for n in range(12)])


@pytest.mark.usefixtures("decoder")
def test_a_file_with_a_start_is_complete(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.avi", pictures(100))
    with capturing(video, start=3.0, **FAST) as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    assert len(captured.frames) == 25


@pytest.mark.usefixtures("decoder")
def test_a_start_after_the_end_is_no_video(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.avi", pictures(10))
    with capturing(video, start=3, **FAST) as captured:
        status = captured.wait_for_state(CameraState.OFFLINE, Reason.NO_VIDEO)
    assert status.detail == f"{video} ends before its `start`, 3 s"
    cv2.imwrite(str(tmp_path / "a.png"), pictures(1)[0])
    with capturing(tmp_path, start=2, **FAST) as captured:
        status = captured.wait_for_state(CameraState.OFFLINE, Reason.DECODE_ERROR)
    assert status.detail == f"the folder {tmp_path} holds no picture that OpenCV can read from `start` on"


@pytest.mark.parametrize("acceleration", ["any", "vaapi", "mfx"])
def test_hardware_decoding_works_or_hints_at_the_setting(material: Path, acceleration: str) -> None:
    """`any` always gives the pictures; the others where there is such hardware."""
    video = material / "videos" / "intel_person-bicycle-car-detection_gifpreview_h264.mp4"
    with capturing(video, hw_acceleration=acceleration, keep_images=True, **FAST) as captured:
        wait_for(lambda: captured.statuses[-1].state is CameraState.OFFLINE, "the end or an error")
    status = captured.statuses[-1]
    if acceleration == "any" or status.reason is Reason.ENDED:
        assert len(captured.images) == len(read_video(video))
    else:
        hint = f"with hw_acceleration: {acceleration}; `any` falls back to the CPU"
        assert status.detail == f"{video} is not a video that OpenCV can read {hint}"


def test_more_decoder_threads_give_the_same_pictures(material: Path) -> None:
    video = material / "videos" / "intel_person-bicycle-car-detection_gifpreview_h264.mp4"
    assert all(map(np.array_equal, captured_images(video, decoder_threads=3), captured_images(video)))
