"""Mistakes in a valid configuration that show only when what it names is opened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from daemon.config.document import KeyPath, dotted
from daemon.errors import UsageError


class Mistake(NamedTuple):
    """One of them."""

    path: KeyPath
    """of the value"""
    sentence: str
    """what is wrong with it"""
    of_model: bool = False
    """a model's file is at fault"""


class MistakesError(UsageError):
    """All of them at once, without their lines, which only the file's reader knows."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("; ".join(f"{dotted(one.path)}: {one.sentence}" for one in mistakes))
        self.mistakes = tuple(mistakes)
