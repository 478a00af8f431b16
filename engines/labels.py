"""Class names of a model: from its metadata, a text file, or the built-in COCO list."""

from __future__ import annotations

import ast
from pathlib import Path

from engines.errors import LabelsError
from engines.label_file import read_label_file
from engines.text import counted

# The 80 object categories of the COCO 2017 detection task, in the order that detectors trained on it use.
COCO: tuple[str, ...] = tuple(
    """
    person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign,
    parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella,
    handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard,
    surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange,
    broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop,
    mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors,
    teddy bear, hair drier, toothbrush
    """.replace("\n    ", " ")
    .strip()
    .split(", ")
)


COCO_CATEGORIES: tuple[int, ...] = tuple(
    category for category in range(1, 91) if category not in {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
)
"""COCO's category ids of these classes; ten of the ninety ids are unused"""


def find_labels(setting: str | None, metadata: dict[str, str], model: str) -> tuple[str, ...] | None:
    """The class names for a model, None if there are none.

    `setting` is 'coco', the path of a file (see read_label_file), or None for the model's own metadata
    (`names`, as a list or a mapping from index to name, in Python or JSON notation). Raises LabelsError.
    """
    if setting == "coco":
        return COCO
    if setting is not None:
        return read_label_file(Path(setting))
    return _from_metadata(metadata["names"], model) if "names" in metadata else None


def labels_for(names: tuple[str, ...] | None, setting: str | None, classes: int | None, model: str) -> tuple[str, ...]:
    """The names of a model's classes; `classes` is their number, None if the model does not show it.

    Raises LabelsError if there are no names, or not one for each class.
    """
    if names is None:
        needed = "the" if classes is None else str(classes)
        raise LabelsError(
            f"{model} has no class names; give labels: 'coco' or a text file with {needed} names, one per line"
        )
    if classes is not None and len(names) != classes:
        raise wrong_count(len(names), setting, model, counted(classes, "class"))
    return names


def wrong_count(names: int, setting: str | None, model: str, classes: str) -> LabelsError:
    """The error of labels that are not as many as the model's classes; `classes`: how many those are, in words."""
    origin = "the COCO list" if setting == "coco" else setting or f"the metadata of {model}"
    return LabelsError(f"{origin} has {counted(names, 'label')} but {model} has {classes}; give each class its name")


def _from_metadata(names: str, model: str) -> tuple[str, ...]:
    try:
        value = ast.literal_eval(names)  # JSON lists and string-keyed objects of names are Python literals too
    except (ValueError, SyntaxError):
        raise LabelsError(f"the class names in the metadata of {model} cannot be read; give labels instead") from None
    if isinstance(value, dict):
        try:
            by_index = {int(key): str(name) for key, name in value.items()}
            return tuple(by_index[index] for index in range(len(by_index)))
        except (KeyError, ValueError):
            raise LabelsError(f"the class names in the metadata of {model} have gaps; give labels instead") from None
    if isinstance(value, (list, tuple)):
        return tuple(str(name) for name in value)
    raise LabelsError(f"the class names in the metadata of {model} are no list; give labels instead")
