"""Reads class names from the files that people and exporters write."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from engines.errors import LabelsError
from engines.text import EncodingError, counted, decode_western

NAMELESS = "???"
"""the placeholder for a missing name, as in TensorFlow's label files"""
BACKGROUNDS = frozenset({NAMELESS, "N/A", "background", "__background__"})
"""what lists of names have for the background and for missing names"""

_LINE = re.compile(r"\r\n|\r|\n")
_COMMENT = re.compile(r"^\s*(?:#|//).*|\s+#\s.*")
_INDEXED = re.compile(r"(\d{1,5})(?:\s*[:=,;.)|\t-]\s*|\s+)(\S.*)")
_INDEXED_LAST = re.compile(r"(\S.*?)(?:\s*[:=,;\t]\s*|\s+)(\d{1,5})")
_HEAD = re.compile(r"(?i)(?:id|index|class_?id|label_?id)\s*[,;\t]\s*\w+")
_BULLET = re.compile(r"[-*]\s+(\S.*)")
_QUOTED = re.compile(r"""(["'])(.*)\1,?""")
_YAML_KEYS = ("names", "id2label", "classes", "labels")
_YAML = re.compile(rf"(?m)^\s*[\"']?(?:{'|'.join(_YAML_KEYS)})[\"']?\s*:|\A\s*[\[{{]")
_PBTXT_ITEM = re.compile(r"(?s)\bitem\s*:?\s*\{(.*?)\}")
_PBTXT_FIELD = re.compile(r"""\b(id|name|display_name)\s*:\s*(?:(\d{1,5})|"([^"]*)"|'([^']*)')""")
_DARKNET = re.compile(r"(?m)^\s*names\s*=\s*\S+\.names\s*$")
_LARGEST = 10_000_000  # bytes


def read_label_file(path: Path) -> tuple[str, ...]:
    """The class names in a file, in the order of their classes; NAMELESS where an index has none.

    One name a line, with or without its index, blank lines and comments (# …) left out; `names`, `id2label`, `classes`
    or `labels` of a YAML or JSON file, as exporters of YOLO and Hugging Face write it; or a TensorFlow label map
    (item {…}).
    Raises LabelsError.
    """
    text = _text(path)
    if _DARKNET.search(text):
        raise LabelsError(f"{path}: is a Darknet data file; give the file that its line `names = …` names")
    if text.lstrip().startswith("<"):
        raise LabelsError(f"{path}: is a web page or XML and not a list of class names; was it downloaded whole?")
    if items := _PBTXT_ITEM.findall(text):
        names = _from_label_map(path, items)
    elif _YAML.search(text) or path.suffix.lower() in (".yaml", ".yml", ".json"):
        names = _from_yaml(path, text)
    else:
        names = _from_lines(path, text)
    if not names:
        raise LabelsError(f"{path}: holds no class names; write one a line")
    return tuple(unicodedata.normalize("NFC", name.strip()) for name in names)


def by_index(names: Mapping[int, str]) -> tuple[str, ...]:
    """Names in the order of their indices from 0 on, or from 1 on where there is no 0; gaps are NAMELESS."""
    first = 0 if 0 in names else 1
    return tuple(names.get(index, NAMELESS) for index in range(first, max(names) + 1))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise LabelsError(f"{path}: there is no such labels file") from None
    except OSError as error:
        raise LabelsError(f"{path}: cannot be read as a labels file: {error.strerror}") from None
    if len(data) > _LARGEST:
        raise LabelsError(f"{path}: is too large for a list of class names")
    try:
        text = decode_western(data)
    except EncodingError as error:
        if b"\0" in data:
            raise LabelsError(f"{path}: is not a text file; give a file with one class name a line") from None
        raise LabelsError(f"{path}:{error.line}: is not UTF-8 text; save the file as UTF-8") from None
    if "\0" in text:
        raise LabelsError(f"{path}: is not a text file, or UTF-16 without its mark; save it as UTF-8")
    return text.replace("\ufeff", "")


