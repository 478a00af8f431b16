"""The end of a session on the GPU, with nothing in place of CUDA."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest

from engines.errors import BackendError


class Part:
    """A slot or a loaded engine, which writes down what is done to it."""

    def __init__(self, name: str, done: list[str], fails: bool) -> None:
        self._name = name
        self._done = done
        self._fails = fails

    def finish(self) -> None:
        self._done.append(f"finish {self._name}")

    def keep_kernels(self) -> None:
        self._done.append(f"keep {self._name}")

    def close(self) -> None:
        self._done.append(f"close {self._name}")
        if self._fails:
            raise BackendError(self._name)


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A session that has not been opened."""
    bindings = ModuleType("cuda.bindings")
    bindings.driver = MagicMock()  # type: ignore[attr-defined]  # a module made here
    known = {name for name in sys.modules if name.startswith("engines.tensorrt.")}
    for name in known:
        monkeypatch.delitem(sys.modules, name)
    for name, module in (("cuda.bindings", bindings), ("engines.tensorrt.driver", MagicMock(CudaError=BackendError))):
        monkeypatch.setitem(sys.modules, name, module)
    made = object.__new__(importlib.import_module("engines.tensorrt.session").TensorRtSession)
    made._device = made._nv12 = MagicMock()
    yield made
    for name in {name for name in sys.modules if name.startswith("engines.tensorrt.")} - known:
        sys.modules.pop(name)


@pytest.mark.parametrize("failing", [{"a"}, {"b"}, {"a", "b"}, {"detector"}, {"a", "detector"}, set[str]()])
def test_everything_is_closed_where_a_part_cannot_be(session: Any, failing: set[str]) -> None:
    done: list[str] = []
    session._slots = [Part(name, done, name in failing) for name in ("a", "b")]
    session._loaded = [Part(name, done, name in failing) for name in ("preprocess", "detector")]
    if failing:
        with pytest.raises(BackendError) as raised:
            session.close()
        assert set(str(raised.value).split("; ")) == failing
    else:
        session.close()
    slots = ["finish a", "finish b", "close a", "close b"]
    assert done == [*slots, "keep preprocess", "close preprocess", "keep detector", "close detector"]
    session.close()
    assert len(done) == 8, "once"
