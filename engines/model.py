"""What a model is: its file, family, labels and input geometry; reading and identifying ONNX."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto

from engines.errors import ModelError
from engines.graphs.file import feed_sizes, load, opset_of, picture_input
from engines.graphs.heads import FAMILIES
from engines.graphs.heads.base import Family, Match, RawModel, Wanted
from engines.graphs.outputs import raw_outputs
from engines.graphs.preprocess import InputGeometry
from engines.labels import COCO_CATEGORIES, NAMELESS, find_labels, labels_for
from engines.records import InputOverride

AS_THE_FAMILY = InputOverride()
"""nothing is to be fed otherwise than the family has it"""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A detection model, read and understood."""

    path: Path
    proto: onnx.ModelProto
    """as in the file, but sorted, of an opset that the heads can be added to, and with the picture as its only input"""
    family: Family
    match: Match
    raw: RawModel
    wanted: Wanted
    labels: tuple[str, ...]
    """class names, indexed by class id"""
    geometry: InputGeometry
    """what the model wants to be fed"""
    input_name: str
    input_type: int
    """an onnx.TensorProto.DataType: FLOAT, FLOAT16 or UINT8"""

    @property
    def width(self) -> int:
        """Of the model's input, pixels."""
        return self.raw.width

    @property
    def height(self) -> int:
        """Of the model's input, pixels."""
        return self.raw.height

    @property
    def planar(self) -> bool:
        """Whether the input is [B, 3, height, width] and not [B, height, width, 3]."""
        return self.raw.planar

    @property
    def opset(self) -> int:
        """Of the default operator domain."""
        return opset_of(self.proto)


def read_model(
    path: Path, family: str = "auto", labels: str | None = None, override: InputOverride = AS_THE_FAMILY
) -> Model:
    """Reads an ONNX file and finds out what it is.

    `family` is a name in FAMILIES or 'auto'; `labels` as in labels.find_labels; `override` is what is to be fed
    otherwise than the family has it. Raises ModelError and LabelsError.
    """
    proto = load(path)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    task = metadata.get("task", "detect")
    if task != "detect":
        raise ModelError(f"{path}: is a model for the task {task!r} by its metadata; export one that detects boxes")
    picture = picture_input(path, proto, metadata.get("imgsz"))
    sized = feed_sizes(path, proto, picture)
    names = find_labels(labels, metadata, str(path))
    raw = RawModel(
        outputs=raw_outputs(proto, picture),
        operators=frozenset(node.op_type for node in proto.graph.node),
        width=picture.width,
        height=picture.height,
        planar=picture.planar,
        integer_input=picture.dtype == TensorProto.UINT8,
        sized=sized,
        named=None if names is None else len(names),
    )
    told = metadata.get("family")
    found, match = _find_family(path, raw, told if family == "auto" and told in FAMILIES else family)
    label_of = _label_of(match, names, labels)
    names = labels_for(names, labels, match.classes if label_of is None else None, str(path))
    return Model(
        path=path,
        proto=proto,
        family=found,
        match=match,
        raw=raw,
        wanted=Wanted(found.candidates, len(names), label_of),
        labels=names,
        geometry=(match.geometry or found.geometry).overridden(override),
        input_name=picture.name,
        input_type=picture.dtype,
    )


def _find_family(path: Path, raw: RawModel, wanted: str) -> tuple[Family, Match]:
    if wanted != "auto" and wanted not in FAMILIES:
        close = difflib.get_close_matches(wanted, FAMILIES, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ModelError(f"unknown model family {wanted!r}{hint} (known: auto, {', '.join(FAMILIES)})")
    considered = FAMILIES.values() if wanted == "auto" else [FAMILIES[wanted]]
    matches = [(family, match) for family in considered if (match := family.match(raw)) is not None]
    if len(matches) > 1:  # the number of names may settle it
        likely = [(f, m) for f, m in matches if m.sure and (m.classes is None or raw.likely(m.classes))]
        matches = likely or matches
    if len(matches) == 1:
        return matches[0]
    if wanted != "auto":
        raise ModelError(f"{path}: family {wanted} needs {FAMILIES[wanted].layout}; this model has {_describe(raw)}")
    candidates = [family for family, _ in matches] or FAMILIES.values()
    listed = "; ".join(f"{family.name}: {family.layout}" for family in candidates)
    what = "fits several families" if matches else "fits no family known"
    raise ModelError(f"{path}: {what} with {_describe(raw)}; set family to one of: {listed}")


def _label_of(match: Match, names: tuple[str, ...] | None, setting: str | None) -> tuple[int, ...] | None:
    """The label of each class, -1 for those without; None where labels and classes are the same numbers."""
    first = match.first_category
    if first is None or names is None:
        return None
    if setting == "coco":
        categories = range(first, COCO_CATEGORIES[-1] + 1)
        return tuple(COCO_CATEGORIES.index(c) if c in COCO_CATEGORIES else -1 for c in categories)
    if first == 1 and names[:1] == (NAMELESS,):  # TensorFlow's own lists begin with the category 0
        return tuple(label if names[label] != NAMELESS else -1 for label in range(first, len(names)))
    return None


def _describe(raw: RawModel) -> str:
    shapes = (f"{output.name} [{', '.join(str(d or '?') for d in output.shape)}]" for output in raw.outputs)
    return f"input {raw.width}x{raw.height} and outputs " + ", ".join(shapes)
