"""One file a model family: raw outputs to canonical outputs."""

from __future__ import annotations

from importlib import import_module
from typing import get_args

from engines.families import FamilyName
from engines.graphs.heads.base import Family


def _family(name: str) -> Family:
    """Of the module of that name, with _ for -."""
    family: Family = import_module(f"{__name__}.{name.replace('-', '_')}").FAMILY
    return family


FAMILIES: dict[str, Family] = {name: _family(name) for name in get_args(FamilyName)}
