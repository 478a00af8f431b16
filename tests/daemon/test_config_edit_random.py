"""Random edits of files in random styles: the value as wanted and all else as it was, or refused; no comment lost."""

from __future__ import annotations

import difflib
import os
import re
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.config.edit import EditError, edit
from daemon.config.syntax import compose

EXAMPLES = int(os.environ.get("OSPREYD_EDITS", "100"))
_COMMENT = re.compile(r"# c\d+")

number = st.sampled_from([0, 1, 0.25, 0.5, 0.1234, 0.9])
point = st.lists(number, min_size=2, max_size=2)
polygon = st.lists(point, min_size=3, max_size=5)
words = st.lists(st.sampled_from(["person", "car", "traffic light", "5", "null", "yes", "a: b", "# no"]), max_size=3)
zone = st.fixed_dictionaries(
    {"polygon": polygon}, optional={"labels": words, "dwell": st.just(5), "anchor": st.just("centre")}
)
line = st.fixed_dictionaries({"points": st.lists(point, min_size=2, max_size=2), "in": point})
names = st.sampled_from(["porch", "yard", "kerb", "on", "a-b"])
shapes = {
    "zones": st.dictionaries(names, zone, max_size=3),
    "lines": st.dictionaries(names, line, max_size=2),
    "masks": st.lists(polygon, max_size=3),
    "crop": st.none() | st.just([0, 0, 0.5, 1]),
}
camera = st.fixed_dictionaries({"source": st.just("x")}, optional={**shapes, "fps": st.just(5)})


class Writer:
    """Writes a value as YAML, each part in a style that hypothesis draws."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._comments = 0

    def chance(self, one_in: int) -> bool:
        return self._draw(st.integers(0, one_in - 1)) == 0

    def comment(self, indent: str = "") -> str:
        self._comments += 1
        return f"{indent}# c{self._comments}"

    def scalar(self, value: object) -> str:
        text = str(value)
        quoted = isinstance(value, str) and not re.fullmatch("[a-z-]+|traffic light", text)
        if quoted or text in ("null", "yes", "on") or self.chance(6):
            return self._draw(st.sampled_from([f'"{text}"', f"'{text}'"]))
        return text

    def flow(self, value: object, indent: str) -> str:
        """On one line, or on several with comments."""
        if not isinstance(value, (dict, list)):
            return self.scalar(value)
        inner = indent + "  "
        broken = bool(value) and self.chance(5)
        items = (
            [f"{self.scalar(key)}: {self.flow(item, inner)}" for key, item in value.items()]
            if isinstance(value, dict)
            else [self.flow(item, inner) for item in value]
        )
        begin, end = "{}" if isinstance(value, dict) else "[]"
        if not broken:
            separator = self._draw(st.sampled_from([", ", ",", " , "])) if begin == "[" else ", "
            return f"{begin}{separator.join(items)}{end}"
        lines = [
            f"{inner}{item}{',' if index + 1 < len(items) or self.chance(2) else ''}"
            for index, item in enumerate(items)
        ]
        lines = [f"{text}{self.comment('  ')}" if self.chance(3) else text for text in lines]
        return "\n".join([begin, *lines, f"{indent}{end}"])

    def block(self, value: object, indent: str, step: str) -> str:
        """What stands behind the colon or dash, its line break included where it begins on the next line."""
        if not isinstance(value, (dict, list)) or not value or self.chance(3):
            trailing = self.comment("  ") if self.chance(5) else ""
            return f" {self.flow(value, indent)}{trailing}"
        lines = [self.comment(" ")] if self.chance(5) else [""]
        if isinstance(value, dict):
            lines += self.mapping(value, indent + step, step)
            return "\n".join(lines)
        inner = indent if self.chance(3) else indent + step
        for item in value:
            lines += [self.comment(inner)] if self.chance(6) else []
            lines.append(f"{inner}-{self.block(item, inner, step)}")
        return "\n".join(lines)

    def mapping(self, value: dict[str, Any], indent: str, step: str) -> list[str]:
        lines: list[str] = []
        for key, item in value.items():
            lines += [self.comment(indent)] if self.chance(5) else [""] if self.chance(8) else []
            lines.append(f"{indent}{self.scalar(key)}:{self.block(item, indent, step)}")
        return lines


@st.composite
def files(draw: st.DrawFn) -> str:
    """A configuration with two cameras."""
    writer = Writer(draw)
    step = draw(st.sampled_from(["  ", "    ", "   "]))
    cameras = {"front": draw(camera), "back": draw(camera)}
    lines = ["device: gate", writer.comment(), "cameras:", *writer.mapping(cameras, step, step), writer.comment()]
    text = "\n".join(lines)
    if draw(st.booleans()):
        text += "\n"
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


def plain(value: Any) -> Any:
    """The configuration reads every scalar as text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else str(value)


class _Texts(yaml.BaseLoader):
    """Another reader of the file: every scalar is the text that was written."""


def test_random_edits() -> None:
    refused: list[str] = []

    @settings(max_examples=EXAMPLES, deadline=None)
    @given(data=st.data(), text=files())
    def check(data: st.DataObject, text: str) -> None:
        key = data.draw(st.sampled_from(sorted(shapes)))
        value = data.draw(shapes[key])
        try:
            after = edit(text, ("cameras", "front", key), value)
        except EditError:
            refused.append(text)
        else:
            is_right(text, after, key, value)

    check()
    assert len(refused) <= EXAMPLES / 5, "only where a comment stands inside braces that go"


def is_right(text: str, after: str, key: str, value: object) -> None:
    wanted = plain(yaml.load(text, _Texts))  # noqa: S506 - a BaseLoader makes nothing but text
    wanted["cameras"]["front"].pop(key, None)
    if value:
        wanted["cameras"]["front"][key] = plain(value)
    assert plain(yaml.load(after, _Texts)) == wanted  # noqa: S506
    assert sorted(_COMMENT.findall(after)) == sorted(_COMMENT.findall(text))
    assert after.endswith("\n") == text.endswith("\n")
    assert after.count("\r") in (0, after.count("\n"))
    untouched(text, after, key)


def untouched(before: str, after: str, key: str) -> None:
    """Lines of the other camera and of other keys are as they were, in their order."""
    matcher = difflib.SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    root = compose("the file", before)
    cameras = {k.value: v for k, v in root.value}["cameras"]
    front = next(v for k, v in cameras.value if k.value == "front")
    marks = [(k.start_mark.line, v.end_mark.line) for k, v in front.value if k.value == key]
    first, last = marks[0] if marks else (front.start_mark.line, front.end_mark.line)
    for operation, begin, end, _, _ in matcher.get_opcodes():
        if operation in ("replace", "delete"):
            assert first <= begin
            assert end - 1 <= last
            if not marks:
                assert front.flow_style, "an added key changes no line"
