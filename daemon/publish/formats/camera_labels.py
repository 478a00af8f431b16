"""The classes that a camera publishes."""

from __future__ import annotations

from daemon.config.schema import Config
from daemon.records import DaemonInfo


def published_classes(config: Config, camera: str, info: DaemonInfo) -> tuple[str, ...]:
    """Those that its `labels` and `events.labels` leave of its model's; in the model's order."""
    settings = config.cameras[camera]
    model = info.models.get(settings.model)
    found = model.labels if model is not None else (settings.labels or ())
    for wanted in (settings.labels, config.events.labels):
        if wanted is not None:
            found = tuple(label for label in found if label in wanted)
    return found
