"""How the daemon starts the process of a shard, and what it tells where that cannot be started or ends."""

from __future__ import annotations

import math
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import PropertyMock, patch

import numpy as np
import pytest

from daemon.app.reload import Plan
from daemon.app.remote_shard import RemoteShard
from daemon.app.shard import Reports, Shared
from daemon.app.shard_link import Inbound, Outbound, link_pair
from daemon.app.shard_messages import Begin, WantPicture
from daemon.app.shard_process import ShardProcess
from daemon.app.shard_processes import ShardProcesses
from daemon.app.shard_receiver import Destinations
from daemon.config.difference import difference
from daemon.config.schema import Config
from daemon.errors import EXIT_FAILURE
from daemon.media.snapshots import Snapshots, Subject
from daemon.records import CameraState, CameraStatus, Event, EventType, ModelState, ModelStatus, Reason
from daemon.records.object_events import ObjectEvent
from daemon.service.status import StatusRegistry
from daemon.stats import Stats
from daemon.system.credits import Credits
from engines.backends import CPU, Backend
from engines.pictures import BgrPicture
from tests.conftest import wait_for
from tests.daemon.publishing import INFO, result

BACKEND = Backend(CPU, "1", "", None)
NO_PROCESS = OSError(11, "no more processes")


def config(*names: str) -> Config:
    cameras = {name: {"source": f"rtsp://{name}/1"} for name in names}
    return Config.model_validate({"device": "x", "mqtt": {"host": "x"}, "cameras": cameras})


class Late:
    """A first message during whose packing another thread has something to say."""

    def __init__(self, shard: RemoteShard) -> None:
        self.shard = shard

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        self.thread = threading.Thread(target=self.shard.send, args=("second",), daemon=True)
        self.thread.start()
        self.thread.join(0.5)  # it is to wait for the first one
        return str, ("first",)


def test_no_message_comes_before_the_first() -> None:
    shard = RemoteShard(0, None, config("a"))
    shard.send("before the start")
    ours, theirs = link_pair()
    with socket.socket(fileno=socket.dup(theirs.fileno())) as their_end, patch("subprocess.Popen"):
        first: Any = Late(shard)
        with patch("daemon.app.remote_shard.link_pair", return_value=(ours, theirs)):
            shard.start(first)
        first.thread.join()
        their_end.settimeout(20)
        inbound, came = Inbound(their_end), list[Any]()
        while len(came) < 3:
            came += inbound.receive()
    ours.close()
    assert came == ["first", "before the start", "second"]


def test_a_process_that_cannot_be_started_is_tried_less_and_less_often() -> None:
    shard = RemoteShard(0, None, config("a"))
    begin = Begin(config("a"), BACKEND, {}, {}, 0)
    delays = []
    with patch("daemon.app.remote_shard.link_pair", side_effect=NO_PROCESS):
        for _ in range(8):
            with pytest.raises(OSError, match="no more"):
                shard.start(begin)
            how, delay = shard.end()
            delays.append(delay)
    assert how == "could not be started"
    assert delays[0] <= 0.5
    assert delays[-1] >= 15


