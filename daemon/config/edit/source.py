"""A YAML text, its nodes, and where its lines, comments and punctuation stand."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import yaml

from daemon.config.syntax import MERGE, compose

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what YAML 1.1 reads as the end of a line
_COMMENT = re.compile("#[^\n\r\x85\u2028\u2029]*")
_ALIAS = re.compile(r"\*[^\s,\[\]{}]+")


class Comment(NamedTuple):
    """One of them."""

    start: int
    """of its #; characters from the beginning of the text"""
    text: str
    """from the # to the end of the line"""


class Source:
    """Positions are characters from the beginning of the text. Raises ConfigError where it is not a YAML mapping."""

    def __init__(self, name: str, text: str) -> None:
        self.text = text
        self.root = compose(name, text)
        tokens = list(yaml.scan(text, yaml.SafeLoader))
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self.comments = tuple(_comments(text, tokens))
        self.anchors = tuple(token for token in tokens if isinstance(token, yaml.AnchorToken))
        self.aliases = {token.value for token in tokens if isinstance(token, yaml.AliasToken)}
        self._dashes: list[int] = [
            token.start_mark.index for token in tokens if isinstance(token, yaml.BlockEntryToken)
        ]
        self._colons: list[int] = [token.start_mark.index for token in tokens if isinstance(token, yaml.ValueToken)]
        self._starts = [0, *(found.end() for found in _BREAK.finditer(text))]

    def line_start(self, position: int) -> int:
        """Where the line begins."""
        return self._starts[bisect_right(self._starts, position) - 1]

    def line_end(self, position: int) -> int:
        """Where the next line begins."""
        following = bisect_right(self._starts, position)
        return self._starts[following] if following < len(self._starts) else len(self.text)

    def content_end(self, position: int) -> int:
        """Where the line ends, before its line break."""
        found = _BREAK.search(self.text, position)
        return found.start() if found else len(self.text)

    def is_first(self, position: int) -> bool:
        """Whether nothing but blanks stands before it on its line."""
        return not self.text[self.line_start(position) : position].strip(" \ufeff")

    def dash(self, item: yaml.Node) -> int:
        """The dash of an item of a block sequence."""
        return self._dashes[bisect_left(self._dashes, item.start_mark.index) - 1]

    def colon(self, key: yaml.Node) -> int:
        """The colon after a key."""
        return self._colons[bisect_left(self._colons, key.end_mark.index)]

    def comments_in(self, start: int, end: int) -> list[Comment]:
        """Those that begin in this part of the text."""
        return [comment for comment in self.comments if start <= comment.start < end]

    def is_alias(self, node: yaml.Node) -> bool:
        """Whether the node is written elsewhere, and *name stands here."""
        return self.text.startswith("*", node.start_mark.index)

    def end(self, node: yaml.Node) -> int:
        """Where the node ends; PyYAML's own mark is behind the comments that follow a block."""
        start: int = node.start_mark.index
        if self.is_alias(node):
            found = _ALIAS.match(self.text, start)
            return found.end() if found else start
        end: int = node.end_mark.index
        if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            return max(self.end(part) for part in last) if isinstance(last, tuple) else self.end(last)
        if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            return len(self.text[:end].rstrip())
        return end

    def gap_comma(self, start: int, end: int) -> int | None:
        """The comma between `start` and `end`, where only blanks, comments and commas stand."""
        commented = {at for c in self.comments_in(start, end) for at in range(c.start, c.start + len(c.text))}
        commas = (at for at in range(start, end) if self.text[at] == "," and at not in commented)
        return next(commas, None)


def own_entries(node: yaml.MappingNode) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    """Key and value of each entry that stands in the mapping itself, by the key's text."""
    return {key.value: (key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def merged_keys(node: yaml.MappingNode) -> set[str]:
    """The keys that << brings in."""
    found: set[str] = set()
    waiting = [value for key, value in node.value if key.tag == MERGE]
    seen: set[int] = set()
    while waiting:
        merged = waiting.pop()
        if id(merged.value) in seen:
            continue
        seen.add(id(merged.value))
        if isinstance(merged, yaml.SequenceNode):
            waiting.extend(merged.value)
        elif isinstance(merged, yaml.MappingNode):
            found.update(own_entries(merged))
            waiting.extend(value for key, value in merged.value if key.tag == MERGE)
    return found


def _comments(text: str, tokens: list[yaml.Token]) -> Iterator[Comment]:
    """Between two tokens there are only blanks and comments."""
    position = 0
    for token in tokens:
        for found in _COMMENT.finditer(text, position, max(position, token.start_mark.index)):
            yield Comment(found.start(), found.group().rstrip())
        position = max(position, token.end_mark.index)
    for found in _COMMENT.finditer(text, position):
        yield Comment(found.start(), found.group().rstrip())
