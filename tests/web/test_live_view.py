"""One live page on a connection that takes what it is sent, or takes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import orjson
import pytest
from starlette.websockets import WebSocket, WebSocketState

from daemon.config.service import Web
from daemon.web import live_view
from daemon.web.known_state import KnownState
from daemon.web.live_pictures import LivePictures, Picture
from daemon.web.live_view import LivePage, Viewers

MANY = 5000
STARTED = orjson.dumps({"kind": "daemon", "connected": True})


class Connection:
    """Of a browser; takes texts once `taken` is set."""

    application_state = WebSocketState.CONNECTED

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.pictures = 0
        self.said: asyncio.Queue[str] = asyncio.Queue()
        self.taken = asyncio.Event()
        self.closed = asyncio.Event()

    def say(self, **message: Any) -> None:
        self.said.put_nowait(orjson.dumps(message).decode())

    async def send_text(self, text: str) -> None:
        await self.taken.wait()
        self.texts.append(text)

    async def send_bytes(self, _: bytes) -> None:
        await self.taken.wait()
        self.pictures += 1

    async def receive_text(self) -> str:
        return await self.said.get()

    async def close(self, _: int) -> None:
        self.closed.set()


async def _watch(_: set[str]) -> None:
    """Nobody is there to be told."""


def of_camera(number: int) -> bytes:
    return orjson.dumps({"kind": "camera", "camera": f"camera-{number}"})


class Pictures:
    """Of a camera whose frames are counted."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.sequence = 0

    async def next(self, camera: str, width: int, edited: bool) -> Picture:
        assert edited
        self.asked.append(camera)
        self.sequence += 1
        return Picture(b"", self.sequence, "", width, 9)


def opened(
    state: KnownState, connection: Connection, pictures: Pictures | None = None
) -> tuple[Viewers, asyncio.Task[None]]:
    viewers = Viewers(Web(), state, cast("LivePictures", pictures), _watch, print)
    page = LivePage(cast("WebSocket", connection), viewers, lambda: "view", "192.0.2.1")
    return viewers, asyncio.create_task(viewers.serve(page))


async def until(condition: Callable[[], bool]) -> None:
    async def holds() -> None:
        while not condition():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(holds(), 60)


def told(state: KnownState, **line: Any) -> None:
    state.take(line, orjson.dumps(line))


def test_a_camera_that_the_daemon_has_later_is_shown_then() -> None:
    """A page may be there before the daemon, and before a reload adds what it looks at."""

    async def seen() -> None:
        state, connection, pictures = KnownState(), Connection(), Pictures()
        connection.taken.set()
        viewers, serving = opened(state, connection, pictures)
        connection.say(watch={"front": {"fps": 10}, "back": {"fps": 10}})
        connection.say(more="front")
        connection.say(more="back")
        connection.say(more="nobody")  # the last one that is taken
        connection.say()
        await until(lambda: any('"error"' in text for text in connection.texts))
        assert viewers.count()["pictures"] == 1
        assert pictures.asked == [], "of cameras that the daemon has"
        told(state, kind="info", cameras=["front"], models={})
        await until(lambda: connection.pictures == 1)
        told(state, kind="info", cameras=["front", "back"], models={})
        await until(lambda: connection.pictures == 2)
        assert pictures.asked == ["front", "back"]
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(seen())


def test_boxes_come_again_when_a_camera_counts_its_frames_from_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does after a reload; also those that are late, which no picture waits for."""
    monkeypatch.setattr(live_view, "_BOXES_WITHIN", 0.0)

    async def seen() -> None:
        state, connection, pictures = KnownState(), Connection(), Pictures()
        connection.taken.set()
        _, serving = opened(state, connection, pictures)
        told(state, kind="info", cameras=["front"], models={})
        connection.say(watch={"front": {"fps": 15}})
        for begun, late in ((500, 499), (3, 2)):
            pictures.sequence = begun
            told(state, kind="detections", camera="front", sequence=late)
            before = connection.pictures
            connection.say(more="front")
            await until(lambda before=before: connection.pictures > before)  # type: ignore[misc]
            found = [text for text in connection.texts if '"detections"' in text]
            assert orjson.loads(found[-1])["sequence"] == late
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(seen())


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
