"""The endpoints that tell how things are: state, pictures, events, log, the last hour."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from daemon.web.answers import Refusal, answer, number, picture
from daemon.web.daemon_link import DaemonLink
from daemon.web.known_state import KnownState
from daemon.web.live_pictures import LivePictures
from daemon.web.live_view import Viewers
from daemon.web.roles import camera_of, needs


class Readings:
    """For who may look, but for the log and unmasked pictures."""

    def __init__(self, link: DaemonLink, state: KnownState, pictures: LivePictures, viewers: Viewers) -> None:
        self._link = link
        self._state = state
        self._pictures = pictures
        self._viewers = viewers

    async def state(self, request: Request) -> Response:
        """Everything, in one document."""
        needs(request, "view")
        return answer({**self._state.document(), "viewers": self._viewers.count()})

    async def timeline(self, request: Request) -> Response:
        """A camera's last hour."""
        needs(request, "view")
        found = await self._link.ask("timeline", camera=camera_of(request, self._state))
        return answer({"every_s": found["every_s"], "points": found["points"]})

    async def picture(self, request: Request) -> Response:
        """One picture of a camera, now."""
        edited = request.query_params.get("edited", "1")
        if edited not in ("0", "1"):
            raise Refusal(422, "invalid", "edited must be 0 or 1")
        caller = needs(request, "view" if edited == "1" else "edit")
        camera = camera_of(request, self._state)
        width = max(16, number(request, "width", 640, 4096))
        if edited == "0":
            self._viewers.log("%s looks at the unmasked picture of camera %s", caller.address, camera)
        try:
            found = await self._pictures.next(camera, width, edited == "1")
        except Refusal as refusal:
            raise Refusal(503, str(refusal.content["error"]), self._why(camera, str(refusal))) from None
        return picture(found.jpeg, {"X-Picture": orjson.dumps(found.told()).decode()})

    async def events(self, request: Request) -> Response:
        """The latest events of this daemon."""
        needs(request, "view")
        found = await self._link.ask("events", after=number(request, "after", 0))
        return answer({"last": found["last"], "events": found["events"]})

    async def event_picture(self, request: Request) -> Response:
        """The picture of an event."""
        needs(request, "view")
        name = request.path_params["number"]
        found: dict[str, Any] = {"jpeg": None}
        if name.isascii() and name.isdigit() and len(name) < 16:
            found = await self._link.ask("event-picture", number=int(name))
        if found["jpeg"] is None:
            raise Refusal(404, "not-found", "this event has no picture, or none any more")
        return picture(bytes.fromhex(found["jpeg"]))

    async def log(self, request: Request) -> Response:
        """The latest lines of the daemon's log."""
        needs(request, "edit")
        found = await self._link.ask("log", after=number(request, "after", 0))
        return answer({"last": found["last"], "lines": found["lines"]})

    def _why(self, camera: str, otherwise: str) -> str:
        """Why there is no picture, as the camera's state has it."""
        status = self._state.camera(camera)
        return (status and status["detail"]) or otherwise
