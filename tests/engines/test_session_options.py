"""Sessions of ONNX Runtime take no CPU time while they have nothing to do."""

from __future__ import annotations

import ast

from engines.session_options import session_options
from tests.conftest import ROOT


def test_threads_do_not_spin() -> None:
    assert session_options().get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_every_session_is_opened_with_these_options() -> None:
    opened = 0
    for file in [file for folder in ("engines", "daemon") for file in (ROOT / folder).rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            name = getattr(node.func, "attr", None) if isinstance(node, ast.Call) else None
            assert name != "SessionOptions" or file.name == "session_options.py", file
            if isinstance(node, ast.Call) and name == "InferenceSession":
                opened += 1
                assert len(node.args) >= 2, f"{file}:{node.lineno}"
    assert opened > 3
