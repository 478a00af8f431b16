"""JSON Schemas of the payloads, made from their types; `python -m daemon.publish.schemas FOLDER` writes them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter

from daemon.publish.channels import CHANNELS

_VERSION = 1


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema (draft 2020-12) of every JSON payload, by name."""
    return {
        one.name: {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:ospreyd:mqtt:{one.name}:{_VERSION}",
            **TypeAdapter(one.payload).json_schema(),
            "title": one.topic.translate(str.maketrans("{}", "<>")),
        }
        for one in CHANNELS
        if not isinstance(one.payload, dict)
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
