"""What the doctor finds: facts for people and programs, and problems with the command that mends each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is missing or wrong."""

    what: str
    """the part that it is about, as the report names it"""
    problem: str
    """one sentence, without credentials"""
    mend: str
    """a command, or where there is none what to do"""
    stops: bool = True
    """ospreyd cannot do what the configuration asks of it; else it only does it worse"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of the machine, looked at."""

    name: str
    line: str
    """for people"""
    facts: Mapping[str, Any]
    """for programs, ready for JSON"""
    problems: tuple[Problem, ...] = field(default=())
