"""The endpoints of the page as an OpenAPI document; `python -m daemon.web.openapi` prints it."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import BaseModel

from daemon import __version__
from daemon.web.commanding import NewValue, Nothing
from daemon.web.page_login import Credentials
from daemon.web.shape_values import NewShapes

_JSON = "application/json"
_QUERY: dict[str, dict[str, Any]] = {
    "after": {"type": "integer", "minimum": 0, "default": 0},
    "width": {"type": "integer", "minimum": 0, "maximum": 4096, "default": 640},
    "edited": {"enum": [0, 1], "default": 1},
}
_ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "detail": {"type": "string"}},
    "required": ["error", "detail"],
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One endpoint."""

    about: str
    role: str | None
    """view or edit; None: anybody"""
    body: type[BaseModel] | None = None
    query: tuple[str, ...] = ()
    errors: tuple[int, ...] = ()
    """beside those that every endpoint may answer"""
    media: str | None = _JSON
    """None: no content"""


OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "session"): Operation("Who is logged in.", None),
    ("POST", "session"): Operation("Logs in by password or by the token of a link.", None, Credentials, errors=(401,)),
    ("DELETE", "session"): Operation("Logs out.", None, media=None),
    ("GET", "state"): Operation("Everything that is known of the daemon.", "view"),
    ("GET", "events"): Operation("The latest events.", "view", query=("after",)),
    ("GET", "events/{number}.jpg"): Operation("The picture of an event.", "view", media="image/jpeg"),
    ("GET", "log"): Operation("The latest lines of the daemon's log.", "edit", query=("after",)),
    ("GET", "cameras/{camera}/picture.jpg"): Operation(
        "One picture, now; unedited for role edit.", "view", query=("width", "edited"), media="image/jpeg"
    ),
    ("GET", "cameras/{camera}/timeline"): Operation("The last hour.", "view"),
    ("GET", "cameras/{camera}/shapes"): Operation("Zones, lines, masks and crop as the file has them.", "view"),
    ("PUT", "cameras/{camera}/shapes"): Operation(
        "Writes them, with If-Match: the revision that was read.", "edit", NewShapes, errors=(409, 412, 423, 428)
    ),
    ("POST", "cameras/{camera}/shapes/check"): Operation("What would be wrong, and change.", "edit", NewShapes),
    ("POST", "cameras/{camera}/set/{setting}"): Operation("Changes a setting.", "edit", NewValue, errors=(409,)),
    ("GET", "history"): Operation("The last saves.", "edit"),
    ("POST", "history/{number}"): Operation("Puts back what was before one.", "edit", Nothing, errors=(409, 423)),
    ("POST", "reload"): Operation("Reads the configuration again.", "edit", Nothing, errors=(409,)),
    ("POST", "models/{model}/build"): Operation("Builds a model's engine again.", "edit", Nothing, errors=(409,)),
}
"""by method and path below api/"""


def openapi() -> dict[str, Any]:
    """The document, fit for JSON."""
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Any] = {"Error": _ERROR}
    for (method, path), operation in OPERATIONS.items():
        paths.setdefault(f"/api/{path}", {})[method.lower()] = _operation(path, operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ospreyd's web page",
            "version": __version__,
            "description": "What the page asks of its process; live states and pictures come over a WebSocket.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"session": {"type": "apiKey", "in": "cookie", "name": "ospreyd_<device>"}},
        },
    }


def _operation(path: str, operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]
    parameters += [{"name": name, "in": "query", "schema": _QUERY[name]} for name in operation.query]
    statuses = {403, 421, *operation.errors, *((401,) if operation.role else ())}
    statuses |= {413, 415, 422, 429} if operation.body else set()
    statuses |= {404, 503} if parameters else set()
    told: dict[str, Any] = {"description": operation.about}
    if operation.media is not None:
        told["content"] = {operation.media: {}}
    answers: dict[str, Any] = {"204" if operation.media is None else "200": told}
    refused = {"description": "Why not.", "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}}
    answers |= {str(status): refused for status in sorted(statuses)}
    described: dict[str, Any] = {"summary": operation.about, "parameters": parameters, "responses": answers}
    if operation.role is not None:
        described |= {"security": [{"session": [operation.role]}]}
    if operation.body is not None:
        shape = operation.body.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= shape.pop("$defs", {})
        schemas[operation.body.__name__] = shape
        reference = {"$ref": f"#/components/schemas/{operation.body.__name__}"}
        described["requestBody"] = {"required": True, "content": {_JSON: {"schema": reference}}}
    return described


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(openapi(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
