"""What the web page's process reads of a configuration: the device's name and `service.web`, and no other secret."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from daemon.config import paths, sentences
from daemon.config.document import Document
from daemon.config.section import Name, Section
from daemon.config.service import Web
from daemon.config.syntax import compose, read
from daemon.errors import ConfigError, UsageError

_KEYS = ("device", "service")


class _Service(Section):
    web: Web | None = Web()


class _Part(Section):
    device: Name
    service: _Service = _Service()


@dataclass(frozen=True, slots=True)
class PageConfig:
    """Of one web page."""

    file: Path
    """the whole configuration"""
    device: str
    web: Web


def load_page(file: Path, environ: Mapping[str, str] = os.environ) -> PageConfig:
    """Raises ConfigError with a line for each mistake in these parts, and UsageError where the file wants no page."""
    root = compose(str(file), read(file))
    _keep(root, _KEYS)
    for _, service in root.value:
        if isinstance(service, yaml.MappingNode):
            _keep(service, ("web",))
    document = Document(str(file), root, environ)
    paths.resolve(document, file.absolute().parent)
    read_values = document.values if isinstance(document.values, dict) else {}
    part = None
    try:  # the resolving of paths may have filled in more
        part = _Part.model_validate({key: read_values[key] for key in _KEYS if key in read_values})
    except ValidationError as error:
        for mistake in error.errors(include_url=False):
            sentences.report(document, mistake)
    if part is None or document.problems:
        raise ConfigError(document.problems)
    if part.service.web is None:
        raise UsageError(f"{file}: service.web is null, so there is no page; take that line out and restart ospreyd")
    return PageConfig(file, part.device, part.service.web)


def _keep(node: yaml.MappingNode, keys: tuple[str, ...]) -> None:
    """Takes all other entries out, unread."""
    node.value = [(key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode) and key.value in keys]
