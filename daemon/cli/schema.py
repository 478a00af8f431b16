"""`ospreyd schema`: the JSON Schemas of the configuration and of each payload."""

from __future__ import annotations

from typing import Annotated

import orjson
import typer

from daemon.config.json_schema import json_schema
from daemon.errors import UsageError
from daemon.publish.asyncapi import asyncapi
from daemon.publish.schemas import schemas


def schema(name: Annotated[str, typer.Argument(help="config, asyncapi, or a payload: detections, info, …")]) -> None:
    """Prints one JSON Schema, or the AsyncAPI document of all topics and payloads."""
    known = {"config": json_schema(), "asyncapi": asyncapi(), **schemas()}
    if name not in known:
        raise UsageError(f"there is no schema {name!r}; known: {', '.join(known)}")
    typer.echo(orjson.dumps(known[name], option=orjson.OPT_INDENT_2).decode())
