"""Zones, lines, masks and crops of a camera, changed in the text of a configuration file.

Nothing else of a file is ever changed here: other keys can run programs or send data elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml

from daemon.config.document import dotted
from daemon.config.edit.changes import Changes
from daemon.config.edit.source import Source, merged_keys, own_entries
from daemon.config.edit.values import block, canonical, json_value, unwritable
from daemon.config.syntax import MERGE, NULL, TEXT
from daemon.errors import ConfigError, UsageError

KEYS = ("zones", "lines", "masks", "crop")
_PLAIN_TAGS = {TEXT, NULL, *(f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "int", "float", "bool"))}
_LARGEST = 100_000
"""characters that a new value may have"""


class EditError(UsageError):
    """The file cannot be changed this way; one sentence, with the line where there is one."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """What the file says of a camera's zones, lines, masks and crop."""

    values: dict[str, object]
    """zones and lines by name, masks, crop; only keys that the file has, numbers as numbers"""
    lines: dict[str, int]
    """lines in the file, from 1 on, of `zones.porch`, `masks.0`, `crop`"""


def edit(text: str, path: Sequence[str], value: object) -> str:
    """The text with another value at `path`, which is cameras, the camera's name, and one of KEYS.

    `value` is plain JSON; an empty one or None removes the key. Only the lines of what differs are changed; every
    comment, and everything else, stays. Raises EditError where that cannot be done.
    """
    key = _key(path)
    value = value or None
    if (why := unwritable(value)) is not None:
        raise EditError(f"{dotted(path)}: {why}")
    if len(repr(value)) > _LARGEST:
        raise EditError(f"{dotted(path)}: is longer than {_LARGEST} characters; give fewer points")
    ending = "\r\n" if "\r\n" in text else "\n"
    whole = text if text.endswith(("\n", "\r")) else text + ending
    source = _source(whole)
    camera = _camera(source, path[1])
    if why := _lock(source, path[1], camera, key):
        raise EditError(why)
    present = own_entries(camera).get(key)
    if canonical(present[1] if present else None) == canonical(value):
        return text
    changes = Changes(source, _step(source, camera))
    changes.entry(camera, key, value)
    try:
        changed = changes.apply()
        _verify(source, _source(changed), path, value)
    except (ValueError, EditError, StopIteration, IndexError):
        line = camera.start_mark.line + 1
        raise EditError(
            f"line {line}: {dotted(path)} is written in a way that only a person can change; edit it by hand"
        ) from None
    return changed if whole == text else changed.removesuffix(ending)


def locked(text: str, camera: str) -> str | None:
    """Why the shapes of a camera cannot be edited, with the line, or None. Raises EditError without such a camera."""
    source = _source(text)
    node = _camera(source, camera)
    return next(filter(None, (_lock(source, camera, node, key) for key in KEYS)), None)


def read(text: str, camera: str) -> Shapes:
    """The shapes of a camera, where they are not locked. Raises EditError without such a camera."""
    node = _camera(_source(text), camera)
    entries = own_entries(node)
    values: dict[str, object] = {"zones": {}, "lines": {}, "masks": [], "crop": None}
    lines: dict[str, int] = {}
    for key in KEYS:
        if key not in entries or canonical(entries[key][1]) is None:
            continue
        name, value = entries[key]
        values[key] = json_value(value)
        lines |= {".".join((key, *part)): mark.line + 1 for part, mark in _parts(name, value)}
    return Shapes(values, lines)


def paste(path: Sequence[str], value: object) -> str:
    """The lines that give the value, as a person would paste them into a file that is indented by two blanks."""
    key = _key(path)
    shown = ["cameras:", f"  {path[1]}:", *block(key, value, "    ", "  ")]
    return "\n".join(shown) + "\n"


def _parts(key: yaml.Node, value: yaml.Node) -> Iterator[tuple[tuple[str, ...], yaml.Mark]]:
    if isinstance(value, yaml.MappingNode):
        yield from (((name,), entry[0].start_mark) for name, entry in own_entries(value).items())
    elif isinstance(value, yaml.SequenceNode) and value.value and isinstance(value.value[0], yaml.SequenceNode):
        yield from (((str(index),), item.start_mark) for index, item in enumerate(value.value))
    else:
        yield (), key.start_mark


def _key(path: Sequence[str]) -> str:
    if len(path) != 3 or path[0] != "cameras" or path[2] not in KEYS:
        raise EditError(f"{dotted(path)}: only zones, lines, masks and crop of a camera can be edited")
    return path[2]


