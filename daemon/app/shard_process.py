"""The process of a shard: `python -m daemon.app.shard_process DESCRIPTOR`, which the daemon starts.

It runs the same Shard as the daemon does where there is one process, and ends when its socket does: the daemon then
has ended, or starts it again.
"""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Sequence

from daemon.analysis.stage import Outputs
from daemon.app.reload import Plan
from daemon.app.shard import Reports, Shard, Shared, picture_outputs
from daemon.app.shard_link import Inbound, LinkLostError
from daemon.app.shard_messages import (
    Apply,
    Beat,
    Begin,
    ForgetPictures,
    HasRoom,
    Models,
    PictureFilled,
    ResetLines,
    Results,
    Retry,
    Snapshot,
    Stop,
    TakePicture,
    WantPicture,
)
from daemon.app.shard_teller import LogForwarder, Teller
from daemon.capture.picture_wishes import Wish
from daemon.config.difference import difference
from daemon.errors import EXIT_FAILURE, EXIT_OK, DaemonError
from daemon.media.snapshots import Snapshots
from daemon.publish.payloads import begin_detections
from daemon.records import FrameResult
from daemon.stats import Stats
from daemon.system.credits import Credits
from daemon.system.descriptors import raise_limit
from daemon.system.malloc import limit_arenas
from daemon.view.picture_memory import mapped
from engines.errors import EngineError

_log = logging.getLogger("ospreyd")
_PR_SET_PDEATHSIG = 1
_LAST_WORDS = 1.0  # seconds for what is still to be told after a failure


class ShardProcess:
    """One shard, and what it hears from and tells the daemon."""

    def __init__(self, connection: socket.socket, begin: Begin) -> None:
        self._config = begin.config
        self._has_formats = any(value is not None for _, value in begin.config.mqtt.formats)
        self._shared = Shared(Stats(), Credits(), threading.RLock(), self._on_fatal)
        self._teller = Teller(connection, self._shared.stats, self._beat, self._pack, self._on_fatal)
        self._told = self._shared.credits.consumer("daemon")
        tell = self._teller.tell
        snapshots = Snapshots(lambda subject, jpeg: tell(Snapshot(subject, jpeg)), lambda _: None, self._on_fatal)
        self._snapshots = snapshots
        outputs = Outputs(self._teller.results, tell, picture_outputs(snapshots), tell)
        reports = Reports(tell, self._models_changed)
        self._shard = Shard(begin.config, begin.backend, self._shared, outputs, reports, begin.totals, begin.shard)
        logging.basicConfig(handlers=[LogForwarder(tell)], level=logging.WARNING, force=True)
        _log.setLevel(logging.INFO)
        for revision in begin.revisions.values():
            self._shard.load(revision)

    def run(self, inbound: Inbound) -> int:
        """Does what the daemon says until it says stop; the exit code."""
        self._teller.start()
        self._snapshots.start()
        try:
            self._shard.start()
            while True:
                for message in inbound.receive():
                    if isinstance(message, Stop):
                        return self._stop(message.within)
                    self._do(message, inbound)
        except BaseException as error:
            self._on_fatal(error)
            raise

    def _do(self, message: object, inbound: Inbound) -> None:
        match message:
            case Apply():
                self._apply(message)
            case TakePicture():
                self._snapshots.request(message.camera, message.annotated, at=message.at)
            case ResetLines():
                self._shard.reset_lines(message.camera)
            case Retry():
                with self._shared.lock:
                    self._shard.retry(message.model)
            case WantPicture() if inbound.descriptors:  # none: the process has as many as it may
                self._want(message, inbound.descriptors.popleft())
            case ForgetPictures():
                self._shared.wishes.forget_all()
            case HasRoom():
                for _ in range(message.results):
                    self._told()

    def _apply(self, message: Apply) -> None:
        before, self._config = self._config, message.config
        with self._shared.lock:
            plan = Plan(message.config, difference(before, message.config), message.revisions)
            self._shard.apply(plan, lambda: None)

    def _want(self, message: WantPicture, descriptor: int) -> None:
        try:
            memory = mapped(descriptor)
        finally:
            os.close(descriptor)
        number, tell = message.number, self._teller.tell
        wish = Wish(memory, message.width, message.edited, lambda filled: tell(PictureFilled(number, filled)))
        self._shared.wishes.want(message.camera, wish)

    def _stop(self, within: float) -> int:
        self._shard.stop()
        clean = self._shard.join_analysis(within / 2)
        self._snapshots.stop()  # after the objects have left, of which it has pictures
        clean &= self._snapshots.join(within / 4)
        clean &= self._teller.finish(within / 4)
        return EXIT_OK if clean else EXIT_FAILURE

    def _pack(self, results: Sequence[FrameResult]) -> Results:
        """With the messages of their frames, which the daemon's process need not make then."""
        config = self._config
        zoned = {name for name, camera in config.cameras.items() if camera.zones}
        messages = [
            None if each.skipped else begin_detections(config.device, each, zones=each.camera in zoned)
            for each in results
        ]
        return Results.packed(results, messages, whole=self._has_formats)

    def _beat(self) -> Beat:
        queues = {name: depth() for name, depth in self._shard.queues.items()}
        return Beat(self._shared.stats.take(), queues, self._shard.busy_for())

    def _models_changed(self) -> None:
        self._teller.tell(Models(self._shard.models, self._shard.failed))

    def _on_fatal(self, error: BaseException) -> None:
        """In any thread: ends the process, which the daemon starts again."""
        if not isinstance(error, LinkLostError):
            if isinstance(error, (EngineError, DaemonError)):  # whoever raised it said what happened
                _log.critical("a shard stopped: %s", error)
            else:
                _log.critical("a shard stopped by an internal failure", exc_info=error)
            if not self._teller.finish(_LAST_WORDS):  # as where it is what has failed; the daemon logs nothing then
                traceback.print_exception(error)
        os._exit(EXIT_FAILURE)


def main(descriptor: int) -> int:
    """Until the daemon says stop or is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # who stops the service stops the daemon, which stops this
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    faulthandler.enable()
    limit_arenas()
    raise_limit()
    connection = socket.socket(fileno=descriptor)
    inbound = Inbound(connection)
    try:
        begin = inbound.first()
    except LinkLostError:
        return EXIT_FAILURE
    return ShardProcess(connection, begin).run(inbound)


if __name__ == "__main__":
    os._exit(main(int(sys.argv[1])))
