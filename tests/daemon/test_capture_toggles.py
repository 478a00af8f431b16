"""A camera that hangs and is opened and closed again and again keeps one thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from daemon.capture.camera import CameraThread
from daemon.capture.cameras import Cameras
from daemon.config.camera import Camera
from daemon.records import CameraState, Reason
from tests.conftest import wait_for
from tests.daemon.capturing import Captured, capture_threads, pictures, write_video
from tests.daemon.running import TOPICS, box, daemon, state_of, stop
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Subscriber


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """Opening it hangs until somebody writes to it, as a hung driver would."""
    path = tmp_path / "camera.avi"
    os.mkfifo(path)
    return path


@pytest.fixture
def captured() -> Captured:
    """What the cameras of the test deliver and report, all of them together."""
    return Captured(keep_images=False, consume=None)


@pytest.fixture
def cameras(captured: Captured) -> Iterator[Cameras]:
    """Stopped at the end, with all threads ended."""
    cameras = Cameras(captured.failures.append)
    cameras.start()
    yield cameras
    cameras.stop()
    assert cameras.join(10.0)
    assert captured.failures == []


def camera(captured: Captured, source: Path, **settings: object) -> CameraThread:
    config = Camera.model_validate({"source": str(source), **settings})
    reports = captured.deliver, captured.statuses.append, captured.stats, captured.failures.append
    return CameraThread("cam", config, *reports)


def test_a_hanging_camera_that_is_toggled_keeps_one_thread(pipe: Path, captured: Captured, cameras: Cameras) -> None:
    threads = threading.active_count()
    for _ in range(50):
        opened = camera(captured, pipe)
        cameras.open(opened)
        assert threading.active_count() <= threads + 1
        cameras.close(opened)
        switched_off = camera(captured, pipe, enabled=False)
        cameras.open(switched_off)
        cameras.close(switched_off)
    assert capture_threads() == ["capture:cam"]
    _release(pipe)


def test_a_camera_is_opened_when_its_last_thread_has_ended(pipe: Path, captured: Captured, cameras: Cameras) -> None:
    first, second = camera(captured, pipe), camera(captured, write_video(pipe.with_name("v.avi"), pictures(5)))
    cameras.open(first)
    cameras.close(first)
    opened = len(captured.statuses)
    cameras.open(second)
    assert captured.states()[opened:] == [(CameraState.CONNECTING, None)]
    status = captured.wait_for_state(CameraState.OFFLINE, Reason.TIMEOUT)
    assert "not closed yet" in status.detail
    _release(pipe)
    captured.wait_for_state(CameraState.STREAMING)
    captured.wait_for_frames(3)


def test_only_the_latest_of_those_that_wait_is_opened(pipe: Path, captured: Captured, cameras: Cameras) -> None:
    hung = camera(captured, pipe)
    cameras.open(hung)
    cameras.close(hung)
    video = write_video(pipe.with_name("v.avi"), pictures(5))
    replaced, latest = Captured(keep_images=False, consume=None), Captured(keep_images=False, consume=None)
    for follower in (camera(replaced, video), last := camera(latest, video)):
        cameras.open(follower)
        if follower is not last:
            cameras.close(follower)
    _release(pipe)
    latest.wait_for_frames(3)
    assert replaced.frames == []


def test_other_cameras_do_not_wait(pipe: Path, captured: Captured, cameras: Cameras) -> None:
    hung = camera(captured, pipe)
    cameras.open(hung)
    cameras.close(hung)
    other = Captured(keep_images=False, consume=None)
    config = Camera(source=str(write_video(pipe.with_name("v.avi"), pictures(5))))
    reports = other.deliver, other.statuses.append, other.stats, other.failures.append
    cameras.open(CameraThread("other", config, *reports))
    other.wait_for_frames(3)
    _release(pipe)


def test_a_waiting_camera_is_not_started_after_stop(pipe: Path, captured: Captured) -> None:
    cameras = Cameras(captured.failures.append)
    cameras.start()
    hung, waiting = camera(captured, pipe), camera(captured, pipe)
    cameras.open(hung)
    cameras.close(hung)
    cameras.open(waiting)
    cameras.stop()
    assert not cameras.join(0.1)
    _release(pipe)
    assert cameras.join(0.0)
    assert capture_threads() == []
    assert captured.frames == []
    assert captured.failures == []


def test_commands_that_toggle_a_hanging_camera_start_no_more_threads(pipe: Path, tmp_path: Path) -> None:
    hung = {"source": str(pipe), "open_timeout": 0.5}
    with (
        Mosquitto(tmp_path) as broker,
        Subscriber(HOST, broker.port, f"{TOPICS}/front/#") as subscriber,
        daemon(tmp_path, box(broker, {"front": hung}, inference={"backend": "onnxruntime"})) as process,
    ):
        subscriber.wait(lambda messages: state_of(messages, "front")["reason"] == "timeout", "a hang", 60)
        threads = len([*Path(f"/proc/{process.pid}/task").iterdir()])
        for _ in range(5):
            for value, state in (("false", "disabled"), ("true", "offline")):
                subscriber.publish(f"{TOPICS}/front/set/enabled", value)
                _wait_for_state(subscriber, state)
        assert len([*Path(f"/proc/{process.pid}/task").iterdir()]) <= threads
        assert "not closed yet" in state_of(subscriber.messages(f"{TOPICS}/front/status"), "front")["detail"]
        stop(process)


def _wait_for_state(subscriber: Subscriber, state: str) -> None:
    subscriber.wait(lambda messages: state_of(messages, "front")["state"] == state, state)


def _release(pipe: Path) -> None:
    """Ends every attempt to open the pipe, which is empty, until the thread that hung has ended."""
    hung = next(thread for thread in threading.enumerate() if thread.name == "capture:cam")

    def released() -> bool:
        with suppress(OSError):  # nobody is opening it now
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        return not hung.is_alive()

    wait_for(released, "the end of the thread that hung")
