"""The configuration's JSON Schema, for editors and for the sentences of error messages."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from daemon.config.schema import Config
from daemon.config.section import NAME_RULE, SHORT_FORM

Schema = dict[str, Any]

_NOTES = ("description", "default")
_FREE_TEXT = {"type", "format", "writeOnly", "minLength"}
"""Keywords of a value that any text satisfies, `${NAME}` too."""
_FROM_ENVIRONMENT: Schema = {
    "description": "text with ${NAME} or ${NAME:-default}, filled in from the environment",
    "type": "string",
    "pattern": r"\$\{",
}


def json_schema() -> Schema:
    """JSON Schema (draft 2020-12) of a configuration file as it is written, `${NAME}` in place of a value included."""
    config = _of_config()
    sections = {name: section for name, section in config["$defs"].items() if "properties" in section}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ospreyd configuration",
        **_section(config),
        "$defs": {
            **{name.lower(): _section(section) for name, section in sections.items()},
            "from_environment": _FROM_ENVIRONMENT,
        },
    }


def field_schema(path: Sequence[str | int]) -> Schema:
    """The schema that the value at `path` must meet, references followed and null left out; {} if there is none."""
    schema = _of_config()
    for part in path:
        schema = _child(schema, part)
        if "anyOf" in schema:
            schema = next(choice for choice in schema["anyOf"] if choice.get("type") != "null")
        schema = _followed(schema)
    return schema


@functools.cache
def _of_config() -> Schema:
    return Config.model_json_schema()


def _child(schema: Schema, part: str | int) -> Schema:
    if isinstance(part, int):
        child = schema.get("items", {})
    elif "patternProperties" in schema:
        child = next(iter(schema["patternProperties"].values()))
    elif "properties" not in schema and isinstance(schema.get("additionalProperties"), dict):
        child = schema["additionalProperties"]
    else:
        child = schema.get("properties", {}).get(part, {})
    return dict(child)


def _followed(schema: Schema) -> Schema:
    return dict(_of_config()["$defs"][schema["$ref"].rsplit("/", 1)[1]]) if "$ref" in schema else schema


def _section(schema: Schema) -> Schema:
    properties = {name: _property(value) for name, value in schema["properties"].items()}
    return {
        **{key: schema[key] for key in schema if key not in ("title", "$defs", SHORT_FORM)},
        "properties": properties,
    }


def _property(schema: Schema) -> Schema:
    notes = {key: schema[key] for key in _NOTES if schema.get(key) is not None}
    choices = [choice for one in schema.get("anyOf", [schema]) for choice in _choices(one)]
    return {**notes, **(choices[0] if len(choices) == 1 else {"anyOf": choices})}


def _choices(schema: Schema) -> list[Schema]:
    """A value's schema without notes, and beside it the reference to the environment where free text would not do."""
    if "$ref" in schema and "properties" in _followed(schema):
        return [{"$ref": schema["$ref"].lower()}]
    plain = {key: value for key, value in _followed(schema).items() if key not in (*_NOTES, "title")}
    if "patternProperties" in plain:
        ((pattern, named),) = plain.pop("patternProperties").items()
        plain["propertyNames"] = {"pattern": pattern, "patternErrorMessage": NAME_RULE}
        reference = {"$ref": named["$ref"].lower()}
        short = _followed(named).get(SHORT_FORM)
        text = {"description": short, "type": "string"}
        plain["additionalProperties"] = {"anyOf": [text, reference]} if short else reference
    elif isinstance(plain.get("additionalProperties"), dict):
        plain["additionalProperties"] = {"$ref": plain["additionalProperties"]["$ref"].lower()}
    free_text = "string" in plain["type"] and set(plain) <= _FREE_TEXT
    if free_text or plain["type"] in ("object", "array", "null"):
        return [plain]
    return [plain, {"$ref": "#/$defs/from_environment"}]
