"""Where the items of a collection in flow style ([a, b] and {a: b}) are removed and added."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import yaml

from daemon.config.edit.source import Source


class FlowItems:
    """`spans`: where each item begins and ends; positions are characters from the beginning of the text."""

    def __init__(self, source: Source, spans: Sequence[tuple[int, int]], node: yaml.Node) -> None:
        self._source = source
        self._spans = spans
        self._open = next(i for i in range(node.start_mark.index, len(source.text)) if source.text[i] in "[{")
        self._close = node.end_mark.index - 1

    @property
    def span(self) -> tuple[int, int]:
        """Where the first item begins and the last one ends."""
        return self._spans[0][0], self._spans[-1][1]

    def are_all(self, runs: list[tuple[int, int]]) -> bool:
        """Whether these are all items, and there are any."""
        return bool(self._spans) and runs == [(0, len(self._spans))]

    def removal(self, begin: int, stop: int) -> Iterator[tuple[int, int]]:
        """The parts of the text that go with the items from `begin` to before `stop`."""
        spans = self._spans
        if stop < len(spans) and not self._breaks(spans[begin][0], spans[stop][0]):
            yield spans[begin][0], spans[stop][0]
        elif stop == len(spans) and begin > 0 and not self._breaks(spans[begin - 1][1], spans[-1][1]):
            yield spans[begin - 1][1], spans[-1][1]
        else:
            for index in range(begin, stop):
                yield from self._one(index)

    def _one(self, index: int) -> Iterator[tuple[int, int]]:
        """An item of a collection of several lines, its comma, and the line where nothing else stands on it."""
        source = self._source
        start, end = self._spans[index]
        comma = source.gap_comma(end, self._next(index))
        if comma is None or source.text[end:comma].strip(" "):
            yield start, end
            if comma is not None:
                yield comma, comma + 1
            return
        if source.is_first(start) and not source.text[comma + 1 : source.content_end(comma)].strip(" "):
            yield source.line_start(start), source.line_end(comma)
        else:
            yield start, comma + 1

    def insertion(self, index: int, texts: Sequence[str]) -> Iterator[tuple[int, str]]:
        """Positions, and what is put there, so that the texts stand before the item `index` or behind the last."""
        spans = self._spans
        if not spans:
            yield self._open + 1, ", ".join(texts)
        elif index < len(spans):
            start = spans[index][0]
            separator = self._new_line(start) if self._source.is_first(start) else " "
            yield start, "".join(f"{text},{separator}" for text in texts)
        else:
            yield from self._behind_the_last(texts)

    def _behind_the_last(self, texts: Sequence[str]) -> Iterator[tuple[int, str]]:
        start, end = self._spans[-1]
        comma = self._source.gap_comma(end, self._close)
        if not self._breaks(end, self._close):
            yield (
                (end, "".join(f", {text}" for text in texts))
                if comma is None
                else (
                    comma + 1,
                    " " + ", ".join(texts),
                )
            )
            return
        if comma is None:
            yield end, ","
        after = end if comma is None else comma
        lines = f",{self._new_line(start)}".join(texts)
        yield self._source.content_end(after), f"{self._new_line(start)}{lines}{'' if comma is None else ','}"

    def _new_line(self, start: int) -> str:
        return self._source.newline + " " * (start - self._source.line_start(start))

    def _next(self, index: int) -> int:
        return self._spans[index + 1][0] if index + 1 < len(self._spans) else self._close

    def _breaks(self, start: int, end: int) -> bool:
        """Whether this part of the text is on several lines."""
        return self._source.content_end(start) < end
