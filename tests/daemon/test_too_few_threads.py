"""Cameras that the system has no thread for: offline with the reason, tried again, and no harm to the others."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from daemon.capture import cameras as cameras_module
from daemon.capture.camera import CameraThread
from daemon.capture.cameras import Cameras
from daemon.capture.sources import server
from daemon.capture.sources.base import SourceError
from daemon.capture.sources.open import open_source
from daemon.config.camera import Camera
from daemon.demo.film import Shot, film
from daemon.records import CameraState, Reason
from daemon.system import threads
from tests.conftest import wait_for
from tests.daemon.capturing import Captured, pictures, write_video
from tests.daemon.running import box, state_of
from tests.servers.mosquitto import Mosquitto
from tests.servers.subscriber import Subscriber

CONFIGURATION = "box.yaml"
_NEEDS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv") or not shutil.which("prlimit"),
    reason="needs root, setpriv and prlimit, to run the daemon as a user who may have few threads",
)
_USER = 100_000 + os.getpid()
_FILES = "+dac_override,+dac_read_search"  # what root may read and write, but not root's exemption from the limit
_AS_USER = ("setpriv", f"--reuid={_USER}", "--keep-groups", f"--inh-caps={_FILES}", f"--ambient-caps={_FILES}")


@contextmanager
def limited(document: dict[str, object], most: int) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A daemon of a user of its own, who may have so many threads, and its folder."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        os.chown(folder, _USER, -1)
        file = folder / CONFIGURATION
        file.write_text(yaml.safe_dump(document))
        command = [*_AS_USER, "prlimit", f"--nproc={most}:", sys.executable, "-m", "daemon", "run", str(file)]
        environ = {**os.environ, "STATE_DIRECTORY": name, "CACHE_DIRECTORY": name}
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(command, stderr=log, text=True, env=environ)
            try:
                yield process, folder
            finally:
                process.kill()
                process.wait()


def allow(process: subprocess.Popen[str], most: int) -> None:
    subprocess.run([*_AS_USER, "prlimit", f"--pid={process.pid}", f"--nproc={most}:"], check=True)


@_NEEDS_ROOT
def test_the_others_go_on_and_it_follows_when_there_are_threads(
    broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    street = film(Shot("street", 416, 256, 10.0, seed=21), tmp_path / "street.mp4", 2.0)
    names = [f"c{number}" for number in range(40)]
    cameras = {name: {"source": str(street.file), "loop": True, "fps": 1} for name in names}

    def states() -> dict[str, str | None]:
        return {name: state_of(subscriber.messages(), name)["state"] for name in names}

    with limited(box(broker, {"c0": cameras["c0"]}), 1000) as (process, folder):
        subscriber.wait_for("ospreyd/box/c0/detections", timeout=40)
        allow(process, len(list(Path(f"/proc/{process.pid}/task").iterdir())) + 70)
        (folder / CONFIGURATION).write_text(yaml.safe_dump(box(broker, cameras)))
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: set(states().values()) == {"streaming", "offline"}, "what becomes of each", 60)
        refused = [name for name, state in states().items() if state == "offline"]
        said = [state_of(subscriber.messages(), name) for name in refused]
        assert {state["reason"] for state in said} == {"no-resources"}
        assert all("TasksMax=" in state["detail"] for state in said)
        allow(process, 1000)
        wait_for(lambda: set(states().values()) == {"streaming"}, "the cameras that had no thread", 60)
        assert "Traceback" not in (folder / "log").read_text()
        assert process.poll() is None


@_NEEDS_ROOT
def test_too_few_to_start_at_all_is_one_sentence(broker: Mosquitto) -> None:
    with limited(box(broker, {"a": {"source": "rtsp://127.0.0.1:1/a"}}), 3) as (process, folder):
        assert process.wait(40) == 1
        log = (folder / "log").read_text()
    assert "too few threads: " in log
    assert "Traceback" not in log


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Names, up to a colon, of threads that the system does not start; to be changed."""
    refused: set[str] = set()
    start = threading.Thread.start

    def start_or_fail(thread: threading.Thread) -> None:
        if thread.name.partition(":")[0] in refused:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_fail)
    monkeypatch.setattr(cameras_module, "_RETRY", 0.1)
    yield refused
    refused.clear()


@pytest.mark.parametrize("missing", ["capture", "probe"], ids=["its own", "the reserve for others"])
def test_a_camera_without_a_thread_is_offline_until_there_is_one(
    tmp_path: Path, no_threads: set[str], missing: str
) -> None:
    captured = Captured(keep_images=False, consume=None)
    config = Camera(source=str(write_video(tmp_path / "v.avi", pictures(5))))
    reports = captured.deliver, captured.statuses.append, captured.stats, captured.failures.append
    cameras = Cameras(captured.failures.append)
    cameras.start()
    no_threads.add(missing)
    first, second = (CameraThread("cam", config, *reports) for _ in range(2))
    try:
        cameras.open(first)
        assert captured.states() == [(CameraState.OFFLINE, Reason.NO_RESOURCES)]
        cameras.close(first)  # as a reload does
        cameras.open(second)
        assert captured.states() == [(CameraState.OFFLINE, Reason.NO_RESOURCES)] * 2
        no_threads.clear()
        captured.wait_for_state(CameraState.STREAMING)
    finally:
        cameras.stop()
        assert cameras.join(10)
    assert captured.failures == []
    assert captured.states().count((CameraState.STREAMING, None)) == 1


def test_a_look_up_without_a_thread_is_a_reason_of_the_camera(no_threads: set[str]) -> None:
    no_threads.add("lookup")
    with pytest.raises(SourceError) as raised:
        open_source(Camera(source="http://localhost:9/a"))
    assert raised.value.reason is Reason.NO_RESOURCES


def test_want_of_descriptors_while_a_server_is_asked_is_no_fault_of_the_network() -> None:
    where = server.server_of("http://camera/a")
    error = OSError(24, "Too many open files")
    assert server.no_answer(where, error).reason is Reason.NO_RESOURCES


def test_threads_of_the_look_end_with_it() -> None:
    before = threading.active_count()
    threads.require_threads(20)
    assert threading.active_count() == before
