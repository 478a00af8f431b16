"""What the tests of configurations share: a file x.yaml in the current folder, loaded, or its mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from daemon.config.load import load
from daemon.config.schema import Config
from daemon.errors import EXIT_USAGE, ConfigError

ABOVE = "device: gate-01\nmqtt: {host: localhost}\n"
CAMERA = "cameras:\n  front: {source: '0'}\n"


def mistakes(text: str | bytes, environ: Mapping[str, str] | None = None) -> list[str]:
    """The lines told about a file x.yaml, without its name."""
    Path("x.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        load(Path("x.yaml"), environ or {})
    assert caught.value.exit_code == EXIT_USAGE
    assert not isinstance(caught.value.__context__, ValidationError), "a traceback would show values"
    assert all(line.startswith("x.yaml:") for line in caught.value.problems)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return [line.removeprefix("x.yaml:") for line in caught.value.problems]


def loaded(text: str, environ: Mapping[str, str] | None = None) -> Config:
    Path("x.yaml").write_text(text, encoding="utf-8")
    return load(Path("x.yaml"), environ or {})