def _source(text: str) -> Source:
    try:
        return Source("the file", text)
    except ConfigError as error:
        raise EditError(str(error)) from None


def _camera(source: Source, name: str) -> yaml.MappingNode:
    """The mapping of a camera that stands in the file itself."""
    node: yaml.Node = source.root
    path: list[str] = []
    for part in ("cameras", name):
        found = own_entries(node).get(part) if isinstance(node, yaml.MappingNode) else None
        if found is None:
            raise EditError(f"the file has no {dotted([*path, part])}; only cameras of the file itself can be edited")
        node = found[1]
        path.append(part)
        if source.is_alias(node):
            line = node.start_mark.line + 1
            raise EditError(
                f"line {line}: {dotted(path)} is written elsewhere and used through an alias; edit it by hand"
            )
    if not isinstance(node, yaml.MappingNode):
        raise EditError(f"line {node.start_mark.line + 1}: {dotted(path)} has no keys")
    return node


def _lock(source: Source, name: str, camera: yaml.MappingNode, key: str) -> str | None:
    """Why the value cannot be edited: something of it is used elsewhere, or comes from there."""
    path = dotted(("cameras", name, key))
    entry = own_entries(camera).get(key)
    if key in merged_keys(camera):
        return f"line {camera.start_mark.line + 1}: {path} comes from << or overrides it; edit it by hand"
    cameras = own_entries(source.root)["cameras"][1]
    nodes = [source.root, cameras, camera, *([entry[1]] if entry else [])]
    for node in nodes:
        if used := _anchor(source, node, inside=entry is not None and node is entry[1]):
            return f"line {used.start_mark.line + 1}: {path} is used elsewhere as *{used.value}; edit it by hand"
    for node in _all(source, entry[1]) if entry else ():
        line = node.start_mark.line + 1
        if source.is_alias(node):
            return f"line {line}: {path} uses an alias; edit it by hand"
        if node.tag == MERGE:
            return f"line {line}: {path} uses <<; edit it by hand"
        if node.tag not in _PLAIN_TAGS:
            return f"line {line}: {path} uses a tag ({node.tag.rpartition(':')[2]}); edit it by hand"
    return None


def _anchor(source: Source, node: yaml.Node, *, inside: bool) -> yaml.AnchorToken | None:
    """The anchor of a node, or of what is in it, that an alias names."""
    start = node.start_mark.index
    end = source.end(node) if inside else start + 1
    named = (a for a in source.anchors if a.value in source.aliases and start <= a.start_mark.index < end)
    return next(named, None)


def _all(source: Source, node: yaml.Node) -> Iterator[yaml.Node]:
    yield node
    if isinstance(node, yaml.CollectionNode) and not source.is_alias(node):
        for part in node.value:
            for one in part if isinstance(part, tuple) else (part,):
                yield from _all(source, one)


def _step(source: Source, camera: yaml.MappingNode) -> str:
    """How far the file indents."""
    key = own_entries(source.root)["cameras"][1]
    deeper = camera.value[0][0].start_mark.column - key.start_mark.column if camera.value else 0
    return " " * deeper if deeper > 0 and not camera.flow_style else "  "


def _verify(before: Source, after: Source, path: Sequence[str], value: object) -> None:
    """That the value is the wanted one, everything else is equal and no comment is lost. Raises EditError."""
    entry = own_entries(_camera(after, path[1])).get(path[2])
    if canonical(entry[1] if entry else None) != canonical(value):
        raise EditError("another value")
    if _others(before.root, path) != _others(after.root, path):
        raise EditError("something else changed")
    if Counter(comment.text for comment in before.comments) != Counter(comment.text for comment in after.comments):
        raise EditError("a comment is lost")


def _others(node: yaml.Node, path: Sequence[str]) -> object:
    """Everything but the value at `path`: tags, texts and their order. Each aliased part once."""
    seen: dict[int, int] = {}

    def plain(node: yaml.Node, path: Sequence[str] | None) -> object:
        if isinstance(node, yaml.ScalarNode):
            return node.tag, node.value
        if path is None and id(node.value) in seen:
            return seen[id(node.value)]
        seen[id(node.value)] = len(seen)
        if isinstance(node, yaml.SequenceNode):
            return node.tag, [plain(item, None) for item in node.value]
        return node.tag, [
            (plain(key, None), plain(item, path[1:] if path and key.value == path[0] else None))
            for key, item in node.value
            if not (path and len(path) == 1 and key.value == path[0])
        ]

    return plain(node, path)
