"""Hostile messages by the hundred thousand to a real daemon: `python -m tests.benchmarks.fuzz_commands [COUNT] [SEED]`.

The daemon's configuration is edited meanwhile; see tests/daemon/fuzzing.py for what must hold. The suite does the same
with a few hundred.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

from tests.daemon.fuzzing import fuzzed, messages
from tests.servers.mosquitto import Mosquitto

_AT_ONCE = 2000


def main(count: int, number: int) -> None:
    """Raises AssertionError for the first message that does harm."""
    print(f"seed {number}", flush=True)
    with tempfile.TemporaryDirectory() as made, Mosquitto(Path(made)) as broker, fuzzed(Path(made), broker) as running:
        began = time.monotonic()
        for start in range(0, count, _AT_ONCE):
            running.send(messages(min(_AT_ONCE, count - start), number + start))
            print(f"{time.monotonic() - began:.0f} s: {dict(running.kinds.most_common())}", flush=True)
        running.settle()


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 100_000,
        int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32),
    )
