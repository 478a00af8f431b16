"""Each entry of the catalogue for real: fetched from where it says, and as accurate as it should be.

`make test-internet` runs them, on a machine with internet and the material folder; CI does not.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daemon.cli.main import run_cli
from daemon.inference.model_config import find_model
from daemon.modelstore import inventory
from daemon.modelstore.catalogue import Entry, read_catalogue
from daemon.modelstore.fetch import Fetching, save
from engines.backends import SessionSettings, choose, open_session, prepare
from engines.evaluate.accuracy import COCO_THRESHOLDS, coco_accuracy

pytestmark = [pytest.mark.internet, pytest.mark.timeout(1800)]

FLOORS = {
    "yolox-nano": 0.32, "yolox-tiny": 0.38, "yolox-s": 0.45, "yolox-m": 0.5, "deimv2-femto": 0.38, "dfine-s": 0.5,
    "dfine-m": 0.53, "dfine-l": 0.55,
}  # fmt: skip
"""mAP 0.5:0.95 on the 128 labelled pictures. Measured: yolox-nano's weights 0.338, deimv2-femto 0.400; the others'
are set below what their COCO AP lets expect. A file that is read wrong is near 0."""


@pytest.mark.parametrize("entry", read_catalogue().values(), ids=lambda entry: entry.name)
def test_it_is_there_and_sees(entry: Entry, material: Path) -> None:
    assert run_cli(["model", "get", entry.name]) == 0
    assert inventory.find(entry.name).sha256 == entry.sha256
    model = find_model(entry.name, "auto", None)
    folder = material / "labelled" / "coco_val2017_128"
    backend, settings = choose("onnxruntime"), SessionSettings(COCO_THRESHOLDS, max_batch=1)
    session = open_session(prepare(backend, model, settings, lambda _what, _done: None))
    try:
        labelled = folder / "instances_from_yolo.json"
        accuracy = coco_accuracy(session, model.labels, labelled, folder / "images", lambda _done: None)
    finally:
        session.close()
    assert accuracy.map50_95 >= FLOORS[entry.name]


@pytest.mark.parametrize("entry", read_catalogue().values(), ids=lambda entry: entry.name)
def test_its_mirrors_have_the_same(entry: Entry, tmp_path: Path) -> None:
    for url in entry.mirrors:
        alone = entry.model_copy(update={"url": url, "mirrors": ()})
        how = Fetching(lambda _file, _entry: None, lambda _done, _total: None, os.environ)
        save(alone, how, tmp_path)
        (tmp_path / entry.file).unlink()
