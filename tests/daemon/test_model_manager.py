"""Models that come, go, come again, fail and are replaced: real sessions on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from daemon.inference.model_revision import ModelRevision
from daemon.records import ModelState
from engines.backends import CPU, choose, needs_building
from engines.build.specification import digest
from engines.errors import EngineError
from engines.models import street_onnx
from tests.conftest import wait_for
from tests.daemon.managing import config, frames_coming, managed


def test_a_model_is_ready_and_dropped() -> None:
    with managed(choose(CPU)) as m:
        m.start()
        m.manager.load(ModelRevision.read("default", config()))
        wait_for(lambda: m.state is ModelState.READY, "the model")
        m.frame()
        wait_for(lambda: m.results, "the result")
        m.manager.drop("default")
        assert m.manager.infos == {}
        assert m.manager.latest("default") is None
        m.released.clear()
        m.frame()  # refused at once: nobody would ever take it
        assert m.released.is_set()


def test_a_model_that_is_dropped_and_wanted_again_before_it_runs() -> None:
    """The session that comes first is handed back, and gets no frame."""
    with managed(choose(CPU)) as m:
        m.manager.start()  # and not the inference worker, which finds all of it when it starts
        for _ in range(2):
            m.manager.load(ModelRevision.read("default", config()))
            wait_for(lambda: m.state is ModelState.READY, "the model")
            m.manager.drop("default")
        m.manager.load(ModelRevision.read("default", config()))
        wait_for(lambda: m.state is ModelState.READY, "the model")
        m.inference.start()
        m.frame()
        wait_for(lambda: m.results, "the result")
        assert m.state is ModelState.READY


def test_what_a_model_is_of(tmp_path: Path) -> None:
    """Its own thresholds aside, which change as it runs."""
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"class{i}" for i in range(len(ModelRevision.read("default", config()).model.labels))))
    old = config(labels=str(labels))
    revision = ModelRevision.read("default", old)
    assert revision.is_of(old)
    assert revision.is_of(config(labels=str(labels), confidence=0.9))
    assert not revision.is_of(config(labels=str(labels), precision="fp32"))
    assert not revision.is_of(config(labels=str(labels), calibration=str(tmp_path)))
    labels.write_text(labels.read_text() + "\n")
    assert not revision.is_of(old)
    with pytest.raises(EngineError):
        ModelRevision.read("default", config(file=str(tmp_path / "none.onnx")))


def write_model(file: Path, scale: float) -> None:
    """The street model with one of its weights scaled, as if it had been trained further."""
    model = onnx.load(street_onnx())
    weights = next(one for one in model.graph.initializer if one.data_type == onnx.TensorProto.FLOAT and one.dims)
    scaled = onnx.numpy_helper.to_array(weights) * np.float32(scale)
    weights.CopyFrom(onnx.numpy_helper.from_array(scaled, weights.name))
    onnx.save(model, file)


def test_a_model_whose_file_is_replaced_before_it_is_built(tmp_path: Path) -> None:
    """What runs is what the file holds in the end; the process that builds has read no other."""
    file = tmp_path / "model.onnx"
    write_model(file, 1.001)
    written = config(file=str(file), precision="fp16", inference={"cache": str(tmp_path / "engines")})
    revision = ModelRevision.read("default", written)
    write_model(file, 1.002)
    with managed(choose(CPU)) as m:
        m.start()
        m.manager.load(revision)
        wait_for(lambda: m.state is ModelState.READY, "the model", 60)
        latest = m.manager.latest("default")
        assert latest is not None
        second = ModelRevision.read("default", written)
        assert digest(latest.model.proto) == digest(second.model.proto) != digest(revision.model.proto)
        with frames_coming(m):
            wait_for(lambda: m.results, "a result")


def test_a_model_that_failed_is_built_when_that_is_asked_for(tmp_path: Path) -> None:
    """After its reason is gone; until then it is reported again."""
    cache = tmp_path / "engines"
    cache.mkdir()
    cache.chmod(0o777)
    revision = ModelRevision.read("default", config(precision="fp16", inference={"cache": str(cache)}))
    with managed(choose(CPU)) as m:
        m.start()
        m.manager.load(revision)
        wait_for(lambda: m.state is ModelState.FAILED, "the failure")
        assert m.lost == {"default": m.said[-1].detail}
        assert m.manager.retry("default")
        wait_for(lambda: len([s for s in m.said if s.state is ModelState.FAILED]) == 2, "the second failure", 60)
        cache.chmod(0o700)
        assert m.manager.retry("default")
        wait_for(lambda: m.state is ModelState.READY, "the model", 60)
        assert not m.manager.retry("other")


def test_nothing_is_built_again_where_nothing_was_built() -> None:
    with managed(choose(CPU)) as m:
        m.start()
        revision = ModelRevision.read("default", config())
        assert not needs_building(choose(CPU), revision.settings)
        m.manager.load(revision)
        wait_for(lambda: m.state is ModelState.READY, "the model")
        assert not m.manager.retry("default")
