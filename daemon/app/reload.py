"""What it takes to run with another configuration: found out before anything changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from daemon.app.placement import gpu_mistakes
from daemon.config.difference import Difference, difference, used_models
from daemon.config.mistakes import Mistake, MistakesError
from daemon.config.schema import Config
from daemon.errors import UsageError
from daemon.inference.model_config import label_mistakes
from daemon.inference.model_revision import ModelRevision
from daemon.mqtt.tls import tls_context
from engines.backends import CPU
from engines.errors import EngineError, LabelsError
from engines.tensorrt.backend import gpu_count


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
    """Of a start, and what `ospreyd check` tries. Raises MistakesError with everything that makes it impossible."""
    revisions, mistakes = _read(used_models(config), config)
    try:
        tls_context(config.mqtt.tls)
    except UsageError as error:
        key, _, sentence = str(error).partition(": ")
        mistakes.append(Mistake(key.split("."), sentence))
    mistakes += label_mistakes(config, {name: revision.model.labels for name, revision in revisions.items()})
    mistakes += _gpu_mistakes(config)
    if mistakes:
        raise MistakesError(mistakes)
    return Plan(config, difference(config, config), revisions)


def make_plan(running: Config, config: Config, latest: Callable[[str], ModelRevision | None], reread: bool) -> Plan:
    """Of a change while the daemon runs. Raises UsageError and MistakesError where it is not possible.

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
    revisions, mistakes = _read(sorted(wanted), config)
    of_labels = {name: (revisions.get(name) or revision) for name, revision in known.items()}
    mistakes += label_mistakes(config, {name: one.model.labels for name, one in of_labels.items() if one is not None})
    mistakes += _gpu_mistakes(config)
    if mistakes:
        raise MistakesError(mistakes)
    return Plan(config, different, revisions)


def plan_back(
    failed: Config, before: Config, models: Mapping[str, ModelRevision], now: Callable[[str], ModelRevision | None]
) -> Plan:
    """Back from a configuration that was applied in part to the one before.

    `models` are that one's, and `now` is what there is of a name. No file is read: it may be gone or another by now.
    """
    return Plan(before, difference(failed, before), {name: one for name, one in models.items() if now(name) is not one})


def _gpu_mistakes(config: Config) -> list[Mistake]:
    """Looks for GPUs only where a camera asks for one."""
    asked = config.inference.backend != CPU and any(camera.gpu is not None for camera in config.cameras.values())
    return gpu_mistakes(config, gpu_count()) if asked else []


def _read(names: Iterable[str], config: Config) -> tuple[dict[str, ModelRevision], list[Mistake]]:
    """The models of these names, and what is wrong with those that cannot be read."""
    read = {name: _try_to_read(name, config) for name in names}
    revisions = {name: one for name, one in read.items() if isinstance(one, ModelRevision)}
    return revisions, [one for one in read.values() if isinstance(one, Mistake)]


def _try_to_read(name: str, config: Config) -> ModelRevision | Mistake:
    try:
        return ModelRevision.read(name, config)
    except LabelsError as error:
        return Mistake(("models", name, "labels"), str(error))
    except UsageError as error:
        return Mistake(("models", name), str(error))
    except EngineError as error:
        return Mistake(("models", name, "file"), str(error), of_model=True)
