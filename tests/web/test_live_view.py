"""One live page on a connection that takes what it is sent, or takes nothing."""

from __future__ import annotations

import asyncio
from typing import cast

import orjson
import pytest
from starlette.websockets import WebSocket, WebSocketState

from daemon.config.service import Web
from daemon.web import live_view
from daemon.web.known_state import KnownState
from daemon.web.live_pictures import LivePictures
from daemon.web.live_view import LivePage, Viewers

MANY = 5000
STARTED = orjson.dumps({"kind": "daemon", "connected": True})


class Connection:
    """Of a browser; takes texts once `taken` is set."""

    application_state = WebSocketState.CONNECTED

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.taken = asyncio.Event()
        self.closed = asyncio.Event()

    async def send_text(self, text: str) -> None:
        await self.taken.wait()
        self.texts.append(text)

    async def receive_text(self) -> str:
        await self.closed.wait()
        raise AssertionError("nothing comes")

    async def close(self, _: int) -> None:
        self.closed.set()


async def _watch(_: set[str]) -> None:
    """Nobody is there to be told."""


def of_camera(number: int) -> bytes:
    return orjson.dumps({"kind": "camera", "camera": f"camera-{number}"})


def opened(state: KnownState, connection: Connection) -> tuple[Viewers, asyncio.Task[None]]:
    viewers = Viewers(Web(), state, cast("LivePictures", None), _watch, print)
    page = LivePage(cast("WebSocket", connection), viewers, lambda: "view", "192.0.2.1")
    return viewers, asyncio.create_task(viewers.serve(page))


def test_a_page_gets_the_states_of_any_number_of_cameras() -> None:
    async def seen() -> None:
        state, connection = KnownState(), Connection()
        connection.taken.set()
        viewers, serving = opened(state, connection)

        async def arrive(count: int) -> None:
            while len(connection.texts) < count:
                assert not serving.done(), "closed"
                await asyncio.sleep(0.01)

        for number in range(MANY):
            state.take(orjson.loads(of_camera(number)), of_camera(number))
        await asyncio.wait_for(arrive(MANY), 60)
        for data in (STARTED, *map(of_camera, range(MANY))):  # all that a daemon says at its start
            state.take(orjson.loads(data), data)
            viewers.tell(data)
        await asyncio.wait_for(arrive(2 * MANY + 1), 60)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(seen())


def test_a_page_that_takes_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_view, "_LOOK_EVERY", 0.05)

    async def closed() -> None:
        connection = Connection()
        viewers, serving = opened(KnownState(), connection)
        await asyncio.sleep(0)
        for _ in range(MANY):
            viewers.tell(of_camera(0))
        await asyncio.wait_for(serving, 60)
        assert connection.closed.is_set()

    asyncio.run(closed())
