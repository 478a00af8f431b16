"""What the daemon and the processes of its shards say to each other, and what they have counted."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest

from daemon.app.shard_link import Inbound, LinkLostError, Outbound, link_pair
from daemon.app.shard_messages import Beat, HasRoom, Results
from daemon.app.shard_teller import LogForwarder, Teller
from daemon.publish import payloads
from daemon.records import Drop, FrameResult
from daemon.records.followed import Followed, ObjectCounts
from daemon.stats import CameraCount, DaemonCount, Reader, Stats
from daemon.system.log_states import state_in, state_of
from daemon.system.logs import _JsonLines
from tests.daemon.publishing import result


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a link."""
    ours, theirs = link_pair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.settimeout(20)
        yield ours, theirs


def through_a_link(message: Any) -> Any:
    ours, theirs = link_pair()
    with ours, theirs:
        Outbound(ours).put(message)
        return Inbound(theirs).first()


def pack(results: Sequence[FrameResult]) -> Results:
    return Results.packed(results, [None] * len(results), whole=False)


def fields(one: FrameResult) -> tuple[Any, ...]:
    found = one.detections
    arrays = [(array.dtype, array.tolist()) for array in (found.boxes, found.scores, found.labels)]
    return replace(one, detections=None), arrays  # type: ignore[arg-type]


def test_results_come_out_as_they_went_in() -> None:
    followed = (Followed("x", 7, False, ("door",)), None)
    some = result(1)
    twice = replace(
        some.detections, **{k: np.repeat(getattr(some.detections, k)[:1], 2, 0) for k in ("boxes", "scores", "labels")}
    )
    none = replace(some.detections, **{k: getattr(some.detections, k)[:0] for k in ("boxes", "scores", "labels")})
    sent = [
        some,
        replace(some, detections=twice, objects=followed, live=not some.live, picture="a.jpg", skipped=True, passes=2),
        replace(some, detections=none, objects=()),
    ]
    came = through_a_link(Results.packed(sent, [None] * len(sent), whole=False)).unpacked()
    assert list(map(fields, came)) == list(map(fields, sent))
    assert isinstance(came[1].objects[0], Followed)


@pytest.mark.parametrize("whole", [False, True])
def test_a_message_comes_in_place_of_detections(whole: bool) -> None:
    """With detections too where other formats need them, and alike but for the time that it took to come."""
    sent, skipped = replace(result(1), picture="a.jpg"), replace(result(2), skipped=True)
    messages = [payloads.begin_detections("gate", sent, zones=True), None]
    came = through_a_link(Results.packed([sent, skipped], messages, whole=whole)).unpacked()
    assert fields(came[1]) == fields(skipped)
    assert len(came[0].detections.scores) == (len(sent.detections.scores) if whole else 0)
    texts = [orjson.loads(payloads.detections("gate", one, zones=True)) for one in (came[0], sent)]
    totals = [text["latency_ms"].pop("total") for text in texts]
    assert texts[0] == texts[1]
    assert 0 < totals[0] <= totals[1]


