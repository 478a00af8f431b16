"""What it takes to run with another configuration: found out before anything changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from daemon.config.difference import Difference, difference, used_models
from daemon.config.schema import Config
from daemon.errors import UsageError
from daemon.inference.model_config import check_labels
from daemon.inference.model_revision import ModelRevision


@dataclass(frozen=True, slots=True)
class Plan:
    """A configuration that can be applied, and what that takes."""

    config: Config
    difference: Difference
    revisions: Mapping[str, ModelRevision]
    """models to load: new or changed"""

    def summary(self) -> str:
        """What it changes, in one sentence."""
        different = self.difference
        parts = {
            "cameras added": different.added,
            "removed": different.removed,
            "reconnected": different.reopened,
            "changed": different.changed,
            "models built or opened": tuple(self.revisions),
            "models closed": different.unused,
            "inference changed": ("max_delay_ms, max_age_ms",) if different.inference else (),
            "events changed": different.events,
        }
        changed = [f"{what}: {', '.join(names)}" for what, names in parts.items() if names]
        return f"configuration loaded; {'; '.join(changed) or 'nothing is different'}"


def first_plan(config: Config) -> Plan:
    """Of a start. Raises UsageError and EngineError where it is not possible."""
    revisions = {name: ModelRevision.read(name, config) for name in used_models(config)}
    check_labels(config, {name: revision.model.labels for name, revision in revisions.items()})
    return Plan(config, difference(config, config), revisions)


def make_plan(running: Config, config: Config, latest: Callable[[str], ModelRevision | None], reread: bool) -> Plan:
    """Of a change while the daemon runs. Raises UsageError and EngineError where it is not possible.

    `latest` is the model of a name as it runs or is being loaded. With `reread` changed model files are
    noticed too, and failed models are retried.
    """
    different = difference(running, config)
    if different.fixed:
        raise UsageError(
            f"{', '.join(different.fixed)}: cannot be changed while ospreyd runs; restart it for that "
            "(systemctl restart ospreyd)"
        )
    known = {name: latest(name) for name in used_models(config)}
    wanted = set(different.models)
    if reread:
        wanted |= {name for name, one in known.items() if one is None or not one.is_of(config)}
    revisions = {name: ModelRevision.read(name, config) for name in sorted(wanted)}
    of_labels = {name: (revisions.get(name) or revision) for name, revision in known.items()}
    check_labels(config, {name: one.model.labels for name, one in of_labels.items() if one is not None})
    return Plan(config, different, revisions)
