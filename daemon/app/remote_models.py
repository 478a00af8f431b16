"""The models of shards in other processes: which revisions they were given, and how all of them stand together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from daemon.app.reload import Plan
from daemon.app.remote_shard import RemoteShard
from daemon.config.difference import difference, used_models
from daemon.config.schema import Config
from daemon.inference.model_revision import ModelRevision
from daemon.records import ModelInfo, ModelState
from daemon.records.info import WAITING
from engines.backends import Backend, needs_building


class RemoteModels:
    """Of some shards. Needs the lock."""

    def __init__(self, backend: Backend, shards: Sequence[RemoteShard]) -> None:
        self._backend = backend
        self._shards = shards
        self._revisions: dict[str, ModelRevision] = {}

    @property
    def infos(self) -> Mapping[str, ModelInfo]:
        """Of each model, what its least advanced shard says; one that has said nothing yet is the least advanced."""
        return {name: self._info(name) for name in self._revisions}

    def put(self, revision: ModelRevision) -> None:
        """The model is this one from now on."""
        self._revisions[revision.name] = revision

    def take(self, plan: Plan) -> None:
        """The models of another configuration."""
        for name in plan.difference.unused:
            self._revisions.pop(name, None)
        self._revisions |= plan.revisions

    def latest(self, name: str) -> ModelRevision | None:
        """See ModelManager.latest; None where it failed in a shard."""
        return None if self._has_failed(name) else self._revisions.get(name)

    def configured(self, name: str) -> ModelRevision | None:
        """See ModelManager.configured."""
        return self._revisions.get(name)

    def can_retry(self, name: str) -> bool:
        """Whether there is something to build, or it has failed."""
        revision = self._revisions.get(name)
        return revision is not None and (needs_building(self._backend, revision.settings) or self._has_failed(name))

    def of(self, config: Config) -> Mapping[str, ModelRevision]:
        """All that a shard with this configuration uses."""
        used = used_models(config)
        return {name: self._shared_out(one) for name, one in self._revisions.items() if name in used}

    def to_load(self, shard: RemoteShard, config: Config, plan: Plan) -> Mapping[str, ModelRevision]:
        """What a shard has to load for its part of a plan: new and changed ones, and those that are new to it."""
        wanted = {*plan.revisions, *difference(shard.config, config).models}
        return {name: one for name, one in self.of(config).items() if name in wanted}

    def _has_failed(self, name: str) -> bool:
        return any(name in shard.failed for shard in self._shards)

    def _info(self, name: str) -> ModelInfo:
        users = self._users(name)
        if not users or any(name not in shard.infos for shard in users):
            return self._revisions[name].info(self._backend, WAITING)
        return min((shard.infos[name] for shard in users), key=_advance)

    def _users(self, name: str) -> list[RemoteShard]:
        return [shard for shard in self._shards if name in used_models(shard.config)]

    def _shared_out(self, revision: ModelRevision) -> ModelRevision:
        """The CPU's cores are divided among the shards, where the configuration does not say how many to take."""
        if revision.settings.threads is not None:
            return revision
        threads = max(1, (os.cpu_count() or 1) // len(self._shards))
        return replace(revision, settings=replace(revision.settings, threads=threads))


def _advance(info: ModelInfo) -> tuple[int, int]:
    """The lower, the more there is to say of it."""
    order = (ModelState.BUILDING, ModelState.FAILED, ModelState.READY)
    return order.index(info.status.state), info.status.progress or 0
