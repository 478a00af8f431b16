"""The lines of a configuration file that change, fit to be shown: without what is secret in them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import TypedDict

import yaml

from daemon.config.credentials import HIDDEN, without_credentials
from daemon.config.syntax import compose
from daemon.errors import ConfigError

_SECRET_KEY = re.compile(r"(?i)pass|pwd|secret|token|key|auth|user|source")


class Changed(TypedDict):
    """One line."""

    kind: str
    """old or new"""
    line: int
    """number in the old or the new text, from 1 on"""
    text: str


def difference(before: str, after: str) -> list[Changed]:
    """Lines that go and lines that come, in their order."""
    hidden = sorted({*_secrets(before), *_secrets(after)}, key=len, reverse=True)
    old, new = before.splitlines(), after.splitlines()
    changed: list[Changed] = []
    for what, i1, i2, j1, j2 in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what != "equal":
            changed += [{"kind": "old", "line": i + 1, "text": _shown(old[i], hidden)} for i in range(i1, i2)]
            changed += [{"kind": "new", "line": j + 1, "text": _shown(new[j], hidden)} for j in range(j1, j2)]
    return changed


def _shown(line: str, hidden: list[str]) -> str:
    for secret in hidden:
        line = line.replace(secret, HIDDEN)
    return without_credentials(line)


def _secrets(text: str) -> Iterator[str]:
    """Values of keys that may hold credentials, as they stand in the text: a line of a file may hold several keys."""
    try:
        root = compose("the file", text.removeprefix("\ufeff"))
    except ConfigError:
        return
    seen: set[int] = set()
    waiting: list[yaml.Node] = [root]
    while waiting:
        node = waiting.pop()
        if id(node.value) in seen:
            continue
        seen.add(id(node.value))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if isinstance(value, yaml.ScalarNode) and _SECRET_KEY.search(str(key.value)):
                    yield from _written(value, text)
                waiting.append(value)


def _written(value: yaml.ScalarNode, text: str) -> Iterator[str]:
    offset = 1 if text.startswith("\ufeff") else 0
    span = text[value.start_mark.index + offset : value.end_mark.index + offset]
    yield from (line for line in (str(value.value), *span.splitlines()) if len(line) > 1)
