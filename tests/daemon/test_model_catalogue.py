"""The rules of the catalogue: every entry is pinned, permissive, documented and measured."""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from daemon.cli.main import run_cli
from daemon.config.model import Model
from daemon.errors import UsageError
from daemon.modelstore.catalogue import SHIPPED, Entry, read_catalogue
from tests.conftest import ROOT
from tests.internet.test_catalogue import FLOORS

LICENCES = {"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause"}
PINNED = re.compile(r"/releases/download/[^/]+/|/[0-9a-f]{40}/")


@pytest.mark.parametrize("entry", read_catalogue().values(), ids=lambda entry: entry.name)
def test_each_entry_of_the_catalogue_is_pinned_and_permissive(entry: Entry) -> None:
    assert entry.licence in LICENCES
    assert (SHIPPED.parent / "licences" / f"{entry.licence}.txt").is_file()
    for url in (entry.url, *entry.mirrors):
        assert PINNED.search(url), f"{url} names no release and no commit"
    assert Model.model_validate({"file": entry.file, "input": dict(entry.input)})
    assert None not in (entry.ap, entry.gflops)


@pytest.mark.parametrize(
    ("cores", "backend", "name", "why"),
    [
        (3, "onnxruntime", "yolox-nano", "3 CPU cores and no GPU that TensorRT runs on"),
        (4, "onnxruntime", "yolox-tiny", "4 CPU cores and no GPU that TensorRT runs on"),
        (2, "tensorrt", "yolox-s", "tensorrt runs on a card"),
    ],
)
def test_what_fits_a_machine(
    cores: int, backend: str, name: str, why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cores)))
    command = import_module("daemon.cli.model.get")
    monkeypatch.setattr(command, "choose", lambda _: SimpleNamespace(name=backend, gpu="a card"))
    monkeypatch.setenv("OSPREYD_OFFLINE", "1")
    assert run_cli(["model", "get"]) == 1
    fits, announced = capsys.readouterr().out.splitlines()
    assert fits == f"{name} fits this machine: {why}"
    assert announced.startswith(f"{name}: ")


def test_no_two_entries_have_one_file_and_each_has_a_floor() -> None:
    """A mirror and a stick have them side by side."""
    known = read_catalogue()
    assert len({entry.file for entry in known.values()}) == len(known)
    assert FLOORS.keys() == known.keys()


def test_the_documents_list_the_catalogue() -> None:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    rows = [
        f"| `{e.name}` | {e.size / 1e6:.1f} | {e.ap:g} | {e.imgsz[1]}x{e.imgsz[0]} | {e.licence} | {e.author} |"
        for e in read_catalogue().values()
    ]
    assert "\n".join(rows) in text, "\n".join(rows)


CHANGES: list[dict[str, Any]] = [
    {"url": "http://github.com/x.onnx"}, {"mirrors": ["ftp://x/y"]}, {"sha256": "0" * 63}, {"sha256": "Z" * 64},
    {"file": "../x.onnx"}, {"file": "x.pt"}, {"size": 0}, {"size": None}, {"family": "yolo"}, {"labels": "names.txt"},
    {"licence": ""}, {"imgsz": [416]}, {"confidence": 2}, {"sha265": "0" * 64},
]  # fmt: skip


def test_a_catalogue_with_a_mistake_is_refused(tmp_path: Path) -> None:
    whole = yaml.safe_load(SHIPPED.read_text())
    nano = whole["yolox-nano"]
    wrong: list[Any] = [{"yolox-nano": {**nano, **change}} for change in CHANGES]
    wrong += [{name: nano} for name in ("a.b", "a/b", "..", "street", "")]
    wrong += [[nano], {"a": 1}, None]
    file = tmp_path / "catalogue.yaml"
    for document in wrong:
        file.write_text(yaml.safe_dump(document))
        with pytest.raises(UsageError, match=r"/catalogue\.yaml: "):
            read_catalogue(file)
    file.write_text(yaml.safe_dump({"yolox-nano": nano}))
    assert list(read_catalogue(file)) == ["yolox-nano"]
