"""The difference between the running configuration and the next one. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from daemon.config.schema import Config
from daemon.config.section import Section

_FIXED = ("device", "mqtt", "service")
"""sections that need a restart"""
_FIXED_INFERENCE = frozenset({"backend", "shards"})
_LIVE_INFERENCE = frozenset({"max_delay_ms", "max_age_ms"})
_TRACKING = frozenset({"tracking", "objects", "zones", "lines"})
_LIVE_CAMERA = _TRACKING | {"model", "confidence", "labels", "priority", "fps"}
"""keys that change without reopening the camera"""
_LIVE_MODEL = frozenset({"confidence"})
"""keys that change without reopening the model"""


@dataclass(frozen=True, slots=True)
class Difference:
    """Names, in the order of their configuration."""

    fixed: tuple[str, ...]
    """keys that differ and need a restart"""
    added: tuple[str, ...]
    """cameras"""
    removed: tuple[str, ...]
    """cameras"""
    reopened: tuple[str, ...]
    """cameras to reopen, enable or disable"""
    changed: tuple[str, ...]
    """cameras with changes that do not reopen them"""
    models: tuple[str, ...]
    """models to load: new or changed, and used by a camera"""
    unused: tuple[str, ...]
    """models that no camera uses any more"""
    inference: bool
    """whether max_delay_ms or max_age_ms differ"""
    events: tuple[str, ...]
    """keys of `events` that differ"""

    def __bool__(self) -> bool:
        """Whether anything differs that can change without a restart."""
        cameras = self.added or self.removed or self.reopened or self.changed
        return bool(cameras or self.models or self.unused or self.inference or self.events)


def used_models(config: Config) -> tuple[str, ...]:
    """Names of the models that cameras use."""
    return tuple(sorted({camera.model for camera in config.cameras.values()}))


def difference(old: Config, new: Config) -> Difference:
    """The changes that take a daemon from `old` to `new`."""
    both = [name for name in new.cameras if name in old.cameras]
    kept = {name: _different(old.cameras[name], new.cameras[name]) for name in both}
    reopened = {name for name, keys in kept.items() if keys - _LIVE_CAMERA}
    # a camera takes its default confidence and the indices of its labels from its model
    used, before = used_models(new), used_models(old)
    touched = {name for name in used if name in old.models and _different(old.models[name], new.models[name])}
    sessions = _different(old.inference, new.inference) - _FIXED_INFERENCE - _LIVE_INFERENCE
    return Difference(
        fixed=tuple(_fixed(old, new)),
        added=tuple(name for name in new.cameras if name not in old.cameras),
        removed=tuple(name for name in old.cameras if name not in new.cameras),
        reopened=tuple(name for name in both if name in reopened),
        changed=tuple(
            name
            for name in both
            if name not in reopened
            and (kept[name] or new.cameras[name].model in touched or old.tracking_of(name) != new.tracking_of(name))
        ),
        models=tuple(
            name
            for name in used
            if name not in before or sessions or _different(old.models[name], new.models[name]) - _LIVE_MODEL
        ),
        unused=tuple(name for name in before if name not in used),
        inference=bool(_different(old.inference, new.inference) & _LIVE_INFERENCE),
        events=tuple(sorted(_different(old.events, new.events))),
    )


def _different(old: Section, new: Section) -> set[str]:
    """Keys of a section whose values differ."""
    return {key for key in type(old).model_fields if getattr(old, key) != getattr(new, key)}


def _fixed(old: Config, new: Config) -> list[str]:
    found = []
    for section in _FIXED:
        before, after = getattr(old, section), getattr(new, section)
        if isinstance(before, Section) and isinstance(after, Section):
            found += [f"{section}.{key}" for key in type(before).model_fields if key in _different(before, after)]
        elif before != after:
            found.append(section)
    both = [name for name in new.cameras if name in old.cameras]
    found += [f"cameras.{name}.gpu" for name in both if old.cameras[name].gpu != new.cameras[name].gpu]
    return found + [f"inference.{key}" for key in sorted(_different(old.inference, new.inference) & _FIXED_INFERENCE)]
