"""Live pages: each gets every state, and pictures as far as it asks for them."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import Callable
from typing import Any

import orjson
from pydantic import Field, ValidationError, model_validator
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from typing_extensions import Self

from daemon.config.service import Web
from daemon.web.answers import Given, Refusal
from daemon.web.known_state import KnownState, Line
from daemon.web.live_pictures import LivePictures

NOT_LOGGED_IN = 4401
_CREDITS = 2
_BOXES_WITHIN = 0.15  # seconds that a picture waits for its boxes
_BOXES_LOOK = 0.01  # seconds
_TEXTS = 1024  # that wait for a page beside all states; one that is further behind is closed
_FULL = 256  # of them, beyond which a page gets no more pictures until it has taken some
_LOOK_EVERY = 5.0  # seconds between two looks whether a session has ended
_CAMERAS = 64  # that a page may watch at once
_TRY_AGAIN = 0.2  # seconds after a picture that did not come


class Wanted(Given):
    """Of one camera."""

    width: int = Field(640, ge=16, le=4096)
    fps: float = Field(2, gt=0, le=60)
    edited: bool = True


class _Said(Given):
    """A message of a page."""

    watch: dict[str, Wanted] | None = Field(None, max_length=_CAMERAS)
    more: str | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.watch is None) == (self.more is None):
            raise ValueError("must be either watch or more")
        return self


class Viewers:
    """All live pages."""

    def __init__(
        self,
        web: Web,
        state: KnownState,
        pictures: LivePictures,
        watch: Callable[[set[str]], Any],
        log: Callable[..., None],
    ) -> None:
        """`watch` gets all cameras that are watched; `log` gets who views unmasked pictures."""
        self._web = web
        self.state = state
        self.pictures = pictures
        self._watch = watch
        self.log = log
        self._pages: set[LivePage] = set()

    def tell(self, data: bytes) -> None:
        """Sends a line to every page."""
        for page in self._pages:
            page.send_soon(data.decode())

    def count(self) -> Line:
        """Pages with live pictures, and how many there may be."""
        return {"pictures": sum(page.watches for page in self._pages), "most": self._web.max_viewers}

    @property
    def pages(self) -> int:
        """How many there are."""
        return len(self._pages)

    def has_room(self, page: LivePage) -> bool:
        """Whether one more page may have pictures."""
        return page.watches or self.count()["pictures"] < self._web.max_viewers

    def limited(self, wanted: Wanted) -> Wanted:
        """Within the bounds of the configuration; the editor may look closer."""
        width = min(wanted.width, self._web.width) if wanted.edited else wanted.width
        return wanted.model_copy(update={"width": width, "fps": min(wanted.fps, self._web.fps)})

    async def changed(self) -> None:
        """Somebody watches others than before."""
        await self._watch({camera for page in self._pages for camera in page.cameras})
        self.tell(orjson.dumps({"kind": "viewers", **self.count()}))

    async def serve(self, page: LivePage) -> None:
        """Until the page has gone."""
        self._pages.add(page)
        try:
            await page.run()
        finally:
            self._pages.discard(page)
            await self.changed()


class LivePage:
    """One WebSocket."""

    def __init__(self, socket: WebSocket, viewers: Viewers, role: Callable[[], str | None], who: str) -> None:
        """`role` of its session, None where that has ended; `who`: its address, for the log."""
        self._socket = socket
        self._viewers = viewers
        self._role = role
        self._who = who
        self._texts: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._watching: dict[str, tuple[asyncio.Task[None], _Credit]] = {}
        self._behind = False

    @property
    def watches(self) -> bool:
        """Whether it has pictures."""
        return bool(self._watching)

    @property
    def cameras(self) -> list[str]:
        """That it watches."""
        return list(self._watching)

    def send_soon(self, message: str | bytes) -> None:
        """Sends a message when its turn comes."""
        if self._texts.qsize() < _TEXTS + len(self._viewers.state):
            self._texts.put_nowait(message)
        else:
            self._behind = True

    async def run(self) -> None:
        """Until it is closed, by either side."""
        for line in self._viewers.state.lines():
            self.send_soon(line.decode())
        tasks = [asyncio.create_task(one) for one in (self._write(), self._read(), self._look())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stop_watching()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._socket.application_state is not WebSocketState.DISCONNECTED:
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await self._socket.close(1013 if self._role() else NOT_LOGGED_IN)

    async def _write(self) -> None:
        while True:
            message = await self._texts.get()
            with contextlib.suppress(WebSocketDisconnect):
                if isinstance(message, str):
                    await self._socket.send_text(message)
                else:
                    await self._socket.send_bytes(message)

    async def _look(self) -> None:
        """Until the session has ended, or the page is too far behind."""
        while self._role() is not None and not self._behind:
            await asyncio.sleep(_LOOK_EVERY if not self._behind else 0)

    async def _read(self) -> None:
        with contextlib.suppress(WebSocketDisconnect, KeyError):  # a KeyError: a binary message
            while True:
                await self._take(await self._socket.receive_text())

    async def _take(self, text: str) -> None:
        try:
            said = _Said.model_validate_json(text)
        except ValidationError:
            self._error("this message is not understood")
            return
        if said.more is not None:
            if said.more in self._watching:
                self._watching[said.more][1].add()
        elif said.watch is not None:
            self._begin(said.watch)
            await self._viewers.changed()

    def _begin(self, wanted: dict[str, Wanted]) -> None:
        """Watches these cameras, and no others."""
        if any(not one.edited for one in wanted.values()) and self._role() != "edit":
            self._error("only who may edit sees what is masked")
            return
        allowed = not wanted or self._viewers.has_room(self)
        self._stop_watching()
        if wanted:
            detail = "" if allowed else "as many pages as may have pictures have them; this one gets states only"
            self.send_soon(orjson.dumps({"kind": "pictures", "allowed": allowed, "detail": detail}).decode())
        if not allowed:
            return
        for camera, one in wanted.items():
            credit = _Credit()
            shown = self._show(camera, self._viewers.limited(one), credit)
            self._watching[camera] = asyncio.create_task(shown), credit

    def _stop_watching(self) -> None:
        for task, _ in self._watching.values():
            task.cancel()
        self._watching.clear()

    async def _show(self, camera: str, wanted: Wanted, credit: _Credit) -> None:
        """Sends pictures of a camera, as many as the page asks for and not more often than it wants.

        Begins once the daemon has the camera: a page may be there before the daemon, and before a reload adds one.
        """
        while camera not in self._viewers.state.cameras:
            await asyncio.sleep(_TRY_AGAIN)
        if not wanted.edited:
            self._viewers.log("%s looks at the unmasked picture of camera %s", self._who, camera)
        due, told = 0.0, 0
        while True:
            await credit.take()
            while self._texts.qsize() > _FULL:  # a page may ask for more than it takes
                await asyncio.sleep(_TRY_AGAIN)
            now = time.monotonic()
            due = max(due + 1 / wanted.fps, now - 1 / wanted.fps)
            await asyncio.sleep(max(0.0, due - now))
            try:
                picture = await self._viewers.pictures.next(camera, wanted.width, wanted.edited)
            except Refusal:
                credit.add()
                await asyncio.sleep(_TRY_AGAIN)
                continue
            boxes = await self._boxes(camera, picture.sequence)
            of, data = self._viewers.state.latest_detections(camera) if boxes is None else (picture.sequence, boxes)
            if boxes is not None or (data and of != told):  # of less than before where the camera has begun again
                told = of
                self.send_soon(data.decode())
            header = orjson.dumps(
                {
                    "camera": camera,
                    **picture.told(),
                    "boxes_of": None if boxes is None else picture.sequence,
                    "edited": wanted.edited,
                }
            )
            self.send_soon(struct.pack(">I", len(header)) + header + picture.jpeg)

    async def _boxes(self, camera: str, sequence: int) -> bytes | None:
        """The detections of a frame, for which it is waited a little."""
        state, until = self._viewers.state, time.monotonic() + _BOXES_WITHIN
        while (found := state.detections(camera, sequence)) is None:
            if time.monotonic() >= until or state.latest_detections(camera)[0] > sequence:
                return None
            await asyncio.sleep(_BOXES_LOOK)
        return found

    def _error(self, detail: str) -> None:
        self.send_soon(orjson.dumps({"kind": "error", "detail": detail}).decode())


class _Credit:
    """Pictures that a page can take now."""

    def __init__(self) -> None:
        self._count = 0
        self._some = asyncio.Event()

    def add(self) -> None:
        self._count = min(self._count + 1, _CREDITS)
        self._some.set()

    async def take(self) -> None:
        while not self._count:
            self._some.clear()
            await self._some.wait()
        self._count -= 1
