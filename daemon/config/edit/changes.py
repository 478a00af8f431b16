"""The smallest changes of a YAML text that give a node another value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher
from typing import NamedTuple

import yaml

from daemon.config.edit.flow_items import FlowItems
from daemon.config.edit.source import Source, own_entries
from daemon.config.edit.values import block, canonical, flow


class Change(NamedTuple):
    """The text between two positions gives way to another."""

    start: int
    end: int
    text: str


class _RewriteError(Exception):
    """The collection is written in a way that no part of it can be changed alone."""


class Changes:
    """Collects them; positions are those of the unchanged text."""

    def __init__(self, source: Source, step: str) -> None:
        self._source = source
        self._step = step
        self._found: list[Change] = []

    def apply(self) -> str:
        """The text with all of them. Raises ValueError where two of them touch the same part."""
        parts, position = [], 0
        for change in sorted(self._found, key=lambda change: change[:2]):
            if change.start < position:
                raise ValueError("two changes at one place")
            parts += [self._source.text[position : change.start], change.text]
            position = change.end
        return "".join([*parts, self._source.text[position:]])

    def entry(self, mapping: yaml.MappingNode, key: str, value: object) -> None:
        """Gives a key of the mapping a value: changed, added, or removed where the value is None."""
        entries = own_entries(mapping)
        wanted = {name: node for name, (_, node) in entries.items() if name != key}
        self._mapping(mapping, wanted if value is None else {**wanted, key: value})

    def _value(self, node: yaml.Node, wanted: object, separator: int) -> None:
        """Another value for a node that stands behind a colon or a dash, which ends at `separator`, or in a flow."""
        if wanted is node or canonical(node) == canonical(wanted):
            return
        before = len(self._found)
        try:
            self._inside(node, wanted)
        except _RewriteError:
            del self._found[before:]
            self._rewrite(node, wanted, separator)

    def _inside(self, node: yaml.Node, wanted: object) -> None:
        if isinstance(node, yaml.ScalarNode) and node.style not in ("|", ">") and not isinstance(wanted, (dict, list)):
            if node.end_mark.index == node.start_mark.index:
                raise _RewriteError
            style = node.style if isinstance(wanted, str) else None
            self._found.append(Change(node.start_mark.index, node.end_mark.index, flow(wanted, style)))
        elif isinstance(node, yaml.MappingNode) and isinstance(wanted, dict) and wanted:
            self._mapping(node, wanted)
        elif isinstance(node, yaml.SequenceNode) and isinstance(wanted, list) and wanted:
            self._sequence(node, wanted)
        else:
            raise _RewriteError

    def _rewrite(self, node: yaml.Node, wanted: object, separator: int) -> None:
        """The whole value, in flow style. In a block, comments inside it are kept on lines of their own below."""
        source, end = self._source, self._source.end(node)
        if separator < 0:
            self._found.append(Change(node.start_mark.index, end, flow(wanted)))
            return
        self._found.append(Change(separator, max(end, separator), f" {flow(wanted)}"))
        self._keep_comments(separator, end, source.line_end(max(end, separator)))

    def _keep_comments(self, start: int, end: int, position: int) -> None:
        """Writes the comments of a part that goes as lines at `position`."""
        for comment in self._source.comments_in(start, end):
            line = self._source.line_start(comment.start)
            indent = len(self._source.text[line : comment.start]) - len(
                self._source.text[line : comment.start].lstrip()
            )
            self._found.append(Change(position, position, f"{' ' * indent}{comment.text}{self._source.newline}"))

    # mappings

    def _mapping(self, node: yaml.MappingNode, wanted: Mapping[str, object]) -> None:
        entries = own_entries(node)
        renamed = self._renamed(entries, wanted)
        for old, name in renamed.items():
            key = entries[old][0]
            style = key.style if isinstance(key, yaml.ScalarNode) else None
            self._found.append(Change(key.start_mark.index, key.end_mark.index, flow(name, style)))
        for name in entries.keys() & wanted.keys():
            key, value = entries[name]
            self._value(value, wanted[name], -1 if node.flow_style else self._source.colon(key) + 1)
        gone = [index for index, name in enumerate(entries) if name not in wanted and name not in renamed]
        added = {name: wanted[name] for name in wanted if name not in entries and name not in renamed.values()}
        if node.flow_style:
            spans = [
                (key.start_mark.index, max(key.end_mark.index, self._source.end(value)))
                for key, value in entries.values()
            ]
            texts = [(len(spans), f"{flow(name)}: {flow(value)}") for name, value in added.items()]
            self._flow(FlowItems(self._source, spans, node), _runs(gone), texts)
        else:
            self._block_mapping(list(entries.values()), gone, added)

    def _renamed(
        self, entries: Mapping[str, tuple[yaml.Node, yaml.Node]], wanted: Mapping[str, object]
    ) -> dict[str, str]:
        """Old to new name of the one entry whose key alone is another."""
        gone = [name for name in entries if name not in wanted]
        new = [name for name in wanted if name not in entries]
        if len(gone) == len(new) == 1 and canonical(entries[gone[0]][1]) == canonical(wanted[new[0]]):
            return {gone[0]: new[0]}
        return {}

    def _block_mapping(
        self, entries: list[tuple[yaml.Node, yaml.Node]], gone: list[int], added: Mapping[str, object]
    ) -> None:
        source = self._source
        first, last = entries[0][0], entries[-1]
        if not all(source.is_first(key.start_mark.index) for key, _ in entries):
            raise _RewriteError
        for begin, stop in _runs(gone):
            end = self._entry_end(entries[stop - 1])
            self._remove_lines(entries[begin][0].start_mark.index, end)
        indent = source.text[source.line_start(first.start_mark.index) : first.start_mark.index].lstrip("\ufeff")
        step, in_flow = self._neighbours(entries, indent)
        position = source.line_end(self._entry_end(last))
        for name, value in added.items():
            lines = [f"{indent}{flow(name)}: {flow(value)}"] if in_flow else block(name, value, indent, step)
            self._insert_lines(position, lines)

    def _entry_end(self, entry: tuple[yaml.Node, yaml.Node]) -> int:
        return max(self._source.colon(entry[0]) + 1, self._source.end(entry[1]))

    def _neighbours(self, entries: list[tuple[yaml.Node, yaml.Node]], indent: str) -> tuple[str, bool]:
        """How far the neighbours indent what is in them, and whether they are mappings in flow style."""
        mappings = [value for _, value in entries if isinstance(value, yaml.MappingNode) and value.value]
        in_blocks = [value for value in mappings if not value.flow_style and not self._source.is_alias(value)]
        for value in in_blocks:
            deeper = value.value[0][0].start_mark.column - len(indent)
            if deeper > 0:
                return " " * deeper, False
        return self._step, bool(mappings) and not in_blocks

    # sequences

    def _sequence(self, node: yaml.SequenceNode, wanted: list[object]) -> None:
        items = node.value
        if not items and not node.flow_style:
            raise _RewriteError
        removed: list[tuple[int, int]] = []
        added: list[tuple[int, str]] = []
        matcher = SequenceMatcher(None, [canonical(i) for i in items], [canonical(w) for w in wanted], autojunk=False)
        for operation, begin, stop, first, last in matcher.get_opcodes():
            if operation == "equal":
                continue
            paired = min(stop - begin, last - first)
            for item, value in zip(items[begin : begin + paired], wanted[first : first + paired], strict=True):
                self._value(item, value, -1 if node.flow_style else self._source.dash(item) + 1)
            if begin + paired < stop:
                removed.append((begin + paired, stop))
            added += [(stop, flow(value)) for value in wanted[first + paired : last]]
        if node.flow_style:
            spans = [(item.start_mark.index, self._source.end(item)) for item in items]
            self._flow(FlowItems(self._source, spans, node), removed, added)
        else:
            self._block_sequence(items, removed, added)

    def _block_sequence(
        self, items: list[yaml.Node], removed: Iterable[tuple[int, int]], added: Iterable[tuple[int, str]]
    ) -> None:
        source = self._source
        dashes = [source.dash(item) for item in items]
        removed, added = list(removed), list(added)
        if (removed or added) and not all(map(source.is_first, dashes)):
            raise _RewriteError
        for begin, stop in removed:
            self._remove_lines(dashes[begin], max(dashes[stop - 1] + 1, source.end(items[stop - 1])))
        indent = source.text[source.line_start(dashes[0]) : dashes[0]].lstrip("\ufeff")
        for index, text in added:
            if index:
                position = source.line_end(max(dashes[index - 1] + 1, source.end(items[index - 1])))
            else:
                position = self._above_comments(dashes[0])
            self._insert_lines(position, [f"{indent}- {text}"])

    def _above_comments(self, position: int) -> int:
        """The beginning of the line, or of the comments directly above it that are indented alike."""
        source = self._source
        start = source.line_start(position)
        indent = source.text[start:position]
        while start:
            above = source.line_start(start - 1)
            if not source.text.startswith(f"{indent}#", above):
                break
            start = above
        return start

    # text

    def _flow(self, items: FlowItems, removed: Iterable[tuple[int, int]], added: list[tuple[int, str]]) -> None:
        removed = list(removed)
        if added and items.are_all(removed):
            self._found.append(Change(*items.span, ", ".join(text for _, text in added)))
            return
        for begin, stop in removed:
            self._found += [Change(*span, "") for span in items.removal(begin, stop)]
        for index in dict.fromkeys(index for index, _ in added):
            texts = [text for at, text in added if at == index]
            self._found += [Change(at, at, text) for at, text in items.insertion(index, texts)]

    def _remove_lines(self, start: int, end: int) -> None:
        """Whole lines; their comments stay."""
        source = self._source
        first, last = source.line_start(start), source.line_end(end)
        self._found.append(Change(first, last, ""))
        self._keep_comments(first, last, last)

    def _insert_lines(self, position: int, lines: Iterable[str]) -> None:
        text = "".join(f"{line}{self._source.newline}" for line in lines)
        self._found.append(Change(position, position, text))


def _runs(indices: list[int]) -> Iterator[tuple[int, int]]:
    """[1, 2, 5] as 1 to 3 and 5 to 6."""
    begin = None
    for position, index in enumerate(indices):
        begin = index if begin is None else begin
        if position + 1 == len(indices) or indices[position + 1] != index + 1:
            yield begin, index + 1
            begin = None
