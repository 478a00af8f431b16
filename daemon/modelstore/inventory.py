"""The models that are installed: where they are, how they are read, and which one is the default."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.errors import DaemonError, UsageError
from daemon.modelstore.advice import get_command
from daemon.modelstore.catalogue import NAME, RESERVED, read_catalogue
from engines.errors import FolderError
from engines.folders import data_folder

RECORD = "model.json"
DEFAULT = "default"
"""the file with the name of the model that serves where none is named"""
SYSTEM = Path("/usr/share/ospreyd/models")
"""read only, for images and distributions"""
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Installed:
    """A model that is installed."""

    name: str
    folder: Path
    file: str
    """name in the folder"""
    size: int
    """bytes"""
    sha256: str
    family: str
    """auto: the file says it"""
    labels: str | None
    """coco, the name of a file in the folder, or None: the file's metadata"""
    input: Mapping[str, Any]
    """as the configuration's `models.<name>.input`"""
    confidence: float | None
    licence: str | None
    """SPDX identifier"""
    origin: str
    """URL or path that it came from"""
    installed: str
    """RFC 3339"""

    @property
    def path(self) -> Path:
        """Of the model file."""
        return self.folder / self.file

    def has_its_size(self) -> bool:
        """Whether the file is there and as long as it was."""
        try:
            return self.path.stat().st_size == self.size
        except OSError:
            return False

    def mend(self) -> str:
        """The command that installs it again."""
        if self.origin.startswith("http"):
            return get_command(self.name if self.name in read_catalogue() else f"{self.name} --catalogue FILE")
        return f"ospreyd model add FILE --name {self.name}"

    def settings(self) -> dict[str, Any]:
        """Keys of the configuration's `models.<name>`."""
        labels = self.labels if self.labels in (None, "coco") else str(self.folder / self.labels)
        found = {
            "file": str(self.path), "family": self.family, "labels": labels, "confidence": self.confidence,
            "input": dict(self.input) or None,
        }  # fmt: skip
        return {key: value for key, value in found.items() if value is not None}


def places() -> tuple[Path, ...]:
    """Folders of installed models, the user's own first. Raises FolderError where the environment names none."""
    return own_folder(), SYSTEM


def own_folder() -> Path:
    """The one that models are installed into; it may not exist yet. Raises FolderError."""
    return data_folder() / "models"


def installed() -> dict[str, Installed]:
    """What is installed, by name. Raises DaemonError where a folder cannot be read."""
    found: dict[str, Installed] = {}
    for place in reversed(_places()):
        for folder in folders(place):
            if (one := read_record(folder)) is not None:
                found[one.name] = one
    return dict(sorted(found.items()))


def folders(place: Path) -> Iterator[Path]:
    """Of the models in a place, whole or not. Raises DaemonError where it cannot be read."""
    try:
        yield from sorted(one for one in place.iterdir() if re.match(NAME, one.name) and one.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise DaemonError(f"{place}: the installed models cannot be read: {error.strerror}") from None


def default() -> Installed | None:
    """What serves where no model is named."""
    there = installed()
    for place in _places():
        try:
            name = (place / DEFAULT).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if name in there:
            return there[name]
    return None


def find(name: str) -> Installed:
    """The installed model of this name. Raises UsageError with what there is where it is not installed or damaged."""
    there = installed()
    if (found := there.get(name)) is not None:
        if found.has_its_size():
            return found
        raise UsageError(f"the installed model {name} is damaged; run: {found.mend()}")
    known = read_catalogue()
    has = f"installed: {', '.join(there) or 'none'}"
    if name in known:
        raise UsageError(f"no model {name!r}; {has}; get it with: {get_command(name)}")
    raise UsageError(
        f"no model {name!r}; {has}; {nearest(name, [*there, *known])}a path has a dot or a slash, as ./{name}"
    )


def nearest(name: str, known: list[str]) -> str:
    """`did you mean yolox-s? `, or nothing."""
    close = difflib.get_close_matches(name.lower(), known, n=1)
    return f"did you mean {close[0]}? " if close else ""


def named_after(path: str | None) -> str | None:
    """The name of the installed model that a file belongs to."""
    if path is None:
        return None
    folder = Path(path).parent
    return folder.name if folder.parent in _places() else None


def is_name(text: str) -> bool:
    """Whether a text stands for an installed model and not for a path."""
    return text != RESERVED and re.match(NAME, text) is not None


def digest_of(file: Path) -> str:
    """SHA-256, in hexadecimal digits. Raises OSError."""
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def read_record(folder: Path) -> Installed | None:
    """What a model's folder says of it; None where it says nothing that can be used."""
    try:
        values = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        found = Installed(folder=folder, **{key: values[key] for key in Installed.__slots__ if key != "folder"})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    plain = {found.file, found.labels or "coco"}
    ours = found.name == folder.name and isinstance(found.input, dict) and isinstance(found.size, int)
    return found if ours and not any("/" in str(one) for one in plain) else None


def _places() -> tuple[Path, ...]:
    try:
        return places()
    except FolderError:  # a user without a home: what the system has is all there can be
        return (SYSTEM,)
