"""A camera's zones, lines, masks and crop: as the file has them, as a page gives them, and what their keys mean."""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Any

import orjson
import yaml
from pydantic import Field

from daemon.config.camera import DEFAULT_MODEL
from daemon.config.edit import EditError, edit, locked, paste, read
from daemon.config.json_schema import json_schema
from daemon.config.syntax import NULL, compose
from daemon.web.answers import Given

_PART = r"(?:\.(?:[A-Za-z0-9_-]+|'[^']*'|\"[^\"]*\")|\[\d+\])"
_PROBLEM = re.compile(rf"(?P<file>.*?):(?P<line>\d+): (?:(?P<path>\w+{_PART}*): )?(?P<sentence>.*)", re.DOTALL)
_FROM_ENVIRONMENT = "#/$defs/from_environment"
_POINTS = 10_000


class Shapes(Given):
    """All of a camera."""

    zones: dict[str, dict[str, Any]] = Field(default_factory=dict, max_length=256)
    lines: dict[str, dict[str, Any]] = Field(default_factory=dict, max_length=256)
    masks: list[Any] = Field(default_factory=list, max_length=256)
    crop: list[Any] | None = Field(None, max_length=4)


class NewShapes(Given):
    """What they are to be."""

    shapes: Shapes


def present(text: str, camera: str, file: str, labels: list[str]) -> dict[str, Any]:
    """What the file has, fit for JSON; `labels` are those of the camera's model."""
    why, values, at = lock(text, camera), Shapes().model_dump(), {}
    if why is None:
        found = read(text, camera)
        values, at = found.values, found.lines
    return {
        "camera": camera,
        "file": file,
        "revision": revision(values),
        "locked": why,
        "shapes": values,
        "at": at,
        "schema": schemas(),
        "labels": labels,
        "tracking": _is_tracked(text, camera),
    }


def lock(text: str, camera: str) -> str | None:
    """Why they cannot be edited here; None where they can."""
    try:
        return locked(text, camera)
    except EditError as error:
        return str(error)


def revision(values: dict[str, Any]) -> str:
    """The same for the same values."""
    return hashlib.sha256(orjson.dumps(values, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def changed_text(text: str, camera: str, shapes: Shapes) -> str:
    """The file's text with these. Raises EditError."""
    for key, value in shapes.model_dump().items():
        text = edit(text, ("cameras", camera, key), value)
    return text


def to_paste(camera: str, shapes: Shapes) -> str:
    """The lines that a person would write."""
    given = [(key, value) for key, value in shapes.model_dump().items() if value]
    parts = [paste(("cameras", camera, key), value).split("\n", 2) for key, value in given]
    return "\n".join([*parts[0][:2], *(part[2].rstrip("\n") for part in parts)]) + "\n" if parts else ""


def names_of_difference(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Which of them differ, such as `zones.porch, masks`."""
    found = []
    for key, old in before.items():
        new = after[key]
        if isinstance(old, dict) and isinstance(new, dict):
            found += [f"{key}.{name}" for name in {**old, **new} if old.get(name) != new.get(name)]
        elif old != new:
            found.append(key)
    return ", ".join(found)[:500]


def mistake(problem: str, camera: str) -> dict[str, Any]:
    """One line of the daemon's about a file as path below the camera, line and sentence."""
    match = _PROBLEM.fullmatch(problem)
    if match is None:
        return {"path": "", "line": None, "sentence": problem}
    path, mine = match["path"] or "", f"cameras.{camera}."
    if not path.startswith(mine):
        return {"path": "", "line": int(match["line"]), "sentence": f"{path}: {match['sentence']}".removeprefix(": ")}
    below = [part.strip(".[]'\"") for part in re.findall(_PART, f".{path.removeprefix(mine)}")]
    return {"path": ".".join(below), "line": int(match["line"]), "sentence": match["sentence"]}


@functools.cache
def schemas() -> dict[str, Any]:
    """JSON Schemas of the values, each complete in itself."""
    whole = json_schema()
    known, camera = whole["$defs"], whole["$defs"]["camera"]["properties"]
    of_mask = _choice(camera["masks"])["items"]
    found = {"zone": known["zone"], "line": known["line"], "mask": of_mask, "crop": camera["crop"]}
    return {name: _plain(schema) for name, schema in found.items()}


def model_of(text: str, camera: str) -> str:
    """The model that a camera names in the file."""
    node = _at(text, "cameras", camera, "model")
    return str(node.value) if isinstance(node, yaml.ScalarNode) else DEFAULT_MODEL


def _is_tracked(text: str, camera: str) -> bool:
    """Whether the file has the camera's objects followed, without which zones and lines raise no events."""
    own = _at(text, "cameras", camera, "tracking")
    node = own if own is not None else _at(text, "tracking")
    return node is not None and node.tag != NULL


def _at(text: str, *path: str) -> yaml.Node | None:
    node: yaml.Node | None = compose("the file", text.removeprefix("\ufeff"))
    for part in path:
        entries = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for key, value in entries if key.value == part), None)
    return node


def _plain(schema: Any) -> Any:
    """Without the choice to name a variable of the environment, which no page gives."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: _plain(value) for key, value in schema.items()}
    if "anyOf" in schema:
        choices = [one for one in schema.pop("anyOf") if one.get("$ref") != _FROM_ENVIRONMENT]
        schema |= choices[0] if len(choices) == 1 else {"anyOf": choices}
    return schema


def _choice(schema: dict[str, Any]) -> dict[str, Any]:
    return dict(schema["anyOf"][0]) if "anyOf" in schema else schema
