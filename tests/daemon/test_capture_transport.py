"""RTSP over TCP and UDP in one process."""

from __future__ import annotations

import platform
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Literal

import pytest

from daemon.capture.camera import CameraThread
from daemon.capture.cameras import Cameras
from daemon.capture.sources.base import SourceError
from daemon.capture.sources.open import open_source
from daemon.capture.sources.rtsp_transport import rtsp_transport, waits_for_network
from daemon.config.camera import Camera
from daemon.records import CameraState, Reason
from tests.conftest import wait_for
from tests.daemon.capturing import Captured, capturing
from tests.servers.rtsp import RtspServer, need_rtsp
from tests.servers.silent_rtsp import SilentRtsp


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, RtspServer]]:
    """One for each transport, which refuses the other."""
    need_rtsp()
    with RtspServer(transport="tcp") as tcp, RtspServer(transport="udp") as udp:
        yield {"tcp": tcp, "udp": udp}


@pytest.mark.usefixtures("decoder")
def test_cameras_that_open_together_get_their_own_transport(servers: dict[str, RtspServer]) -> None:
    """Each server refuses the other transport, and no camera needs a second attempt."""
    with ExitStack() as stack:
        cameras = [
            stack.enter_context(capturing(servers[transport].url(), transport=transport))
            for transport in ("udp", "tcp", "tcp", "udp")
        ]
        for camera in cameras:
            camera.wait_for_frames(3)
    for camera in cameras:
        assert camera.states() == [(CameraState.CONNECTING, None), (CameraState.STREAMING, None)]


@pytest.mark.usefixtures("decoder")
def test_a_server_without_udp(servers: dict[str, RtspServer]) -> None:
    with capturing(servers["tcp"].url(), transport="udp") as captured:
        status = captured.wait_for_state(CameraState.OFFLINE, Reason.UNSUPPORTED)
    assert "set `transport: tcp`" in status.detail


@pytest.mark.usefixtures("decoder")
def test_a_server_without_tcp(servers: dict[str, RtspServer]) -> None:
    with capturing(servers["udp"].url()) as captured:
        status = captured.wait_for_state(CameraState.OFFLINE, Reason.UNSUPPORTED)
    assert "set `transport: udp`" in status.detail


@contextmanager
def opened(*transports: str, port: int, open_timeout: float) -> Iterator[list[Captured]]:
    """Cameras of these transports at a port of this host, with a hang monitor."""
    captured = [Captured(keep_images=False, consume=None) for _ in transports]
    failures: list[BaseException] = []
    cameras = Cameras(failures.append)
    cameras.start()
    for index, (one, transport) in enumerate(zip(captured, transports, strict=True)):
        settings = {"transport": transport, "open_timeout": open_timeout}
        config = Camera.model_validate({"source": f"rtsp://127.0.0.1:{port}/x", **settings})
        reports = one.deliver, one.statuses.append, one.stats, failures.append
        cameras.open(CameraThread(f"cam{index}", config, *reports))
    try:
        yield captured
    finally:
        cameras.stop()
        ended = cameras.join(20.0)
    assert ended
    assert failures == []


@pytest.mark.usefixtures("decoder")
def test_many_cameras_that_open_together_never_mix_transports() -> None:
    """Six threads that open one source after the other; the server sees what each asks for."""
    with SilentRtsp(refuses=True) as server:

        def open_sources(*transports: Literal["tcp", "udp"]) -> None:
            for transport in transports * 5:
                with pytest.raises(SourceError):
                    open_source(Camera(source=f"{server.url}/{transport}", transport=transport))

        with ThreadPoolExecutor(6) as threads:
            for done in [threads.submit(open_sources, *order) for order in (("tcp", "udp"), ("udp", "tcp")) * 3]:
                done.result()
        asked = [(url.split("/")[4], transport) for url, transport in server.setups]
    assert Counter(asked) == {("tcp", "tcp"): 60, ("udp", "udp"): 60}, "not once by OpenCV and once to find out why"


def test_silent_servers_of_one_transport_do_not_delay_the_other() -> None:
    """All are being opened before the first of them gives up, and each reports what its own server does."""
    with socket.create_server(("127.0.0.1", 0)) as silent, ExitStack() as accepted:
        silent.settimeout(20.0)
        port = silent.getsockname()[1]
        with opened("tcp", "udp", "tcp", "udp", port=port, open_timeout=3.0) as cameras:
            for _ in cameras:
                accepted.enter_context(silent.accept()[0])
            assert [camera.states() for camera in cameras] == [[(CameraState.CONNECTING, None)]] * len(cameras)
            for camera in cameras:
                status = camera.wait_for_state(CameraState.OFFLINE, Reason.TIMEOUT)
                assert status.detail == f"127.0.0.1:{port} does not answer"


def test_waiting_for_the_other_transport_is_not_a_hanging_driver() -> None:
    """As where the kernel does not show when OpenCV has read the transport; here, nobody reads it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with ExitStack() as held:
        held.enter_context(rtsp_transport.use("udp"))
        with opened("udp", "tcp", port=port, open_timeout=0.2) as (same, other):
            same.wait_for_state(CameraState.OFFLINE, Reason.REFUSED)
            status = other.wait_for_state(CameraState.OFFLINE, Reason.TIMEOUT)
            assert "another `transport`" in status.detail
            held.close()
            other.wait_for_state(CameraState.OFFLINE, Reason.REFUSED)


def _poll(ended: threading.Event) -> None:
    poll = select.poll()
    while not ended.is_set():
        poll.poll(200)


def _work(ended: threading.Event) -> None:
    while not ended.is_set():
        time.sleep(0.0)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="system calls have other numbers")
@pytest.mark.parametrize(("run", "waits"), [(_poll, True), (threading.Event.wait, False), (_work, False)])
def test_waits_for_network(run: Callable[[threading.Event], object], waits: bool) -> None:
    ended = threading.Event()
    thread = threading.Thread(target=run, args=(ended,))
    thread.start()
    assert thread.native_id is not None
    try:
        if waits:
            wait_for(lambda: waits_for_network(thread.native_id or 0), "the thread to wait")
        else:
            assert not any(waits_for_network(thread.native_id) for _ in range(100))
    finally:
        ended.set()
        thread.join()
    assert not waits_for_network(thread.native_id)
