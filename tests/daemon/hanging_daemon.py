"""The daemon with shards that can be made to hang in their native calls, as where a GPU does not answer.

`python -m tests.daemon.hanging_daemon run CONFIG`: while the file exists that HANG names, inference hangs in its next
call, and cameras in theirs after that. The processes of the shards are this module too.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any
from unittest.mock import patch

from daemon.__main__ import main
from daemon.app import shard_process
from daemon.capture.camera import CameraThread
from daemon.inference.worker import InferenceWorker

HANG = "OSPREYD_TESTS_HANG"
PATIENCE = 5.0  # seconds

_submit, _grab = InferenceWorker._submit, CameraThread._grab
_hangs = threading.Event()


def submit(worker: InferenceWorker, batch: Any) -> None:
    """Hangs where it is to."""
    if Path(os.environ[HANG]).exists():
        _hangs.set()
        threading.Event().wait()
    _submit(worker, batch)


def grab(camera: CameraThread, *arguments: Any) -> Any:
    """Hangs once inference does."""
    if _hangs.is_set():
        camera._enter(1.0, "no frame")
        threading.Event().wait()
    return _grab(camera, *arguments)


if __name__ == "__main__":
    if sys.argv[1] == "run":
        with (
            patch("daemon.app.remote_shard._MODULE", "tests.daemon.hanging_daemon"),
            patch("daemon.app.remote_shard._IDLE", PATIENCE),
        ):
            main()
    else:
        with patch.object(InferenceWorker, "_submit", submit), patch.object(CameraThread, "_grab", grab):
            os._exit(shard_process.main(int(sys.argv[1])))
