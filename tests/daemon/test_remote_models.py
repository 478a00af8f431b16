"""The models of shards in other processes, as the daemon sees them together."""

from __future__ import annotations

import os

import pytest

from daemon.app.placement import part, place
from daemon.app.reload import Plan, make_plan
from daemon.app.remote_models import RemoteModels
from daemon.app.remote_shard import RemoteShard
from daemon.config.difference import difference
from daemon.config.schema import Config
from daemon.inference.model_revision import ModelRevision
from daemon.records import ModelState, ModelStatus
from engines.backends import CPU, Backend

BACKEND = Backend(CPU, "1", "", None)
READY, FAILED = ModelStatus(ModelState.READY), ModelStatus(ModelState.FAILED, detail="no")


def config(**models: str) -> Config:
    """Of cameras and the models that they use."""
    cameras = {name: {"source": f"rtsp://{name}/1", "model": model} for name, model in models.items()}
    known = {name: {"file": "street"} for name in models.values()}
    return Config.model_validate({"device": "x", "mqtt": {"host": "x"}, "models": known, "cameras": cameras})


class Known:
    """Two shards with a camera each, and their models."""

    def __init__(self, whole: Config) -> None:
        self.whole = whole
        self.placed = place(whole, (0, 0), {})
        self.shards = [RemoteShard(number, None, part(whole, self.placed, number)) for number in (0, 1)]
        self.models = RemoteModels(BACKEND, self.shards)
        for name in {camera.model for camera in whole.cameras.values()}:
            self.models.put(ModelRevision.read(name, whole))

    def say(self, shard: int, status: ModelStatus) -> None:
        """A shard tells of the model m."""
        revision = self.models.configured("m")
        assert revision is not None
        self.shards[shard].infos = {"m": revision.info(BACKEND, status)}
        self.shards[shard].failed = frozenset({"m"} if status.state is ModelState.FAILED else ())

    def plan(self, whole: Config, *, reread: bool = False) -> Plan:
        return make_plan(self.whole, whole, self.models.latest, reread)


@pytest.mark.parametrize(
    ("statuses", "state", "progress"),
    [
        ((), ModelState.BUILDING, 0),
        ((READY,), ModelState.BUILDING, 0),
        ((READY, READY), ModelState.READY, None),
        ((READY, FAILED), ModelState.FAILED, None),
        ((FAILED, ModelStatus(ModelState.BUILDING, 7)), ModelState.BUILDING, 7),
        ((ModelStatus(ModelState.BUILDING, 60), ModelStatus(ModelState.BUILDING, 30)), ModelState.BUILDING, 30),
    ],
)
def test_a_model_is_as_far_as_its_last_shard(
    statuses: tuple[ModelStatus, ...], state: ModelState, progress: int | None
) -> None:
    known = Known(config(a="m", b="m"))
    for number, status in enumerate(statuses):
        known.say(number, status)
    status = known.models.infos["m"].status
    assert (status.state, status.progress) == (state, progress)


def test_a_model_that_failed_in_a_shard_is_tried_again() -> None:
    known = Known(config(a="m", b="m"))
    for number in (0, 1):
        known.say(number, READY)
    assert not known.models.can_retry("m")
    assert known.plan(known.whole, reread=True).revisions == {}
    known.say(1, FAILED)
    assert known.models.latest("m") is None
    assert known.models.configured("m") is not None
    assert known.models.can_retry("m")
    assert known.plan(known.whole, reread=True).revisions.keys() == {"m"}


def test_each_shard_loads_what_is_new_to_it() -> None:
    known = Known(config(a="m", b="m"))
    other = config(a="m", b="n", c="m")
    plan = known.plan(other)
    assert plan.revisions.keys() == {"n"}
    known.models.take(plan)
    placed = place(other, (0, 0), known.placed)
    parts = [part(other, placed, number) for number in (0, 1)]
    loads = [set(known.models.to_load(known.shards[number], parts[number], plan)) for number in (0, 1)]
    assert loads == [set(), {"n"}]
    for shard, own in zip(known.shards, parts, strict=True):
        shard.apply(own, {})
    assert known.models.infos.keys() == {"m", "n"}
    gone = config(a="m", c="m")
    known.models.take(Plan(gone, difference(other, gone), {}))
    assert known.models.infos.keys() == {"m"}


def test_shards_divide_the_cores() -> None:
    known = Known(config(a="m", b="m"))
    (revision,) = known.models.of(known.shards[0].config).values()
    assert revision.settings.threads == max(1, (os.cpu_count() or 1) // 2)
