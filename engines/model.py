"""Reads a model file and identifies its family, labels and input geometry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto

from engines.errors import LabelsError, ModelError
from engines.graphs.heads.base import Family, HeadSpec, Match, RawModel
from engines.graphs.onnx_file import ImageInput, feed_sizes, fix_batch, image_input, load, opset_of
from engines.graphs.outputs import raw_outputs
from engines.graphs.preprocess import InputGeometry
from engines.identify import find_family
from engines.label_file import BACKGROUNDS, NAMELESS
from engines.labels import COCO, COCO_CATEGORIES, find_labels, labels_for, wrong_count
from engines.plausibility import misreading
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

    `family` is a name in heads.FAMILIES or 'auto'; `labels` as in labels.find_labels; `override`
    replaces parts of the family's input geometry. The model is run on two pictures, and refused where its results are
    impossible as the family reads them. Raises ModelError and LabelsError.
    """
    proto = load(path)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    task = metadata.get("task", "detect")
    if task != "detect":
        raise ModelError(
            f"{path}: its metadata says that it is for the task {task!r}; export a model that detects boxes"
        )
    image = image_input(path, proto, metadata.get("imgsz"), override.size)
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
        coco_names=names == COCO,
        metadata=metadata,
    )

    def as_read(found: Family, match: Match) -> Model:
        return _model(path, proto, raw, image, (found, match), labels, override)

    def wrong(found: Family, match: Match) -> str | None:
        return misreading(as_read(found, match))

    return as_read(*find_family(path, raw, family, labels, wrong))


def _model(
    path: Path,
    proto: onnx.ModelProto,
    raw: RawModel,
    image: ImageInput,
    candidate: tuple[Family, Match],
    labels: str | None,
    override: InputOverride,
) -> Model:
    """The model as one family reads it. Raises LabelsError where its class names do not fit."""
    family, match = candidate
    names = find_labels(labels, dict(raw.metadata), str(path))
    label_by_class = _label_by_class(match, names, labels)
    if match.first_category is None:
        _check_names(path, raw, names, labels)
    names = labels_for(names, labels, match.classes if label_by_class is None else None, str(path))
    return Model(
        path=path,
        proto=fix_batch(proto, image.name) if match.one_image else proto,
        family=family,
        match=match,
        raw=raw,
        head=HeadSpec(family.max_candidates, len(names), label_by_class),
        labels=names,
        geometry=(match.geometry or family.geometry).overridden(override),
        input_name=image.name,
        input_type=image.dtype,
    )


def _check_names(path: Path, raw: RawModel, names: tuple[str, ...] | None, setting: str | None) -> None:
    """Raises LabelsError where the given names are not as many as those of the model's metadata."""
    if setting is None or names is None:
        return
    try:
        own = find_labels(None, dict(raw.metadata), str(path))
    except LabelsError:
        return  # the given names are there to replace them
    if own is not None and len(own) != len(names):
        raise wrong_count(len(names), setting, str(path), f"{counted(len(own), 'name')} in its metadata")


def _label_by_class(match: Match, names: tuple[str, ...] | None, setting: str | None) -> tuple[int, ...] | None:
    """The label index of each class, -1 for none; None if label indices equal class ids."""
    first = match.first_category
    if first is None or names is None:
        return None
    if setting == "coco" or names == COCO:
        categories = range(first, COCO_CATEGORIES[-1] + 1)
        return tuple(COCO_CATEGORIES.index(c) if c in COCO_CATEGORIES else -1 for c in categories)
    named = [index if name not in BACKGROUNDS else -1 for index, name in enumerate(names)]
    if match.background:
        return tuple(named) if named[0] == -1 else (-1, *named)
    if first == 1 and names[:1] == (NAMELESS,):  # TensorFlow's lists begin with category 0
        return tuple(named[first:])
    return None