def test_a_link_keeps_what_the_other_does_not_read_yet(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    outbound, inbound = Outbound(ours), Inbound(theirs)
    large = os.urandom(20 << 20)
    outbound.put(large)
    outbound.put(HasRoom(3))
    waited = outbound.is_waiting
    came: list[Any] = []
    while len(came) < 2:
        came += inbound.receive()
        outbound.flush()
    assert came == [large, HasRoom(3)]
    assert (waited, outbound.is_waiting) == (True, False)
    ours.close()
    with pytest.raises(LinkLostError):
        list(inbound.receive())


def test_descriptors_come_with_their_messages(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    outbound, inbound = Outbound(ours), Inbound(theirs)
    for text in (b"one", b"two"):
        reader, writer = os.pipe()
        os.write(writer, text)
        os.close(writer)
        outbound.put(text, [reader])
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(reader)
    came: list[Any] = []
    while len(came) < 2:
        came += inbound.receive()
    assert [os.read(one, 9) for one in inbound.descriptors] == came
    for one in inbound.descriptors:
        os.close(one)


def test_a_closed_link_takes_nothing_and_leaks_nothing(pair: tuple[socket.socket, socket.socket]) -> None:
    outbound = Outbound(pair[0])
    outbound.close()
    reader, writer = os.pipe()
    os.close(writer)
    outbound.put("nothing", [reader])
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(reader)


def test_the_newest_results_of_live_cameras_wait_for_a_daemon_that_is_behind() -> None:
    """And all that are not live; each that made room is counted."""
    ours, theirs = link_pair()
    failures = list[BaseException]()
    with ours, theirs:
        ours.settimeout(20)
        stats = Stats()
        teller = Teller(theirs, stats, lambda: Beat(stats.take(), {}, 0.0), pack, failures.append)
        for number in range(300):
            teller.results([replace(result(number), live=True), replace(result(1000 + number), live=False)])
        teller.start()
        messages = list[Any]()
        inbound = Inbound(ours)
        while sum(isinstance(message, Beat) for message in messages) == 0:
            messages += inbound.receive()
        assert teller.finish(20)
    came = [one for message in messages if isinstance(message, Results) for one in message.unpacked()]
    assert [one.sequence for one in came if one.live] == list(range(44, 300))
    assert [one.sequence for one in came if not one.live] == list(range(1000, 1300))
    assert messages[-1].counted.dropped == {came[0].camera: {Drop.PUBLISH_QUEUE: 44}}
    assert failures == []


class OfTwoError(Exception):
    """Cannot be made again from its text."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} and {other}")


def test_lines_of_the_log_keep_what_they_are_about() -> None:
    told: list[Any] = []
    logger = logging.Logger("ospreyd")
    logger.addHandler(LogForwarder(lambda record: told.append(through_a_link(record))))
    logger.info("camera %s: %d frames of %s", "front", np.int64(3), threading.Lock(), extra=state_of("camera", "front"))
    try:
        int("x")
    except ValueError:
        logger.exception("failed")
    logger.error(UnicodeDecodeError("utf-8", b"x", 0, 1, "no"), extra={"theirs": threading.Lock()})
    logger.error(OfTwoError("a", "b"))
    assert told[0].args[:2] == ("front", 3)
    assert told[0].getMessage().startswith("camera front: 3 frames of <unlocked")
    state = state_in(told[0])
    assert state is not None
    assert (state.kind, state.name) == ("camera", "front")
    assert "ValueError" in logging.Formatter().format(told[1])
    assert "ValueError" in _JsonLines().format(told[1])
    assert [type(one.msg) for one in told] == [str] * 4
    assert told[3].getMessage() == "a and b"


def test_what_another_process_has_counted_is_added() -> None:
    theirs, ours, reader = Stats(), Stats(), Reader()
    for _ in range(2):
        for camera in ("front", "removed"):
            theirs.count(CameraCount.CAPTURED, camera)
            theirs.dropped(camera, Drop.REPLACED)
            theirs.processed(camera, queue=0.5)
        theirs.tracked("front", ObjectCounts(1, 0, 0, 0), 0.25)
        theirs.count_daemon(DaemonCount.BATCHES)
        ours.add(through_a_link(theirs.take()), {"front"})
    assert theirs.totals(["front"]).cameras["front"][CameraCount.CAPTURED] == 0
    totals = ours.totals(["front", "removed"])
    front = totals.cameras["front"]
    assert (front[CameraCount.CAPTURED], front[CameraCount.PROCESSED], front.dropped) == (2, 2, {Drop.REPLACED: 2})
    assert front.objects == ObjectCounts(1, 0, 0, 0)
    assert totals.cameras["removed"].counts == {}
    assert totals[DaemonCount.BATCHES] == 2
    assert sum(totals.latency["queue"].counts) == 2
    assert totals.latency["tracking"].total == 0.5
    report = ours.report(("front",), reader)
    assert report.cameras["front"].latency["queue"].p50 == 500
    theirs.untracked("front")
    ours.add(theirs.take(), {"front"})
    assert ours.totals(["front"]).cameras["front"].objects is None
