"""The PTX that is shipped is what its sources compile to."""

from __future__ import annotations

import locale
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.ptx import NVRTC, SOURCES, compile_ptx, compiler


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_is_compiled_from_its_source(source: Path) -> None:
    library = compiler()
    if library is None:
        missing("NVRTC", f"pip install nvidia-cuda-nvrtc-cu12=={NVRTC}")
    encoding = locale.getpreferredencoding(do_setlocale=False)
    assert source.with_suffix(".ptx").read_bytes() == compile_ptx(library, source), "run python -m tests.ptx"
    assert locale.getpreferredencoding(do_setlocale=False) == encoding
