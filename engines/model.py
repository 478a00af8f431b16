"""What a model is: its file, family, labels and input geometry; reading and identifying ONNX."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import onnx

from engines.errors import ModelError
from engines.graphs.heads import FAMILIES
from engines.graphs.heads.base import Family, RawOutputs
from engines.graphs.preprocess import InputGeometry
from engines.labels import find_labels

_OLDEST_OPSET = 11  # the heads use Clip, Pad and TopK as they are since then
_UPGRADED_OPSET = 17


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A detection model, read and understood."""

    path: Path
    proto: onnx.ModelProto
    """as in the file, of an opset that the heads can be added to"""
    family: Family
    raw: RawOutputs
    labels: tuple[str, ...]
    """class names, indexed by class id"""
    input_name: str
    input_type: int
    """an onnx.TensorProto.DataType"""

    @property
    def width(self) -> int:
        """Of the model's input, pixels."""
        return self.raw.width

    @property
    def height(self) -> int:
        """Of the model's input, pixels."""
        return self.raw.height

    @property
    def geometry(self) -> InputGeometry:
        """What the model wants to be fed."""
        return self.family.geometry

    @property
    def opset(self) -> int:
        """Of the default operator domain."""
        return _opset(self.proto)


def read_model(path: Path, family: str = "auto", labels: str | None = None) -> Model:
    """Reads an ONNX file and finds out what it is.

    `family` is a name in FAMILIES or 'auto'; `labels` as in labels.find_labels.
    Raises ModelError and LabelsError.
    """
    proto = _read(path)
    inputs = _real_inputs(proto)
    if len(inputs) != 1:
        names = ", ".join(i.name for i in inputs) or "none"
        raise ModelError(f"{path}: a detector with one picture input is needed, this model has: {names}")
    width, height = _input_size(path, inputs[0], _metadata(proto))
    raw = RawOutputs(
        names=tuple(o.name for o in proto.graph.output),
        shapes=tuple(_shape(o) for o in proto.graph.output),
        operators=frozenset(node.op_type for node in proto.graph.node),
        width=width,
        height=height,
    )
    found = _find_family(path, raw, family, _metadata(proto).get("family"))
    classes = found.classes(raw)
    if classes is None:
        raise ModelError(f"{path}: family {found.name} needs {found.layout}; this model has {_describe(raw)}")
    return Model(
        path=path,
        proto=proto,
        family=found,
        raw=raw,
        labels=find_labels(labels, _metadata(proto), classes, str(path)),
        input_name=inputs[0].name,
        input_type=inputs[0].type.tensor_type.elem_type,
    )


def _read(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise ModelError(f"{path}: there is no such model file")
    try:
        proto = onnx.load(path)
    except Exception as error:  # protobuf's and onnx's own errors share no base class
        raise ModelError(f"{path}: is not an ONNX model, or is damaged; export it again") from error
    if not proto.graph.node or not proto.opset_import:  # protobuf takes many a foreign file for an empty message
        raise ModelError(f"{path}: is not an ONNX model, or is damaged; export it again")
    if _opset(proto) < _OLDEST_OPSET:
        try:
            return onnx.version_converter.convert_version(proto, _UPGRADED_OPSET)
        except Exception as error:  # the converter raises whatever its C++ code does
            raise ModelError(
                f"{path}: opset {_opset(proto)} is too old and cannot be converted; export it with opset 17"
            ) from error
    return proto


def _find_family(path: Path, raw: RawOutputs, wanted: str, named_in_file: str | None) -> Family:
    if wanted == "auto" and named_in_file in FAMILIES:
        wanted = named_in_file
    if wanted != "auto":
        if wanted not in FAMILIES:
            close = difflib.get_close_matches(wanted, FAMILIES, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ModelError(f"unknown model family {wanted!r}{hint} (known: auto, {', '.join(FAMILIES)})")
        return FAMILIES[wanted]
    matching = [family for family in FAMILIES.values() if family.classes(raw) is not None]
    if len(matching) == 1:
        return matching[0]
    candidates = matching or list(FAMILIES.values())
    listed = "; ".join(f"{family.name}: {family.layout}" for family in candidates)
    what = "fits several families" if matching else "fits no family known"
    raise ModelError(f"{path}: {what} with {_describe(raw)}; set family to one of: {listed}")


def _input_size(path: Path, value: onnx.ValueInfoProto, metadata: dict[str, str]) -> tuple[int, int]:
    shape = _shape(value)
    if len(shape) != 4 or shape[1] not in (3, None):
        raise ModelError(f"{path}: the input {value.name} is not a planar picture [batch, 3, height, width]")
    if shape[2] and shape[3]:
        return shape[3], shape[2]
    try:
        height, width = (int(part) for part in metadata["imgsz"].strip("[]").split(","))
    except (KeyError, ValueError):
        raise ModelError(f"{path}: the input size is left open; export the model with a fixed one") from None
    return width, height


def _real_inputs(proto: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    weights = {initializer.name for initializer in proto.graph.initializer}
    return [value for value in proto.graph.input if value.name not in weights]


def _shape(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in dims)


def _describe(raw: RawOutputs) -> str:
    shapes = (
        f"{name} [{', '.join(str(d or '?') for d in shape)}]" for name, shape in zip(raw.names, raw.shapes, strict=True)
    )
    return f"input {raw.width}x{raw.height} and outputs " + ", ".join(shapes)


def _metadata(proto: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in proto.metadata_props}


def _opset(proto: onnx.ModelProto) -> int:
    return next((o.version for o in proto.opset_import if o.domain in {"", "ai.onnx"}), 0)
