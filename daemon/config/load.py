"""From a configuration file to a validated Config, or to every mistake in it at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from daemon.config import paths, sentences
from daemon.config.document import Document
from daemon.config.mistakes import Mistake, MistakesError
from daemon.config.schema import Config
from daemon.config.syntax import compose, read
from daemon.errors import EXIT_NO_BACKEND, EXIT_USAGE, ConfigError


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration, and where its values stand."""

    config: Config
    _document: Document

    def lines(self, mistakes: Iterable[Mistake]) -> tuple[str, ...]:
        """Each mistake with its line, in the order of the file."""
        for mistake in mistakes:
            self._document.report(mistake.path, self._document.hiding_value(mistake.path, mistake.sentence))
        return self._document.problems

    @contextmanager
    def naming_lines(self) -> Iterator[None]:
        """Raises ConfigError, with the lines, for the MistakesError that are raised inside."""
        found: tuple[Mistake, ...] = ()
        try:
            yield
        except MistakesError as error:
            found = error.mistakes
        if found:
            of_models = all(mistake.of_model for mistake in found)
            raise ConfigError(self.lines(found), EXIT_NO_BACKEND if of_models else EXIT_USAGE)


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Reads and validates a configuration file; its relative paths become absolute, from the file's own folder.

    `environ` fills `${NAME}` and `!secret NAME`. Raises ConfigError with a line for each mistake:
    `cameras.yaml:14: cameras.front.open_timeout: must be a positive number, got 'ten'`. Model, label and CA files must
    be there; a camera's source need not.
    """
    return load_with_lines(path, environ).config


def load_with_lines(path: Path, environ: Mapping[str, str] = os.environ, text: str | None = None) -> Loaded:
    """The same, for whoever opens what the configuration names; of a text in place of the file's where it is given."""
    _require_utf8(path)
    document = Document(str(path), compose(str(path), read(path) if text is None else text), environ)
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
    return Loaded(config, document)


def _require_utf8(path: Path) -> None:
    """Relative paths start at the file's folder, and messages that name one must be UTF-8."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        raise ConfigError([f"{str(path)!r}: must be in UTF-8, its folders too; rename what is not"]) from None
