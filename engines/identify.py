"""Finds the family of a model: accepted only where every fact fits, else refused with what came nearest."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from engines.errors import ModelError
from engines.graphs.heads import FAMILIES
from engines.graphs.heads.base import Family, Match, Mismatch, RawModel
from engines.labels import wrong_count
from engines.text import counted

Candidate: TypeAlias = tuple[Family, Match]
Misreading: TypeAlias = Callable[[Family, Match], "str | None"]
"""says what is impossible in the results of a model that is read this way, None if nothing is"""

_TELLING = ("ArgMax", "Exp", "GridSample", "NonMaxSuppression", "RoiAlign", "Softmax", "TopK")
"""operators that tell layouts apart"""
_LIBREYOLO = {
    "yolox": "yolox",
    "dfine": "detr-raw",
    "deim": "detr-raw",
    "rtdetr": "detr-raw",
    "rtdetrv2": "detr-raw",
    "rfdetr": "detr-raw",
}
"""LibreYOLO's families whose exports have a layout and an input known here"""


def find_family(path: Path, raw: RawModel, requested: str, labels: str | None, misreading: Misreading) -> Candidate:
    """The family of a model and how the model fits it; `requested` is a name in FAMILIES or 'auto', `labels`
    where its class names are from. Raises ModelError where none fits, or several do, and LabelsError.
    """
    if requested != "auto" and requested not in FAMILIES:
        close = difflib.get_close_matches(requested, FAMILIES, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ModelError(f"unknown model family {requested!r}{hint} (known: auto, {', '.join(FAMILIES)})")
    names = [requested] if requested != "auto" else list(_stated(path, raw.metadata))
    results = {name: FAMILIES[name].match(raw) for name in names}
    matches = [(FAMILIES[name], found) for name, found in results.items() if isinstance(found, Match)]
    if not matches:
        raise ModelError(_none_fits(path, raw, results))
    if requested != "auto":
        return _checked(path, raw, matches[0], misreading)
    likely = [(f, m) for f, m in matches if (m.sure or len(names) == 1) and _has_names_for(raw, m)]
    if len(likely) > 1:
        likely = [(f, m) for f, m in likely if misreading(f, m) is None] or likely
    if len(likely) == 1:
        return _checked(path, raw, likely[0], misreading)
    if not any(_has_names_for(raw, m) for _, m in matches):
        counts = " or ".join(f"{counted(m.classes or 0, 'class')} as {f.name}" for f, m in matches)
        raise wrong_count(raw.name_count or 0, labels, str(path), counts)
    raise ModelError(
        f"{path}: may be of several families: it has {describe(raw)}; set family to the one it is: "
        + "; ".join(f"{f.name}{_classes(m)}: {f.layout}" for f, m in likely or matches)
    )


def describe(raw: RawModel) -> str:
    """The input, the outputs and the operators of a model that tell its layout."""
    shapes = (f"{output.name} [{', '.join(str(d or '?') for d in output.shape)}]" for output in raw.outputs)
    telling = [operator for operator in _TELLING if operator in raw.operators]
    operators = f" and the operators {', '.join(telling)}" if telling else ""
    return f"input {raw.width}x{raw.height}, outputs {', '.join(shapes)}{operators}"


def _stated(path: Path, metadata: Mapping[str, str]) -> Iterable[str]:
    """The families that a model can be of, as its exporter says."""
    if metadata.get("family") in FAMILIES:
        return [metadata["family"]]
    if "libreyolo_version" in metadata:
        theirs = metadata.get("model_family", "")
        if theirs not in _LIBREYOLO:
            raise ModelError(
                f"{path}: LibreYOLO's layout of {theirs or 'an unknown family'} is unknown to ospreyd (known: "
                f"{', '.join(_LIBREYOLO)}); export the weights with the model's own project"
            )
        return [_LIBREYOLO[theirs]]
    if metadata.get("author") == "Ultralytics":
        if metadata.get("head") == "RTDETRDecoder":
            return ["rtdetr", "detr-raw"]
        if "true" in {metadata.get("end2end", "").lower(), _argument(metadata, "nms")}:
            return ["yolov10", "rtdetr", "detr-raw"]  # old exports do not tell the head
        return ["yolov8", "yolov10", "rtdetr", "detr-raw"]
    return FAMILIES


def _argument(metadata: Mapping[str, str], name: str) -> str:
    """An argument of Ultralytics' exporter, in lower case."""
    try:
        arguments = ast.literal_eval(metadata.get("args", "{}"))
    except (ValueError, SyntaxError):
        return ""
    return str(arguments.get(name, "")).lower() if isinstance(arguments, dict) else ""


def _has_names_for(raw: RawModel, match: Match) -> bool:
    if match.classes is None or raw.name_count is None or match.classes == raw.name_count:
        return True
    return match.first_category is not None and raw.coco_names


def _checked(path: Path, raw: RawModel, candidate: Candidate, misreading: Misreading) -> Candidate:
    family, match = candidate
    wrong = misreading(family, match)
    if wrong is None:
        return candidate
    raise ModelError(
        f"{path}: is not of the family {family.name} ({family.layout}): read that way {wrong}; it has "
        f"{describe(raw)}; set another family, or export it with: {family.export}"
    )


def _none_fits(path: Path, raw: RawModel, results: Mapping[str, Match | Mismatch]) -> str:
    name, nearest = max(
        ((name, found) for name, found in results.items() if isinstance(found, Mismatch)),
        key=lambda found: found[1].fitting,
    )
    family = FAMILIES[name]
    what = f"family {name} needs" if len(results) == 1 else f"matches no family; nearest is {name}:"
    return (
        f"{path}: {what} {family.layout}, but {nearest.why}; this model has {describe(raw)}; export it with: "
        f"{family.export}"
    )


def _classes(match: Match) -> str:
    return "" if match.classes is None else f" ({match.classes} classes)"
