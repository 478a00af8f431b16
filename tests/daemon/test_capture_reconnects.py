"""What many reconnects leave behind: nothing; tests/benchmarks/reconnects.py does the same a thousand times."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.benchmarks.reconnects import MAY_GROW, Held, hung_up, refused


@pytest.mark.parametrize("way", [hung_up, refused])
def test_reconnects_leak_nothing(way: Callable[[int], tuple[Held, Held]]) -> None:
    before, then = way(100)
    # a leak would be one for each; what one connection needs comes and goes while it is counted
    assert then.threads - before.threads < 10
    assert then.descriptors - before.descriptors < 10
    assert then.memory - before.memory < MAY_GROW
