"""Whatever servers answer and wherever a download ends, the folder of models holds whole, right files only."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.errors import DaemonError
from daemon.modelstore import inventory
from daemon.modelstore.catalogue import Entry
from daemon.modelstore.fetch import Fetching, install
from daemon.modelstore.request import Patience
from engines.errors import ModelError
from tests.servers.model_server import (
    Answer,
    ModelServer,
    cut,
    endless,
    garbage,
    nothing,
    other,
    plain,
    status,
    whole,
    wrong_range,
)

SIZE = 150_000
OLD, NEW = (random.Random(seed).randbytes(SIZE) for seed in (1, 2))
RIGHT = {hashlib.sha256(data).hexdigest() for data in (OLD, NEW)}
QUICK = Patience(waits=(0, 0, 0), stall=5)


def entry(data: bytes) -> Entry:
    return Entry(
        name="small", file="small.onnx", url="https://localhost:1/small.onnx", size=len(data),
        sha256=hashlib.sha256(data).hexdigest(), family="yolox", imgsz=(64, 64), confidence=0.4,
        licence="Apache-2.0", author="us", trained_on="nothing",
    )  # fmt: skip


CUTS = st.integers(0, SIZE)
ANSWERS: st.SearchStrategy[Answer] = st.one_of(
    st.just(plain),
    CUTS.map(cut),
    st.sampled_from([whole, wrong_range, nothing, garbage]),
    st.sampled_from([404, 416, 429, 500]).map(status),
    st.sampled_from([OLD, NEW[:-1], NEW + b"x", b"<html>", NEW[:-1] + b"x"]).flatmap(
        lambda data: st.sampled_from([other(data), endless(data)])
    ),
)
BEGINNINGS = st.one_of(
    st.none(), CUTS.map(lambda n: NEW[:n]), CUTS.map(lambda n: OLD[:n]), st.just(NEW + b"x"), st.binary(max_size=20)
)


class StopError(Exception):
    """Ctrl-C, at some moment."""


def nothing_else_is_there(place: Path) -> None:
    """Every model file is whole and right, and what is installed is one of them."""
    for file in place.glob("*/*.onnx"):
        assert hashlib.sha256(file.read_bytes()).hexdigest() in RIGHT
    for record in place.glob("*/model.json"):
        said = json.loads(record.read_text())
        assert hashlib.sha256((record.parent / said["file"]).read_bytes()).hexdigest() == said["sha256"]


@settings(max_examples=50)
@given(
    answers=st.lists(ANSWERS, max_size=7),
    beginning=BEGINNINGS,
    before=st.booleans(),
    stopped_at=st.one_of(st.none(), CUTS),
    opened=st.sampled_from([None, ModelError, StopError]),
)
def test_only_whole_files(
    tmp_path_factory: pytest.TempPathFactory,
    server: ModelServer,
    answers: list[Answer],
    beginning: bytes | None,
    before: bool,
    stopped_at: int | None,
    opened: type[Exception] | None,
) -> None:
    state = tmp_path_factory.mktemp("state")

    def progress(done: int, _total: int) -> None:
        if stopped_at is not None and done >= stopped_at:
            raise StopError

    opening = False

    def open_it(file: Path, _entry: Entry) -> None:
        nonlocal opening
        opening = True
        assert hashlib.sha256(file.read_bytes()).hexdigest() in RIGHT
        if opened is not None:
            raise opened

    environ = {"OSPREYD_MODEL_MIRROR": server.url}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STATE_DIRECTORY", str(state))
        patch.setenv("no_proxy", "*")
        place = state / "models"
        if before:
            server.answers, server.data = [], OLD
            install(entry(OLD), Fetching(lambda _file, _entry: None, lambda _done, _total: None, environ, QUICK))
        wanted = entry(NEW)
        place.mkdir(exist_ok=True)
        if beginning is not None:
            (place / f"small-{wanted.sha256[:8]}.part").write_bytes(beginning)
        server.answers, server.data = answers, NEW
        interrupted_while_opened = False
        try:
            install(wanted, Fetching(open_it, progress, environ, QUICK))
            came = True
        except (DaemonError, ModelError, StopError):
            came = False
            interrupted_while_opened = opening and opened is StopError
        nothing_else_is_there(place)
        found = inventory.installed().get("small")
        assert (found.sha256 if found else None) == (wanted.sha256 if came else entry(OLD).sha256 if before else None)
        server.answers, before_last = [], len(server.requests)
        install(wanted, Fetching(lambda _file, _entry: None, lambda _done, _total: None, environ, QUICK))
        assert inventory.find("small").sha256 == wanted.sha256
        if interrupted_while_opened:
            assert len(server.requests) == before_last, "it was there already"
        nothing_else_is_there(place)
        assert list(place.glob("*.part")) == []
        assert len(list(place.glob("*/*.onnx"))) == 1


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer(NEW) as running:
        yield running
