"""RTSP over TCP and UDP: each camera gets its own, though OpenCV knows only one for the whole process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from daemon.records import CameraState, Reason
from tests.daemon.capturing import capturing
from tests.servers.rtsp import RtspServer, need_rtsp


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, RtspServer]]:
    """One for each transport, which refuses the other."""
    need_rtsp()
    with RtspServer(transport="tcp") as tcp, RtspServer(transport="udp") as udp:
        yield {"tcp": tcp, "udp": udp}


def test_cameras_that_open_at_the_same_time_get_their_own_transport(servers: dict[str, RtspServer]) -> None:
    """A server refuses who comes over the other one, and no camera needs a second attempt."""
    with ExitStack() as stack:
        cameras = [
            stack.enter_context(capturing(servers[transport].url(), transport=transport))
            for transport in ("udp", "tcp", "tcp", "udp")
        ]
        for camera in cameras:
            camera.wait_for_frames(3)
    for camera in cameras:
        assert camera.states() == [(CameraState.CONNECTING, None), (CameraState.STREAMING, None)]


def test_a_server_without_udp(servers: dict[str, RtspServer]) -> None:
    with capturing(servers["tcp"].url(), transport="udp") as captured:
        status = captured.wait_for_state(CameraState.OFFLINE, Reason.NO_VIDEO)
    assert status.detail == (
        "the server answers but gives no video that OpenCV can decode over UDP; `transport: tcp` may work"
    )


def test_a_server_without_tcp(servers: dict[str, RtspServer]) -> None:
    with capturing(servers["udp"].url()) as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.NO_VIDEO)
