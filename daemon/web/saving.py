"""The endpoints of shapes: check them, write them into the configuration file, and put back what was there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from daemon.config.edit import EditError
from daemon.errors import UsageError
from daemon.web.answers import Refusal, answer, body, moment
from daemon.web.commanding import Nothing
from daemon.web.daemon_link import DaemonLink
from daemon.web.file_text import ChangedError, locked_file, read_text, replace_text
from daemon.web.known_state import KnownState
from daemon.web.request_rules import Caller
from daemon.web.roles import camera_of, needs
from daemon.web.save_history import Save, SaveHistory
from daemon.web.shape_values import (
    NewShapes,
    Shapes,
    changed_text,
    lock,
    mistake,
    model_of,
    names_of_difference,
    present,
    to_paste,
)
from daemon.web.text_difference import difference

_log = logging.getLogger("ospreyd.web")


class Saving:
    """One save at a time."""

    def __init__(self, file: Path, history: SaveHistory, link: DaemonLink, state: KnownState) -> None:
        self._file = file
        self._history = history
        self._link = link
        self._state = state
        self._one = asyncio.Lock()

    async def show(self, request: Request) -> Response:
        """What the file has."""
        needs(request, "view")
        camera = camera_of(request, self._state)
        return answer(self._present(_usable(lambda: read_text(self._file)), camera))

    async def check(self, request: Request) -> Response:
        """What would be wrong with other shapes, and which lines would change."""
        needs(request, "edit")
        camera = camera_of(request, self._state)
        shapes = (await body(request, NewShapes)).shapes
        before = _usable(lambda: read_text(self._file))
        told: dict[str, Any] = {"mistakes": [], "diff": [], "locked": lock(before, camera), "paste": None}
        if told["locked"] is not None:
            return answer({**told, "paste": _usable(lambda: to_paste(camera, shapes))})
        try:
            after = await asyncio.to_thread(changed_text, before, camera, shapes)
        except EditError as error:
            return answer({**told, "mistakes": [{"path": "", "line": None, "sentence": str(error)}]})
        mistakes = await self._mistakes(after, camera)
        return answer({**told, "mistakes": mistakes, "diff": await asyncio.to_thread(difference, before, after)})

    async def save(self, request: Request) -> Response:
        """Writes other shapes and has them take effect."""
        caller = needs(request, "edit")
        camera = camera_of(request, self._state)
        expected = request.headers.get("if-match", "").strip('" ')
        if not expected:
            raise Refusal(428, "no-if-match", "give the revision that was read as If-Match")
        shapes = (await body(request, NewShapes)).shapes
        return await self._save(caller, camera, shapes, expected)

    async def history(self, request: Request) -> Response:
        """The last saves."""
        needs(request, "edit")
        saves = await asyncio.to_thread(self._history.all)
        return answer({"saves": [{k: v for k, v in save.items() if k != "text"} for save in saves]})

    async def put_back(self, request: Request) -> Response:
        """A camera's shapes as they were before a save; what else has changed in the file since stays."""
        caller = needs(request, "edit")
        await body(request, Nothing)
        name = str(request.path_params["number"])
        save = self._history.one(int(name)) if name.isascii() and name.isdigit() and len(name) < 10 else None
        if save is None:
            raise Refusal(404, "not-found", "this save is not kept any more")
        camera, old = save["camera"], save["text"]
        shapes = Shapes.model_validate(present(old, camera, "", [])["shapes"])
        now = self._present(_usable(lambda: read_text(self._file)), camera)
        return await self._save(caller, camera, shapes, now["revision"])

    async def _save(self, caller: Caller, camera: str, shapes: Shapes, expected: str) -> Response:
        async with self._one:
            before = _usable(lambda: read_text(self._file))
            now = self._present(before, camera)
            if now["locked"] is not None:
                raise Refusal(423, "locked", now["locked"], paste=_usable(lambda: to_paste(camera, shapes)))
            if now["revision"] != expected:
                raise self._changed(before, camera)
            try:
                after = await asyncio.to_thread(changed_text, before, camera, shapes)
            except EditError as error:
                problem = {"path": "", "line": None, "sentence": str(error)}
                raise Refusal(422, "mistakes", str(error), mistakes=[problem]) from None
            if mistakes := await self._mistakes(after, camera):
                raise Refusal(422, "mistakes", mistakes[0]["sentence"], mistakes=mistakes)
            lines = await asyncio.to_thread(difference, before, after)
            if after == before:
                return answer({"detail": "nothing is different", "diff": [], "present": now})
            what = names_of_difference(now["shapes"], shapes.model_dump())
            role = str(caller.role)
            save = Save(
                number=0, time=moment(), camera=camera, what=what, role=role, address=caller.address, text=before
            )
            await self._write(camera, save, after)
            for line in lines:
                _log.info("%s:%d: %s by %s, role %s", self._file, line["line"], line["kind"], caller.address, role)
            detail = await self._reload(before, after)
            return answer({"detail": detail, "diff": lines, "present": self._present(after, camera)})

    async def _write(self, camera: str, save: Save, after: str) -> None:
        """The old text is kept first. Raises Refusal, and then has changed nothing."""

        def write() -> None:
            with locked_file(self._file):
                if read_text(self._file) != save["text"]:
                    raise ChangedError
                self._history.add(save)
                replace_text(self._file, save["text"], after)

        try:
            await asyncio.to_thread(write)
        except ChangedError:
            raise self._changed(_usable(lambda: read_text(self._file)), camera) from None
        except (UsageError, OSError) as error:
            raise Refusal(500, "internal", str(error)) from None

    async def _reload(self, before: str, after: str) -> str:
        """The daemon's sentence. Raises Refusal where it does not run with the new text, after putting the old back."""
        try:
            done = await self._link.reload()
        except Refusal as away:
            return f"the file is written; ospreyd has ended before it had read it, and reads it when it runs ({away})"
        if done["ok"]:
            return str(done["detail"])
        _log.error("the daemon has refused the new text, the old one is put back: %s", done["detail"])

        def put_back() -> None:
            with locked_file(self._file):
                replace_text(self._file, after, before)

        try:
            await asyncio.to_thread(put_back)
            await self._link.reload()
        except (ChangedError, UsageError, OSError, Refusal) as error:
            detail = f"{done['detail']}; and the file could not be put back: {error}"
            raise Refusal(409, "reload-refused", detail) from None
        raise Refusal(409, "reload-refused", f"{done['detail']}; the file is as it was")

    async def _mistakes(self, text: str, camera: str) -> list[dict[str, Any]]:
        done = await self._link.ask("check", text=text)
        if done["ok"]:
            return []
        return [mistake(problem, camera) for problem in done["problems"] or [done["detail"]]]

    def _present(self, text: str, camera: str) -> dict[str, Any]:
        def found() -> dict[str, Any]:
            model = self._state.models.get(model_of(text, camera))
            return present(text, camera, self._file.name, list(model["labels"]) if model else [])

        return dict(_usable(found))

    def _changed(self, text: str, camera: str) -> Refusal:
        detail = f"the shapes of {camera} have changed in the file since they were read"
        return Refusal(412, "changed", detail, present=self._present(text, camera))


def _usable(read: Callable[[], Any]) -> Any:
    """Raises Refusal where the file cannot be used, in place of UsageError."""
    try:
        return read()
    except UsageError as error:
        raise Refusal(423, "locked", str(error), paste="") from None
