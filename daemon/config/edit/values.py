"""JSON values as YAML: how they are compared with nodes, read from them, and written."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable, Iterator

import yaml

from daemon.config.syntax import NULL

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_PLAIN = re.compile(r"[^\W\d_]([\w .()+-]*[\w()+-])?")
_SPECIAL = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
_BOOLEANS = {"true": True, "false": False}


def canonical(value: object) -> Hashable:
    """What two values have in common that mean the same: a node of the file or a JSON value.

    The configuration reads every scalar as text, so `5`, `5.0` and `"5"` mean the same.
    """
    if isinstance(value, yaml.Node):
        return _of_node(value)
    if isinstance(value, dict):
        return frozenset((key, canonical(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(canonical(item) for item in value)
    if isinstance(value, bool):
        return ("bool", value)
    return None if value is None else _of_text(str(value))


def _of_node(node: yaml.Node) -> Hashable:
    if isinstance(node, yaml.MappingNode):
        return frozenset((key.value, _of_node(item)) for key, item in node.value)
    if isinstance(node, yaml.SequenceNode):
        return tuple(_of_node(item) for item in node.value)
    return None if node.tag == NULL else _of_text(node.value)


def _of_text(text: str) -> Hashable:
    if _NUMBER.fullmatch(text):
        return ("number", float(text))
    boolean = _BOOLEANS.get(text.lower())
    return ("text", text) if boolean is None else ("bool", boolean)


def json_value(node: yaml.Node) -> object:
    """The value of a node without aliases: text that looks like a number is one, plain text also a boolean."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: json_value(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [json_value(item) for item in node.value]
    if node.tag == NULL:
        return None
    text = str(node.value)
    if _NUMBER.fullmatch(text):
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    return text if isinstance(node, yaml.ScalarNode) and node.style else _BOOLEANS.get(text.lower(), text)


def unwritable(value: object) -> str | None:
    """Why the value cannot be written to the file, or None."""
    if isinstance(value, dict):
        parts = [*value, *value.values()]
        wrong = next((f"the key {key!r} is not text" for key in value if not isinstance(key, str)), None)
        return wrong or next(filter(None, map(unwritable, parts)), None)
    if isinstance(value, (list, tuple)):
        return next(filter(None, map(unwritable, value)), None)
    if isinstance(value, str):
        if "${" in value:
            return "text must not hold ${, which stands for a value from outside the file"
        return None if all(map(str.isprintable, value)) else "text must not hold control characters"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not a finite number"
    return None if value is None or isinstance(value, (int, float)) else f"{type(value).__name__} is not a JSON value"


def flow(value: object, style: str | None = None) -> str:
    """The value on one line. `style`: ' or " for text that stood in these quotes before."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(flow, value)) + "]"
    return _scalar(value, style)


def _scalar(value: object, style: str | None) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if style == "'":
        return "'" + value.replace("'", "''") + "'"
    if style is None and _PLAIN.fullmatch(value) and value.lower() not in _SPECIAL:
        return value
    return json.dumps(value, ensure_ascii=False)


def block(key: str, value: object, indent: str, step: str) -> Iterator[str]:
    """The lines of an entry: mappings in block style, a polygon a line, everything else in flow style."""
    if isinstance(value, dict) and value:
        yield f"{indent}{flow(key)}:"
        for name, item in value.items():
            yield from block(name, item, indent + step, step)
    elif polygons := _polygons(value):
        yield f"{indent}{flow(key)}:"
        yield from (f"{indent}{step}- {flow(polygon)}" for polygon in polygons)
    else:
        yield f"{indent}{flow(key)}: {flow(value)}"


def _polygons(value: object) -> list[object]:
    """The items of a list of lists of points; [] where it is anything else."""
    items = list(value) if isinstance(value, (list, tuple)) else []
    first: object = items
    for _ in range(3):
        if not isinstance(first, (list, tuple)) or not first:
            return []
        first = first[0]
    return items
