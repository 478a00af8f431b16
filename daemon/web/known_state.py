"""What is known of the daemon now, of the lines that it has sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

Line = dict[str, Any]

_DETECTIONS = 32  # of a camera, by which the boxes of a picture are found
_STATES = {"daemon", "broker", "info", "stats", "camera", "setting", "zone", "line"}
_OF_CAMERA = {"setting": "setting", "zone": "zone", "line": "line"}
"""by kind, the field that names it beside the camera"""


class KnownState:
    """For one event loop."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, ...], tuple[Line, bytes]] = {}
        self._detections: dict[str, deque[tuple[int, bytes]]] = {}
        """by camera, with the sequence of their frames, oldest first"""

    def take(self, line: Line, data: bytes) -> None:
        """Takes a line of the daemon; one that starts again forgets all."""
        kind = line["kind"]
        if kind == "daemon" and line["connected"]:
            self._lines.clear()
            self._detections.clear()
        elif kind == "detections":
            self._detections.setdefault(line["camera"], deque(maxlen=_DETECTIONS)).append((line["sequence"], data))
            return
        elif kind == "gone":
            self._lines.pop(_key({**line, "kind": line["of"]}), None)
            return
        elif kind not in _STATES:
            return
        self._lines[_key(line)] = line, data

    def __len__(self) -> int:
        """How many lines hold now."""
        return len(self._lines)

    def lines(self) -> Iterator[bytes]:
        """All that holds now, as it was sent."""
        return (data for _, data in list(self._lines.values()) if data)

    def detections(self, camera: str, sequence: int) -> bytes | None:
        """Those of a frame; None where there are none yet, or none at all."""
        return next((data for number, data in self._detections.get(camera, ()) if number == sequence), None)

    def latest_detections(self, camera: str) -> tuple[int, bytes]:
        """The newest of a camera, and their frame's sequence; 0 where there are none."""
        kept = self._detections.get(camera)
        return kept[-1] if kept else (0, b"")

    def one(self, kind: str) -> Line | None:
        """The payload of a kind of which there is one."""
        return _payload(self._lines.get((kind,)))

    def camera(self, name: str) -> Line | None:
        """What the daemon has told of a camera's state; None where it has no such camera."""
        return _payload(self._lines.get(("camera", name)))

    @property
    def cameras(self) -> list[str]:
        """That the daemon has."""
        info = self.one("info")
        return list(info["cameras"]) if info else []

    @property
    def models(self) -> Line:
        """By name."""
        info = self.one("info")
        return dict(info["models"]) if info else {}

    def document(self) -> Line:
        """Everything, fit for JSON."""
        cameras: dict[str, Line] = {
            name: {"status": self.camera(name), "settings": {}, "zones": {}, "lines": {}} for name in self.cameras
        }
        for (kind, *names), (line, _) in self._lines.items():
            if kind in _OF_CAMERA and names[0] in cameras:
                cameras[names[0]][f"{kind}s"][names[1]] = _payload((line, b""))
        told = {kind: self.one(kind) for kind in ("daemon", "broker", "info", "stats")}
        return {**told, "cameras": cameras}


def _key(line: Line) -> tuple[str, ...]:
    kind = line["kind"]
    if kind in _OF_CAMERA:
        return kind, line["camera"], line[_OF_CAMERA[kind]]
    return (kind, line["camera"]) if kind == "camera" else (kind,)


def _payload(kept: tuple[Line, bytes] | None) -> Line | None:
    return None if kept is None else {key: value for key, value in kept[0].items() if key != "kind"}
