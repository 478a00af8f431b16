"""The catalogue: models that can be fetched, each pinned by its size and SHA-256."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from daemon.errors import UsageError
from engines.families import FamilyName

SHIPPED = Path(__file__).parent / "models.yaml"
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""of a model; without dot and slash, so that it is no path"""
RESERVED = "street"
"""the demonstration's model, which is always there"""
TAKEN = frozenset({RESERVED, "default"})
"""names that no model can be installed under: that, and the file that says which model serves where none is named"""


class Entry(BaseModel):
    """One model of the catalogue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=NAME)]
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.onnx$")]
    url: Annotated[str, Field(pattern=r"^https://")]
    """of the author"""
    mirrors: tuple[Annotated[str, Field(pattern=r"^https://")], ...] = ()
    """the same bytes elsewhere"""
    size: Annotated[int, Field(gt=0)]
    """bytes"""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    family: FamilyName
    labels: Literal["coco"] | None = None
    """None: the file's metadata has them"""
    input: Mapping[str, Any] = Field(default_factory=dict)
    """as the configuration's `models.<name>.input`"""
    imgsz: tuple[int, int]
    """height and width of the input, pixels"""
    confidence: Annotated[float, Field(ge=0, le=1)]
    licence: Annotated[str, Field(min_length=1)]
    """SPDX identifier"""
    author: str
    trained_on: str
    ap: float | None = None
    """COCO mAP 0.5:0.95 as its authors say, per cent"""
    gflops: float | None = None
    """for one frame"""
    cpu_fps: float | None = None
    """frames/s on one core, a hint"""


def read_catalogue(file: Path | None = None) -> dict[str, Entry]:
    """The entries by name, in the order of the file; None is the one that ships with ospreyd. Raises UsageError."""
    path = file or SHIPPED
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise UsageError(f"{path}: is not YAML") from None
    if not isinstance(values, dict) or not all(isinstance(entry, dict) for entry in values.values()):
        raise UsageError(f"{path}: must be a mapping of names to models")
    try:
        entries = [Entry.model_validate({**entry, "name": name}) for name, entry in values.items()]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"{path}: {where}: {first['msg']}, got {first['input']!r}") from None
    if taken := TAKEN & values.keys():
        raise UsageError(f"{path}: {min(taken)}: no model can have this name; choose another")
    return {entry.name: entry for entry in entries}
