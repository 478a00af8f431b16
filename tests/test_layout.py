"""The layout of docs/development.md: small files and functions, rooms, and one meaning for each file name."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

from tests.conftest import ROOT

LONGEST_FILE = 300
LONGEST_FUNCTION = 60
PACKAGES = ("daemon", "engines")
FILES = sorted(file for folder in (*PACKAGES, "tests") for file in (ROOT / folder).rglob("*.py"))
LOOSE = {"__init__.py", "__main__.py", "errors.py", "stats.py"}
"""of `daemon/`; everything else is in a room"""
NAMED_AFTER = ("daemon/config", "daemon/cli")
"""rooms whose files are named after what they configure, or after their command"""
SHARED = {"__init__.py", "base.py", "errors.py"}
"""names that mean the same wherever they occur: a package, the protocol of the files beside it, a package's errors"""


def lines_of(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


def functions(file: Path) -> list[tuple[str, int]]:
    """Each function of a file, with its length in lines."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return [(node.name, (node.end_lineno or node.lineno) - node.lineno + 1) for node in found]


@pytest.mark.parametrize("folder", [*PACKAGES, "tests"])
def test_no_file_is_too_long(folder: str) -> None:
    long = {str(f.relative_to(ROOT)): lines_of(f) for f in FILES if f.is_relative_to(ROOT / folder)}
    assert {name: lines for name, lines in long.items() if lines > LONGEST_FILE} == {}


def test_no_function_is_too_long() -> None:
    long = [(f.name, name, lines) for f in FILES for name, lines in functions(f) if lines > LONGEST_FUNCTION]
    assert long == []


def test_daemon_has_no_loose_files() -> None:
    assert {file.name for file in (ROOT / "daemon").glob("*.py")} <= LOOSE


def test_a_file_name_means_one_thing() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for file in FILES:
        room = str(file.parent.relative_to(ROOT))
        if not room.startswith(("tests", *NAMED_AFTER)) and file.name not in SHARED:
            places[file.name].append(room)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
