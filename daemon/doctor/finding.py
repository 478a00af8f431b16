"""A check's result: facts for people and programs, and problems with the command that fixes each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """Something missing or wrong."""

    what: str
    """the check that found it, as named in the report"""
    problem: str
    """one sentence, without credentials"""
    fix: str
    """a command, or else what to do"""
    stops: bool = True
    """ospreyd cannot do what the configuration asks for; otherwise it does it worse"""


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check."""

    name: str
    line: str
    """for people"""
    facts: Mapping[str, Any]
    """for programs, ready for JSON"""
    problems: tuple[Problem, ...] = field(default=())
