"""Reads a model file and identifies its family, labels and input geometry."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto

from engines.errors import ModelError
from engines.graphs.heads import FAMILIES
from engines.graphs.heads.base import Family, HeadSpec, Match, RawModel
from engines.graphs.onnx_file import feed_sizes, image_input, load, opset_of
from engines.graphs.outputs import raw_outputs
from engines.graphs.preprocess import InputGeometry
from engines.label_file import NAMELESS
from engines.labels import COCO_CATEGORIES, find_labels, labels_for, wrong_count
from engines.records import InputOverride
from engines.text import counted

NO_OVERRIDE = InputOverride()
"""the input geometry of the family"""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A detection model whose family, labels and input are known."""

    path: Path
    proto: onnx.ModelProto
    """as in the file, but sorted, with an opset that heads can be added to and the image as its only input"""
    family: Family
    match: Match
    raw: RawModel
    head: HeadSpec
    labels: tuple[str, ...]
    """class names, indexed by class id"""
    geometry: InputGeometry
    """how an image is made into the model's input"""
    input_name: str
    input_type: int
    """an onnx.TensorProto.DataType: FLOAT, FLOAT16 or UINT8"""

    @property
    def width(self) -> int:
        """The size of the model's input, pixels."""
        return self.raw.width

    @property
    def height(self) -> int:
        """The size of the model's input, pixels."""
        return self.raw.height

    @property
    def planar(self) -> bool:
        """Whether the input is [B, 3, height, width] and not [B, height, width, 3]."""
        return self.raw.planar

    @property
    def opset(self) -> int:
        """The version of the default operator domain."""
        return opset_of(self.proto)


def read_model(
    path: Path, family: str = "auto", labels: str | None = None, override: InputOverride = NO_OVERRIDE
) -> Model:
    """Reads an ONNX file and identifies its family.

    `family` is a name in FAMILIES or 'auto'; `labels` as in labels.find_labels; `override`
    replaces parts of the family's input geometry. Raises ModelError and LabelsError.
    """
    proto = load(path)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    task = metadata.get("task", "detect")
    if task != "detect":
        raise ModelError(
            f"{path}: its metadata says that it is for the task {task!r}; export a model that detects boxes"
        )
    image = image_input(path, proto, metadata.get("imgsz"))
    takes_image_size = feed_sizes(path, proto, image)
    names = find_labels(labels, metadata, str(path))
    raw = RawModel(
        outputs=raw_outputs(proto, image),
        operators=frozenset(node.op_type for node in proto.graph.node),
        width=image.width,
        height=image.height,
        planar=image.planar,
        integer_input=image.dtype == TensorProto.UINT8,
        takes_image_size=takes_image_size,
        name_count=None if names is None else len(names),
    )
    stated = metadata.get("family")
    found, match = _find_family(path, raw, stated if family == "auto" and stated in FAMILIES else family, labels)
    label_by_class = _label_by_class(match, names, labels)
    names = labels_for(names, labels, match.classes if label_by_class is None else None, str(path))
    return Model(
        path=path,
        proto=proto,
        family=found,
        match=match,
        raw=raw,
        head=HeadSpec(found.max_candidates, len(names), label_by_class),
        labels=names,
        geometry=(match.geometry or found.geometry).overridden(override),
        input_name=image.name,
        input_type=image.dtype,
    )


def _find_family(path: Path, raw: RawModel, requested: str, labels: str | None) -> tuple[Family, Match]:
    if requested != "auto" and requested not in FAMILIES:
        close = difflib.get_close_matches(requested, FAMILIES, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ModelError(f"unknown model family {requested!r}{hint} (known: auto, {', '.join(FAMILIES)})")
    considered = FAMILIES.values() if requested == "auto" else [FAMILIES[requested]]
    matches = [(family, match) for family in considered if (match := family.match(raw)) is not None]
    if len(matches) > 1:  # the number of class names may decide
        likely = [(f, m) for f, m in matches if m.sure and (m.classes is None or raw.expects(m.classes))]
        matches = likely or matches
    if len(matches) == 1:
        return matches[0]
    if requested != "auto":
        raise ModelError(
            f"{path}: family {requested} needs {FAMILIES[requested].layout}; this model has {_describe(raw)}"
        )
    classes = {family.name: match.classes for family, match in matches if match.classes is not None}
    if raw.name_count is not None and classes and raw.name_count not in classes.values():
        counts = " or ".join(f"{counted(number, 'class')} as {name}" for name, number in classes.items())
        raise wrong_count(raw.name_count, labels, str(path), counts)
    candidates = [family for family, _ in matches] or FAMILIES.values()
    options = "; ".join(f"{family.name}: {family.layout}" for family in candidates)
    what = "matches several families" if matches else "matches no known family"
    raise ModelError(f"{path}: {what} with {_describe(raw)}; set family to one of: {options}")


def _label_by_class(match: Match, names: tuple[str, ...] | None, setting: str | None) -> tuple[int, ...] | None:
    """The label index of each class, -1 for none; None if label indices equal class ids."""
    first = match.first_category
    if first is None or names is None:
        return None
    if setting == "coco":
        categories = range(first, COCO_CATEGORIES[-1] + 1)
        return tuple(COCO_CATEGORIES.index(c) if c in COCO_CATEGORIES else -1 for c in categories)
    if first == 1 and names[:1] == (NAMELESS,):  # TensorFlow's lists begin with category 0
        return tuple(label if names[label] != NAMELESS else -1 for label in range(first, len(names)))
    return None


def _describe(raw: RawModel) -> str:
    shapes = (f"{output.name} [{', '.join(str(d or '?') for d in output.shape)}]" for output in raw.outputs)
    return f"input {raw.width}x{raw.height} and outputs " + ", ".join(shapes)
