"""Log lines of every process of the daemon: one sentence each, on standard error."""

from __future__ import annotations

import logging
import sys


def log_to_stderr() -> None:
    """For the start of a process. Of other packages only warnings are shown."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)-7s %(message)s")
    logging.getLogger("ospreyd").setLevel(logging.INFO)