def _from_lines(path: Path, text: str) -> Sequence[str]:
    numbered = [(number, _COMMENT.sub("", line).strip()) for number, line in enumerate(_LINE.split(text), 1)]
    lines = [(number, line) for number, line in numbered if line]
    if len(lines) > 1 and _HEAD.fullmatch(lines[0][1]) and _INDEXED.fullmatch(lines[1][1]):
        del lines[0]
    if lines and all(_BULLET.fullmatch(line) for _, line in lines):
        lines = [(number, _BULLET.sub(r"\1", line)) for number, line in lines]
    if lines and all(_QUOTED.fullmatch(line) for _, line in lines):
        lines = [(number, _QUOTED.sub(r"\2", line)) for number, line in lines]
    for number, line in lines:
        if not line.replace("\t", " ").isprintable():
            raise LabelsError(f"{path}:{number}: has a control character; a class name is plain text")
    if (names := _indexed_last([line for _, line in lines])) is not None:
        return names
    indexed = [(number, found) for number, line in lines if (found := _INDEXED.fullmatch(line))]
    by_number = {int(found[1]): found[2] for _, found in indexed}
    rising = list(by_number) == sorted(by_number) and min(by_number, default=2) <= 1
    # "1 cent", "2 cent": numbers that belong to the names, which then are the same without them
    if not (rising and len(set(by_number.values())) == len(indexed)):
        return [line for _, line in lines]
    if len(indexed) == len(lines):
        return by_index(by_number)
    if len(indexed) < max(3, len(lines) // 2):
        return [line for _, line in lines]
    without = next(number for number, line in lines if not _INDEXED.fullmatch(line))
    raise LabelsError(f"{path}:{without}: has no index although other lines have one; give all lines one, or none")


def _indexed_last(lines: Sequence[str]) -> Sequence[str] | None:
    """Names that are followed by their indices, 0, 1, 2 and so on; None: they are not."""
    found = [match for line in lines if (match := _INDEXED_LAST.fullmatch(line))]
    names = [match[1] for match in found]
    rising = len(found) == len(lines) > 1 and [int(match[2]) for match in found] == list(range(len(lines)))
    return names if rising and len(set(names)) == len(names) else None


def _from_label_map(path: Path, items: Sequence[str]) -> Sequence[str]:
    names: dict[int, str] = {}
    for item in items:
        fields = {key: number or double or single for key, number, double, single in _PBTXT_FIELD.findall(item)}
        name = fields.get("display_name") or fields.get("name")
        if name is None or "id" not in fields:
            raise LabelsError(f"{path}: an item of the label map lacks its id or name; give it both")
        names[int(fields["id"])] = name
    return by_index(names)


def _from_yaml(path: Path, text: str) -> Sequence[str]:
    try:
        document = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - it makes text only: `yes` and 007 are names too
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise LabelsError(f"{path}{line}: is not YAML or JSON; mend it, or give a file with one name a line") from None
    section = document if isinstance(document, dict) else {}
    found = next((section[key] for key in _YAML_KEYS if key in section), document)
    names = _named(path, found)
    count = section.get("nc")
    if isinstance(count, str) and count.isdigit() and int(count) != len(names):
        raise LabelsError(f"{path}: has {counted(len(names), 'name')} but says nc: {count}; correct one of them")
    return names


def _named(path: Path, found: object) -> Sequence[str]:
    if isinstance(found, list) and all(isinstance(name, str) for name in found):
        return found
    if isinstance(found, dict) and found and all(isinstance(name, str) for name in found.values()):
        if all(key.isdigit() for key in found):
            return by_index({int(key): name for key, name in found.items()})
        if all(index.isdigit() for index in found.values()):  # {person: 0, bicycle: 1}
            return by_index({int(index): name for name, index in found.items()})
    raise LabelsError(f"{path}: has no list of class names under the key `names`")
