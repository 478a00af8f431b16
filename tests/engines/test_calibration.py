"""Calibration images: which folders are accepted, how they are filled, and what a model is fed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from daemon.demo.street.generator import StreetScene
from engines.build.calibration import add_images, model_inputs, read_calibration_set
from engines.errors import CalibrationError
from engines.image_file import read_image
from engines.model import read_model
from engines.models import street_onnx
from tests.conftest import telling

MEND = "take images of your own scenes with ospreyd engine build --calibrate-from a folder, a video or a camera"


def frames(count: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, 24, 32, 3), np.uint8))


def no_folder(folder: Path) -> Path:
    return folder


def a_file(folder: Path) -> Path:
    folder.write_text("")
    return folder


def empty(folder: Path) -> Path:
    folder.mkdir()
    (folder / "notes.txt").write_text("no picture")
    return folder


def too_few(folder: Path) -> Path:
    add_images(folder, frames(5))
    return folder


def not_a_picture(folder: Path) -> Path:
    add_images(folder, frames(8))
    (folder / "000003.jpg").write_bytes(b"no picture")
    return folder


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (no_folder, f"{{}}: there is no such folder of calibration images; {MEND}"),
        (a_file, f"{{}}: there is no such folder of calibration images; {MEND}"),
        (empty, f"{{}}: has no images; at least 8 are needed: {MEND}"),
        (too_few, f"{{}}: has 5 images; at least 8 are needed: {MEND}"),
        (not_a_picture, "{}/000003.jpg: is not an image that OpenCV can read; remove it from the folder"),
    ],
)
def test_an_unusable_folder_is_refused(make: Callable[[Path], Path], message: str, tmp_path: Path) -> None:
    folder = make(tmp_path / "pictures")
    with pytest.raises(CalibrationError) as raised:
        read_calibration_set(folder, least=8)
    assert str(raised.value) == message.format(folder)


def test_images_are_numbered(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "calibration"
    assert add_images(folder, frames(3)) == 3
    assert add_images(folder, iter(frames(2, seed=1))) == 2
    assert sorted(path.name for path in folder.iterdir()) == [f"00000{n}.jpg" for n in range(1, 6)]
    assert read_calibration_set(folder, least=5).files == tuple(folder / f"00000{n}.jpg" for n in range(1, 6))


def test_images_are_stored_with_little_loss(tmp_path: Path) -> None:
    picture, _ = StreetScene(320, 240, seed=1).render(3.0)
    add_images(tmp_path, [picture])
    difference = read_image(tmp_path / "000001.jpg").astype(int) - picture
    assert np.abs(difference).mean() < 3


def test_an_unwritable_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "pictures"
    with pytest.raises(CalibrationError, match=telling(folder, os.strerror(errno.ENOTDIR))):
        add_images(folder, frames(1))


def test_an_error_in_the_frames_keeps_earlier_images(tmp_path: Path) -> None:
    def broken() -> Iterator[NDArray[np.uint8]]:
        yield from frames(2)
        raise CalibrationError("the camera is away")

    with pytest.raises(CalibrationError, match="the camera is away"):
        add_images(tmp_path, broken())
    assert len(read_calibration_set(tmp_path, least=2).files) == 2


def test_the_digest_depends_on_the_contents(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        add_images(tmp_path / name, frames(4, seed))
    digests = {name: read_calibration_set(tmp_path / name, least=4).digest for name in ("one", "same", "other")}
    assert digests["one"] == digests["same"] != digests["other"]
    (tmp_path / "one" / "000002.jpg").unlink()
    assert read_calibration_set(tmp_path / "one", least=3).digest != digests["one"]
    (tmp_path / "same" / "000001.jpg").rename(tmp_path / "same" / "9.jpg")
    assert read_calibration_set(tmp_path / "same", least=4).digest != digests["same"]


def test_calibration_input_equals_that_of_the_cpu_backend() -> None:
    model = read_model(street_onnx())
    pictures = [StreetScene(*size, seed=2).render(5.0)[0] for size in ((640, 480), (320, 180))]
    images = list(model_inputs(model, pictures))
    assert [image.shape for image in images] == [(1, 3, model.height, model.width)] * 2
    scale = min(model.width / 640, model.height / 480)
    expected = cv2.resize(pictures[0], (round(640 * scale), round(480 * scale)), interpolation=cv2.INTER_LINEAR)
    rows, columns = expected.shape[:2]
    got = images[0][0].transpose(1, 2, 0)[:rows, :columns]
    assert np.abs(got - expected).max() <= 1.0
    assert onnx.helper.tensor_dtype_to_np_dtype(model.input_type) == images[0].dtype
