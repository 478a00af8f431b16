"""A model whose outputs are impossible for its family while it runs: the model ends, and nothing else."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper

from daemon.inference.model_revision import ModelRevision
from daemon.records import ModelState
from engines.backends import CPU, choose
from engines.models import street_onnx
from tests.conftest import wait_for
from tests.daemon.managing import config, managed
from tests.daemon.running import TOPICS, box, daemon, detections_of, has, state_of, stop
from tests.servers.mosquitto import Mosquitto
from tests.servers.subscriber import Subscriber

_WHITE = np.full((256, 416, 3), 255, np.uint8)
"""a picture of the model's input size and shape"""


def write_model(file: Path) -> None:
    """The street model, but with scores far above 1 for pictures that are nearly white."""
    model = onnx.load(street_onnx())
    graph = model.graph
    (join,) = (node for node in graph.node if graph.output[0].name in node.output)
    scores = join.input[1]
    join.input[1] = "scaled"
    graph.initializer.extend(
        helper.make_tensor(name, TensorProto.FLOAT, [], [value])
        for name, value in (("nearly_white", 200.0), ("huge", 1e6), ("one", 1.0))
    )
    at = list(graph.node).index(join)
    for index, node in enumerate(
        [
            helper.make_node("ReduceMean", [graph.input[0].name], ["mean"], keepdims=0),
            helper.make_node("Greater", ["mean", "nearly_white"], ["is_white"]),
            helper.make_node("Where", ["is_white", "huge", "one"], ["factor"]),
            helper.make_node("Mul", [scores, "factor"], ["scaled"]),
        ]
    ):
        graph.node.insert(at + index, node)
    onnx.save(model, file)


def test_a_score_above_1_ends_the_model_and_not_the_worker(tmp_path: Path) -> None:
    write_model(tmp_path / "model.onnx")
    with managed(choose(CPU)) as m:
        m.start()
        m.manager.load(ModelRevision.read("default", config(file=str(tmp_path / "model.onnx"))))
        wait_for(lambda: m.state is ModelState.READY, "the model")
        m.frame()
        wait_for(lambda: m.results, "the result of a black picture")
        m.released.clear()
        m.frame(2, image=_WHITE)
        wait_for(lambda: m.state is ModelState.FAILED, "the model to fail")
        assert m.released.is_set()
        assert "above 1" in m.lost["default"]
        assert len(m.results) == 1
        m.manager.load(ModelRevision.read("default", config()))  # another file under its name
        wait_for(lambda: m.state is ModelState.READY, "the model that replaces it")
        m.frame(3, image=_WHITE)
        wait_for(lambda: len(m.results) == 2, "its result")


def test_the_daemon_goes_on_with_the_cameras_of_other_models(
    broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    write_model(tmp_path / "model.onnx")
    for folder, image in (("white", _WHITE), ("grey", np.full_like(_WHITE, 114))):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "1.png"), image)
    files = {"pace": "as-fast-as-possible", "loop": True}
    cameras = {
        "white": {"source": str(tmp_path / "white"), "model": "misread", **files},
        "grey": {"source": str(tmp_path / "grey"), "model": "default", **files},
    }
    models = {"default": {"file": "street"}, "misread": {"file": str(tmp_path / "model.onnx")}}
    with daemon(tmp_path, box(broker, cameras, models=models)) as process:
        subscriber.wait(lambda m: state_of(m, "white")["reason"] == "model-failed", "the state of its camera", 60)
        seen = len(detections_of(subscriber, "grey"))
        subscriber.wait(partial(has, seen + 50, "grey"), "frames of the other", 60)
        assert not detections_of(subscriber, "white")
        models = subscriber.messages(f"{TOPICS}/info")[-1].json()["models"]
        assert {name: model["state"] for name, model in models.items()} == {"default": "ready", "misread": "failed"}
        stop(process)
