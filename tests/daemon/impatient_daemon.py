"""The daemon that soon ends a process that hangs: `python -m tests.daemon.impatient_daemon run CONFIG`."""

from __future__ import annotations

from unittest.mock import patch

from daemon.__main__ import main

PATIENCE = 8.0  # seconds

if __name__ == "__main__":
    with patch("daemon.app.remote_shard._SILENT", PATIENCE):
        main()