def test_what_keeps_a_process_from_telling_anything_is_on_standard_error() -> None:
    fails = "patch('daemon.app.shard_teller.packed', side_effect=ValueError('cannot be packed')).start()"
    code = f"import sys; from unittest.mock import patch; from daemon.app import shard_process as it; {fails}; "
    ours, theirs = link_pair()
    with ours, theirs:
        Outbound(ours).put(Begin(config("a"), BACKEND, {}, {}, 0))
        number = theirs.fileno()
        command = [sys.executable, "-c", f"{code} it.main({number})"]
        done = subprocess.run(command, pass_fds=[number], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == EXIT_FAILURE
    assert "ValueError: cannot be packed" in done.stderr


class Told:
    """What comes of the cameras of two shards."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.statuses: list[CameraStatus] = []
        self.left_open: list[Collection[str]] = []

    def ends(self, cameras: Collection[str]) -> list[ObjectEvent]:
        self.left_open.append(cameras)
        return []


@contextmanager
def shards(settings: Config, told: Told, failures: list[BaseException]) -> Iterator[tuple[ShardProcesses, Shared]]:
    stats = Stats()
    shared = Shared(stats, Credits(), threading.RLock(), failures.append)

    def ignore(*_: object) -> None:
        pass

    outputs = Destinations(ignore, told.events.append, ignore, ignore, ignore, dict, told.ends)
    reports = Reports(told.statuses.append, ignore)
    status = StatusRegistry(settings, INFO, stats, lambda: True).snapshot
    made = ShardProcesses(settings, BACKEND, (0, 0), shared, outputs, reports, status)
    try:
        yield made, shared
    finally:
        made.stop()
        assert made.join(20)


def test_a_state_is_told_once_and_objects_of_a_camera_that_was_just_removed_end_too() -> None:
    """Though each attempt to start the process fails, and says so."""
    before, now, told, failures = config("a", "b", "c"), config("a", "b"), Told(), list[BaseException]()
    with (
        patch.object(RemoteShard, "start", side_effect=NO_PROCESS),
        shards(before, told, failures) as (processes, shared),
    ):
        with shared.lock:
            processes.apply(Plan(now, difference(before, now), {}), lambda: None)
        processes.start()
        wait_for(lambda: sum(one.camera == "a" for one in told.statuses) >= 3, "three attempts")
    assert failures == []
    assert {one.reason for one in told.statuses} == {Reason.SHARD_FAILED}
    assert {one.camera for one in told.statuses} == {"a", "b"}
    assert sorted(one.camera for one in told.events if one.type is EventType.CAMERA_STATE) == ["a", "b"]
    assert {frozenset(one) for one in told.left_open} == {frozenset("ac"), frozenset("b")}


@pytest.mark.parametrize(("held", "hangs"), [(0, True), (9, False)])
def test_a_file_of_a_shard_waits_for_room_only_where_the_shard_has_filled_some(held: int, hangs: bool) -> None:
    """The results of another one may take all the room there is, again and again."""
    file = {"source": "film.avi", "pace": "as-fast-as-possible"}
    settings = Config.model_validate({"device": "x", "mqtt": {"host": "x"}, "cameras": {"a": file}})
    model = replace(INFO.models["default"], status=ModelStatus(ModelState.READY))
    registry = StatusRegistry(settings, INFO, Stats(), lambda: True, lambda: True)
    registry.camera_status(CameraStatus("a", CameraState.STREAMING, None, "", 0.0, 0.0))
    shard = RemoteShard(0, None, settings)
    shard.infos, shard.held = {"default": model}, held
    with patch.object(shard, "_heard_at", math.inf):
        problems = [shard.problem(now, registry.snapshot()) for now in range(100)]
    assert any(problems) is hangs


def test_a_camera_that_is_disabled_while_its_process_is_away_says_so_once() -> None:
    """The process may never come back."""
    before, told, failures = config("a", "b"), Told(), list[BaseException]()
    disabled = before.cameras["a"].model_copy(update={"enabled": False})
    now = before.model_copy(update={"cameras": {**before.cameras, "a": disabled}})
    with (
        patch.object(RemoteShard, "start", side_effect=NO_PROCESS),
        shards(before, told, failures) as (processes, shared),
    ):
        processes.start()
        wait_for(lambda: {one.camera for one in told.statuses} == {"a", "b"}, "the end of both")
        with shared.lock:
            processes.apply(Plan(now, difference(before, now), {}), lambda: None)
        wait_for(lambda: any(one.state is CameraState.DISABLED for one in told.statuses), "its state")
        seen = len(told.statuses)
        wait_for(lambda: len(told.statuses) > seen + 1, "another attempt")
    assert failures == []
    states = [one.state for one in told.statuses if one.camera == "a"]
    assert states == [CameraState.OFFLINE] * (len(states) - 1) + [CameraState.DISABLED]
    events = [one.state for one in told.events if one.camera == "a" and one.type is EventType.CAMERA_STATE]
    assert events == [CameraState.OFFLINE, CameraState.DISABLED]


def test_a_snapshot_is_as_old_as_its_request_where_the_process_is_away() -> None:
    """So that no picture comes long after it was asked for."""
    taken, failures = list[Subject](), list[BaseException]()
    snapshots = Snapshots(lambda subject, _: taken.append(subject), lambda _: None, failures.append)
    process = object.__new__(ShardProcess)
    process._snapshots = snapshots
    picture = BgrPicture(np.zeros((64, 64, 3), np.uint8))
    snapshots.start()
    with (
        patch.object(RemoteShard, "send") as send,
        shards(config("front"), Told(), failures) as (processes, _),
        socket.socket() as link,
    ):
        for ago in (11.0, 0.0):
            with patch("daemon.app.shard_processes.time.monotonic", return_value=time.monotonic() - ago):
                processes.take_picture("front", annotated=False)
        for sequence, call in enumerate(send.call_args_list):
            process._do(call.args[0], Inbound(link))
            snapshots.offer(result(sequence), picture)
    snapshots.stop()
    assert snapshots.join(20)
    assert (len(taken), failures) == (1, [])


def test_a_picture_whose_memory_did_not_come_is_left_out() -> None:
    """As where the process has as many descriptors as it may have: that is no reason to end it."""
    process = object.__new__(ShardProcess)
    taken = list[int]()

    def take(message: WantPicture, descriptor: int) -> None:
        os.close(descriptor)
        taken.append(message.number)

    ours, theirs = link_pair()
    with ours, theirs, patch.object(ShardProcess, "_want", side_effect=take):
        inbound, outbound = Inbound(theirs), Outbound(ours)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        for number in (1, 2):
            outbound.put(WantPicture(number, "a", 640, edited=True), [os.dup(0)])
            if number == 1:
                resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
            try:
                process._do(inbound.first(), inbound)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert taken == [2]


def test_a_camera_may_be_removed_while_its_shard_is_judged() -> None:
    """Its state is still known then, and what was captured of it."""
    before, now = config("a", "b"), config("b")
    registry = StatusRegistry(before, INFO, Stats(), lambda: True)
    registry.camera_status(CameraStatus("a", CameraState.STREAMING, None, "", 0.0, 0.0))
    shard = RemoteShard(0, None, before)
    reads = PropertyMock(side_effect=[before, now])
    with patch.object(shard, "_heard_at", math.inf), patch.object(RemoteShard, "config", reads, create=True):
        assert shard.problem(0.0, registry.snapshot()) is None


def test_a_process_that_cannot_be_ended_is_left_to_itself() -> None:
    """A driver does not let go of it, so its link stays open; another one is started, and the log says so once."""
    told, failures, kept = Told(), list[BaseException](), list[socket.socket]()

    def pair() -> tuple[socket.socket, socket.socket]:
        ours, theirs = link_pair()
        if not kept:
            kept.append(socket.socket(fileno=socket.dup(theirs.fileno())))
        return ours, theirs

    with (
        patch("daemon.app.remote_shard.link_pair", pair),
        patch("subprocess.Popen") as process,
        patch("daemon.app.remote_shard._BEGINS_WITHIN", -1.0),
        patch("daemon.app.shard_processes._LOOK", 0.01),
        patch("daemon.app.shard_processes._log.error") as said,
    ):
        process.return_value.wait.side_effect = subprocess.TimeoutExpired("", 0)
        process.return_value.returncode = None
        with shards(config("a"), told, failures) as (processes, _):
            processes.start()
            wait_for(lambda: told.statuses, "the end of its link")
    kept[0].close()
    assert failures == []
    assert told.statuses[0].reason is Reason.SHARD_FAILED
    assert "does not end" in told.statuses[0].detail
    lines = [call.args[0] % call.args[1:] for call in said.call_args_list]
    before = lines[: next(number for number, line in enumerate(lines) if line.startswith("shard 0: its process"))]
    assert len([line for line in before if line.startswith("shard 0:")]) == 1
