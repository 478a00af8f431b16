"""Hostile messages by the hundred thousand: `python -m tests.benchmarks.fuzz_commands [COUNT]`.

Each is judged and, if it is a command, obeyed as the daemon does; see obeys_only_commands for what must hold. The suite
does the same with a few hundred.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from hypothesis import HealthCheck, Phase, given, settings

from daemon.publish.inbox import Received
from tests.daemon.hostile import MESSAGES, obeys_only_commands


def main(count: int) -> None:
    """Raises AssertionError, or what escaped, for the first message that does harm."""
    kinds: Counter[str] = Counter()

    @given(MESSAGES)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    def every(message: Received) -> None:
        kinds[obeys_only_commands(message)] += 1

    began = time.monotonic()
    every()
    print(f"{sum(kinds.values())} messages in {time.monotonic() - began:.0f} s: {dict(kinds.most_common())}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
