"""From a configuration file to a validated Config, or to every mistake in it at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from daemon.config import paths, sentences
from daemon.config.document import Document
from daemon.config.schema import Config
from daemon.config.syntax import compose, read
from daemon.errors import ConfigError


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Reads and validates a configuration file; its relative paths become absolute, from the file's own folder.

    `environ` fills `${NAME}` and `!secret NAME`. Raises ConfigError with a line for each mistake:
    `cameras.yaml:14: cameras.front.open_timeout: must be a positive number, got 'ten'`. Model, label and CA files must
    be there; a camera's source need not.
    """
    _require_utf8(path)
    document = Document(str(path), compose(str(path), read(path)), environ)
    paths.resolve(document, path.absolute().parent)
    config = None
    try:
        config = Config.model_validate(document.values)
    except ValidationError as error:
        for mistake in error.errors(include_url=False):
            sentences.report(document, mistake)
    # Outside the handler, so that no traceback carries pydantic's error and the values in it.
    if config is None or document.problems:
        raise ConfigError(document.problems)
    return config


def _require_utf8(path: Path) -> None:
    """Relative paths start at the file's folder, and messages that name one must be UTF-8."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        raise ConfigError([f"{str(path)!r}: must be in UTF-8, its folders too; rename what is not"]) from None
