"""JSON Schemas of the payloads, made from their types; `python -m daemon.publish.schemas FOLDER` writes them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter

from daemon.control.messages import AnswerPayload, SettingPayload
from daemon.publish.messages import CameraStatusPayload, DetectionsPayload, EventPayload, InfoPayload, StatsPayload

_VERSION = 1
_TITLES: dict[str, tuple[str, Any]] = {
    "detections": ("<prefix>/<device>/<camera>/detections", DetectionsPayload),
    "camera-status": ("<prefix>/<device>/<camera>/status", CameraStatusPayload),
    "event": ("<prefix>/<device>/<camera>/events", EventPayload),
    "info": ("<prefix>/<device>/info", InfoPayload),
    "stats": ("<prefix>/<device>/stats", StatsPayload),
    "setting": ("<prefix>/<device>/<camera>/state/<setting>", SettingPayload),
    "answer": ("<prefix>/<device>/answer", AnswerPayload),
}


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema (draft 2020-12) of every payload, by name."""
    return {
        name: {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:ospreyd:mqtt:{name}:{_VERSION}",
            **TypeAdapter(payload).json_schema(),
            "title": topic,
        }
        for name, (topic, payload) in _TITLES.items()
    }


def as_text(schema: dict[str, Any]) -> bytes:
    """A schema as it is written to a file: indented, in a stable order."""
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def write(folder: Path) -> None:
    """Writes `<name>.schema.json` for every payload into `folder`, which must exist."""
    for name, schema in schemas().items():
        (folder / f"{name}.schema.json").write_bytes(as_text(schema))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="writes the JSON Schema of every payload")
    parser.add_argument("folder", type=Path, help="where to, for example docs/mqtt")
    write(parser.parse_args().folder)
