"""One picture of a camera serves all who wait for it, and the daemon learns how many they were."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from daemon.web.answers import Refusal
from daemon.web.daemon_link import DaemonLink, Line
from daemon.web.live_pictures import LivePictures


class Daemon:
    """Says that it has written a picture as soon as it is asked."""

    def __init__(self, *heights: int) -> None:
        """`heights` of the first pictures, pixels."""
        self.asked: list[dict[str, Any]] = []
        self.heights = list(heights)

    async def picture(self, memory: int, _: float, **wanted: Any) -> Line:
        assert memory > 0
        self.asked.append(wanted)
        await asyncio.sleep(0)
        return {
            "sequence": len(self.asked),
            "captured_at": "",
            "width": 64,
            "height": self.heights.pop(0) if self.heights else 36,
        }


def test_a_picture_counts_as_often_as_it_is_shown() -> None:
    async def seen() -> None:
        daemon = Daemon()
        pictures = LivePictures(cast("DaemonLink", daemon))
        for round_ in range(1, 4):
            shown = await asyncio.gather(*(pictures.next("front", width, edited=True) for width in (64, 64, 32)))
            assert [(one.sequence, one.width) for one in shown] == [(round_, 64), (round_, 64), (round_, 32)]
        await pictures.next("front", 64, edited=False)
        assert [one["shown"] for one in daemon.asked] == [0, 3, 3, 0]
        assert [one["width"] for one in daemon.asked] == [64] * 4

    asyncio.run(seen())


def test_a_picture_that_is_none_leaves_nobody_waiting() -> None:
    async def seen() -> None:
        pictures = LivePictures(cast("DaemonLink", Daemon(0, 1 << 30)))
        for _ in range(2):
            with pytest.raises(Refusal) as refused:
                await asyncio.wait_for(pictures.next("front", 64, edited=True), 30)
            assert refused.value.content["error"] == "no-picture"
        assert (await pictures.next("front", 64, edited=True)).height == 36

    asyncio.run(seen())
