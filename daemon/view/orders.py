"""What the web process asks of the daemon: pictures, readings, and what commands do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError
from typing_extensions import NotRequired, TypedDict

from daemon.capture.picture_wishes import Filled, Wish
from daemon.control.commands import BuildEngine, ChangeSetting, CheckText, Command, Order, Reload
from daemon.control.settings import Setting, checked
from daemon.records.wire import rfc3339
from daemon.system.descriptors import OwnDescriptor
from daemon.system.log_output import LogLine
from daemon.system.logs import latest_lines
from daemon.view.event_memory import EventMemory
from daemon.view.last_hour import EVERY, LastHour
from daemon.view.peer import Peer, PeerGoneError
from daemon.view.picture_budget import PictureBudget
from daemon.view.picture_memory import mapped

_WIDTHS = 16, 4096  # pixels


class Asked(TypedDict):
    """One line of the web process."""

    do: str
    id: NotRequired[int]
    """comes back in the answer"""
    cameras: NotRequired[list[str]]
    camera: NotRequired[str]
    model: NotRequired[str]
    width: NotRequired[int]
    edited: NotRequired[bool]
    shown: NotRequired[int]
    """how many pages got the picture before it"""
    text: NotRequired[str]
    setting: NotRequired[str]
    value: NotRequired[Any]
    after: NotRequired[int]
    number: NotRequired[int]


_ASKED = TypeAdapter(Asked)


@dataclass(frozen=True, slots=True)
class Readings:
    """What can be read at once."""

    events: EventMemory
    hour: LastHour
    waiting: Callable[[], int]
    """events that wait for the broker"""


class Orders:
    """For the view's thread."""

    def __init__(
        self,
        readings: Readings,
        pictures: PictureBudget,
        order: Callable[[Order], bool],
        send: Callable[[bytes], None],
        watch: Callable[[frozenset[str]], None],
    ) -> None:
        """`order` has a command executed and is False where too many wait; `send` takes lines, from any thread."""
        self._readings = readings
        self._pictures = pictures
        self._order = order
        self._send = send
        self._watch = watch

    def take(self, message: dict[str, Any], peer: Peer) -> None:
        """Does what is asked, or begins it. Raises PeerGoneError for what nobody of ours would ask."""
        try:
            asked = _ASKED.validate_python(message)
            self._do(asked, peer)
        except (ValidationError, KeyError) as error:
            raise PeerGoneError(f"it asks for something unknown ({type(error).__name__})") from None

    def _do(self, asked: Asked, peer: Peer) -> None:
        match asked["do"]:
            case "watch":
                self._watch(frozenset(asked["cameras"]))
            case "picture":
                self._picture(asked, OwnDescriptor(peer.take_descriptor()))
            case "log":
                last, lines = latest_lines(asked["after"])
                self._answer(asked, last=last, lines=[_log_line(line) for line in lines])
            case "timeline":
                self._answer(asked, every_s=EVERY, points=self._readings.hour.points(asked["camera"]))
            case "events":
                messages = self._readings.events.messages(asked["after"], self._readings.waiting())
                events = orjson.Fragment(b"[" + b",".join(messages) + b"]")
                self._answer(asked, last=self._readings.events.last, events=events)
            case "event-picture":
                jpeg = self._readings.events.picture(asked["number"])
                self._answer(asked, jpeg=None if jpeg is None else jpeg.hex())
            case _:
                self._execute(asked)

    def _execute(self, asked: Asked) -> None:
        command: Command
        name = asked["do"]
        match name:
            case "check":
                command = CheckText(asked["text"])
            case "reload":
                command = Reload()
            case "build-engine":
                command = BuildEngine(asked["model"])
            case "set":
                name = f"{asked['camera']}/set/{asked['setting']}"
                try:
                    command = _change(asked["camera"], asked["setting"], asked["value"])
                except ValueError as error:
                    self._answer(asked, ok=False, detail=str(error), problems=[])
                    return
            case _:
                raise KeyError(name)
        if not self._order(Order(name, command, partial(self._executed, asked["id"]))):
            self._answer(asked, ok=False, detail="too many commands wait; try again", problems=[])

    def _executed(self, number: int, ok: bool, detail: str, problems: Sequence[str]) -> None:
        """In the thread that executes."""
        told = {"ok": ok, "detail": _printable(detail), "problems": [_printable(one) for one in problems]}
        self._send(orjson.dumps({"kind": "answer", "id": number, **told}))

    def _answer(self, asked: Asked, **what: Any) -> None:
        self._send(orjson.dumps({"kind": "answer", "id": asked["id"], **what}))

    def _picture(self, asked: Asked, descriptor: OwnDescriptor) -> None:
        try:
            memory = mapped(descriptor.number)
        except ValueError as error:
            raise PeerGoneError(str(error)) from None
        width = min(max(asked["width"], _WIDTHS[0]), _WIDTHS[1])
        wish = Wish(memory, width, asked["edited"], partial(self._filled, asked["id"]), descriptor)
        self._pictures.ask(asked["camera"], wish, asked["shown"])

    def _filled(self, number: int, filled: Filled) -> None:
        """In the camera's thread."""
        told = {
            "id": number,
            "camera": filled.camera,
            "sequence": filled.sequence,
            "captured_at": rfc3339(filled.captured_at),
            "width": filled.width,
            "height": filled.height,
        }
        self._send(orjson.dumps({"kind": "filled", **told}))


def _change(camera: str, name: str, value: object) -> ChangeSetting:
    """Raises ValueError."""
    if name not in set(Setting):
        raise ValueError(f"{name} is no setting; these can be set: {', '.join(Setting)}")
    setting = Setting(name)
    try:
        return ChangeSetting(camera, setting, checked(setting, value))
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def _log_line(line: LogLine) -> dict[str, object]:
    return {"number": line.number, "time": rfc3339(line.time), "level": line.level, "text": _printable(line.text)}


def _printable(text: str) -> str:
    """Names of files need not be Unicode, JSON must be."""
    return text.encode(errors="replace").decode()
