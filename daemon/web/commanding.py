"""The endpoints that have the daemon do what MQTT commands do."""

from __future__ import annotations

import logging
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from daemon.web.answers import Given, Refusal, answer, body
from daemon.web.daemon_link import DaemonLink, Line
from daemon.web.known_state import KnownState
from daemon.web.roles import camera_of, needs

_log = logging.getLogger("ospreyd.web")


class Nothing(Given):
    """A body that says nothing."""


class NewValue(Given):
    """Of a setting."""

    value: Any


class Commanding:
    """For who may edit."""

    def __init__(self, link: DaemonLink, state: KnownState) -> None:
        self._link = link
        self._state = state

    async def set(self, request: Request) -> Response:
        """Changes a camera's setting."""
        address = needs(request, "edit").address
        given = await body(request, NewValue)
        camera, setting = camera_of(request, self._state), str(request.path_params["setting"])
        return await self._do(address, "set", camera=camera, setting=setting, value=given.value)

    async def reload(self, request: Request) -> Response:
        """Has the configuration read again."""
        address = needs(request, "edit").address
        await body(request, Nothing)
        return _told(address, "reload", await self._link.reload())

    async def build(self, request: Request) -> Response:
        """Has a model's engine built again."""
        address = needs(request, "edit").address
        await body(request, Nothing)
        model = str(request.path_params["model"])
        if model not in self._state.models:
            raise Refusal(404, "not-found", "there is no such model")
        return await self._do(address, "build-engine", model=model)

    async def _do(self, address: str, what: str, **more: Any) -> Response:
        return _told(address, what, await self._link.ask(what, **more))


def _told(address: str, what: str, done: Line) -> Response:
    """Raises Refusal where the daemon has not done it."""
    _log.info("%s by %s: %s", what, address, done["detail"])
    if not done["ok"]:
        raise Refusal(409, "rejected", done["detail"])
    return answer({"detail": done["detail"]})
