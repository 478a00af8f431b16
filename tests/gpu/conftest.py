"""What only a GPU can show; skipped where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.backends import CPU, Backend, choose
from engines.build.cache import EngineCache


@pytest.fixture(scope="session")
def backend() -> Backend:
    found = choose()
    if found.name == CPU:
        pytest.skip(found.reason)
    return found


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> EngineCache:
    return EngineCache(tmp_path_factory.mktemp("engines"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gpu)
