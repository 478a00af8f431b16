"""Pydantic's errors as plain sentences that say what would be right."""

from __future__ import annotations

import difflib

from pydantic_core import ErrorDetails

from daemon.config.document import Document
from daemon.config.json_schema import Schema, field_schema
from daemon.config.section import MISTAKE, MISTAKEN_VALUE, NAME_RULE


def report(document: Document, error: ErrorDetails) -> None:
    """Notes one of pydantic's errors in the document that was validated."""
    path, kind = error["loc"], error["type"]
    if path and path[-1] == "[key]":
        document.report(path[:-1], error["msg"] if kind == MISTAKE else NAME_RULE, at_key=True)
    elif kind == "missing":
        document.report(path, "is required")
    elif kind == "extra_forbidden":
        document.report(path, _unknown_key(str(path[-1]), field_schema(path[:-1])), at_key=True)
    elif kind in (MISTAKE, MISTAKEN_VALUE):
        document.report(path, error["msg"], show_value=kind == MISTAKEN_VALUE)
    else:
        schema = field_schema(path)
        document.report(path, requirement(schema), show_value=not schema.get("writeOnly"))


def requirement(schema: Schema) -> str:
    """'must be …', from the JSON Schema of a value."""
    if "patternErrorMessage" in schema:
        return str(schema["patternErrorMessage"])
    if "enum" in schema:
        return "must be one of " + ", ".join(map(str, schema["enum"]))
    match schema.get("type"):
        case "integer":
            what = _number("whole number", schema)
        case "number":
            what = _number("number", schema)
        case "boolean":
            what = "true or false"
        case "array":
            what = "a list"
        case "object":
            what = _mapping(schema)
        case _:
            what = "text that is not empty" if schema.get("minLength") else "text"
    return f"must be {what}"


def _number(noun: str, limits: Schema) -> str:
    if limits.get("exclusiveMinimum") == 0:
        return f"a positive {noun}"
    if "maximum" in limits:
        return f"a {noun} from {limits['minimum']:g} to {limits['maximum']:g}"
    return f"a {noun} of {limits['minimum']:g} or more"


def _mapping(schema: Schema) -> str:
    if "properties" in schema:
        return f"a mapping (of {', '.join(schema['properties'])})"
    return "a mapping with at least one name in it" if schema.get("minProperties") else "a mapping"


def _unknown_key(key: str, section: Schema) -> str:
    known = list(section["properties"])
    if close := difflib.get_close_matches(key.lower(), known, n=1):
        return f"is not a known key; did you mean {close[0]!r}?"
    return f"is not a known key; known here are {', '.join(known)}"
