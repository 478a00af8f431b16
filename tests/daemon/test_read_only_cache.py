"""A folder of engines that can only be read: what is in it runs, and what is damaged fails alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from daemon.inference.model_revision import ModelRevision
from daemon.records import ModelState
from engines.backends import CPU, Prepared, choose, open_session, prepare
from engines.build.cache import EngineCache
from engines.errors import CacheError, NotPreparedError
from tests.conftest import wait_for
from tests.daemon.managing import config, managed
from tests.daemon.test_outbox_start import disk


def mount_again(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def test_models_of_a_read_only_cache(tmp_path: Path) -> None:
    folder = tmp_path / "engines"
    folder.mkdir()
    backend = choose(CPU)
    revision = ModelRevision.read("default", config(precision="fp16", inference={"cache": str(folder)}))
    with disk(folder, "size=64m,mode=700"):
        prepare(backend, revision.model, revision.settings, lambda _what, _fraction: None)
        mount_again(folder, "ro")
        with managed(backend) as m:
            m.start()
            m.manager.load(revision)
            wait_for(lambda: m.state is ModelState.READY, "the model")
        with pytest.raises(CacheError, match="cannot be written"):
            EngineCache(folder).write(folder / "a.plan", b"1")
        mount_again(folder, "rw")
        (built,) = folder.glob("*.onnx")
        built.write_bytes(b"damaged")
        mount_again(folder, "ro")
        with managed(backend) as m:
            m.start()
            m.manager.load(revision)
            wait_for(lambda: m.state is ModelState.FAILED, "the failure")
            assert "cannot be deleted although its digest is wrong: Read-only file system" in m.lost["default"]


def test_a_detector_that_cannot_be_read_has_to_be_built_again(tmp_path: Path) -> None:
    revision = ModelRevision.read("default", config(precision="fp16"))
    with pytest.raises(NotPreparedError, match="Is a directory"):
        open_session(Prepared(choose(CPU), revision.model, revision.settings, detector=tmp_path))
