"""Pictures that no longer change: the pure part, and a camera that freezes and thaws."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from daemon.capture.frozen import FrozenPicture
from daemon.records import CameraState, Reason
from engines.pictures import BgrPicture, Picture
from tests.conftest import wait_for
from tests.daemon.capturing import capturing, pictures
from tests.nv12 import Planes, nv12
from tests.servers.mjpeg import MjpegServer

A, B = (BgrPicture(np.full((8, 8, 3), value, np.uint8)) for value in (1, 2))


@pytest.mark.parametrize(
    ("looks", "frozen_at"),
    [
        pytest.param([(t / 10, A) for t in range(100)], 4.0, id="the same for ever"),
        pytest.param([(t / 10, A if t % 20 < 10 else B) for t in range(100)], None, id="changes every second"),
        pytest.param([(0, A), (3.9, A), (3.95, B), (6.0, B), (7.9, B)], None, id="changes just in time"),
        pytest.param([(0, A), (30, A)], 30, id="one frame in a long time"),
    ],
)
def test_frozen_after_four_seconds(looks: list[tuple[float, Picture]], frozen_at: float | None) -> None:
    picture = FrozenPicture(4.0)
    frozen = [now for now, image in looks if picture.check(image, now + 100.0)]
    assert (frozen[0] if frozen else None) == frozen_at


def test_a_picture_of_a_decoder_is_read_only_when_it_is_compared() -> None:
    picture, read = nv12(A.host()), []

    def reading() -> Planes:
        read.append(1)
        return picture.read()

    counted = replace(picture, read=reading)
    frozen = FrozenPicture(4.0)
    assert [now for now in range(100) if frozen.check(counted, now / 10 + 100.0)] == list(range(40, 100))
    assert len(read) == 4 + 60  # each second, and every frame once it is frozen


def test_a_frozen_picture_stays_frozen_until_it_changes() -> None:
    picture = FrozenPicture(1.0)
    assert [picture.check(A, now) for now in (10.0, 11.0)] == [False, True]
    picture.interrupt(20.0)
    assert picture.check(A, 20.0)
    assert not picture.check(B, 20.1)
    assert not picture.check(A, 20.5)


def test_the_first_pictures_of_a_connection_after_a_freeze_say_nothing() -> None:
    picture = FrozenPicture(2.0)
    assert not picture.passes_over(10.0)
    assert [picture.check(A, now) for now in (10.0, 12.0)] == [False, True]
    assert not picture.passes_over(12.1)
    picture.interrupt(20.0)
    assert [picture.passes_over(now) for now in (20.0, 20.4, 20.5)] == [True, True, False]
    assert not picture.check(B, 20.5)
    picture.interrupt(30.0)
    assert not picture.passes_over(30.0)


def test_time_without_frames_does_not_count() -> None:
    picture = FrozenPicture(1.0)
    assert not picture.check(A, 10.0)
    picture.interrupt(20.0)
    assert not picture.check(A, 20.0)
    assert picture.check(A, 21.0)


def test_a_camera_that_freezes_gives_no_frames_until_it_thaws() -> None:
    jpegs = [cv2.imencode(".jpg", image)[1].tobytes() for image in pictures(10, 160, 120)]
    served = list(jpegs)
    with MjpegServer(served, fps=20.0) as server, capturing(server.url(), frozen_after=0.5) as captured:
        captured.wait_for_frames(10)
        served[:] = [jpegs[0]] * 10
        status = captured.wait_for_state(CameraState.STALLED, Reason.FROZEN)
        assert status.detail == "the picture has not changed for 0.5 s"
        delivered, opened = len(captured.frames), server.served
        wait_for(lambda: server.served > opened + 1, "two connections that find it as frozen as before")
        assert len(captured.frames) == delivered
        assert captured.states()[2:] == [(CameraState.STALLED, Reason.FROZEN)]
        served[:] = jpegs  # each connection begins with the picture that was frozen
        captured.wait_for_state(CameraState.STREAMING, after=3)
        captured.wait_for_frames(delivered + 5)
