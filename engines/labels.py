"""Class names of a model: from its metadata, a text file, or the built-in COCO list."""

from __future__ import annotations

import ast
from pathlib import Path

from engines.errors import LabelsError

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


def find_labels(setting: str | None, metadata: dict[str, str], classes: int, model: str) -> tuple[str, ...]:
    """The names of a model's `classes` classes.

    `setting` is 'coco', the path of a text file with one name a line, or None for the model's own metadata
    (`names`, as a list or a mapping from index to name, in Python or JSON notation).
    Raises LabelsError, also where there are fewer names than classes.
    """
    if setting == "coco":
        labels, origin = COCO, "the COCO list"
    elif setting is not None:
        labels, origin = _from_file(Path(setting)), setting
    elif "names" in metadata:
        labels, origin = _from_metadata(metadata["names"], model), f"the metadata of {model}"
    else:
        raise LabelsError(
            f"{model} carries no class names; give labels: 'coco' or a text file with {classes} names, one a line"
        )
    if len(labels) < classes:
        raise LabelsError(f"{origin} has {len(labels)} labels but {model} has {classes} classes; add the missing names")
    return labels[:classes]


def _from_file(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise LabelsError(f"{path}: there is no such labels file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise LabelsError(f"{path}: cannot be read as a labels file: {error}") from None
    while lines and not lines[-1].strip():
        lines.pop()
    return tuple(line.strip() for line in lines)


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
