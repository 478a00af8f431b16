"""Exponential back-off with jitter; pure."""

from __future__ import annotations

import random


class Backoff:
    """Delays that grow from `initial` to `ceiling` seconds, with jitter over the upper half of each.

    Jitter keeps many devices from reconnecting to one server at the same moment.
    """

    def __init__(
        self,
        initial: float = 0.5,
        ceiling: float = 30.0,
        factor: float = 2.0,
        rng: random.Random | None = None,
    ) -> None:
        if not 0 < initial <= ceiling or factor < 1:
            raise ValueError(f"needs 0 < initial <= ceiling and factor >= 1, got {initial}, {ceiling}, {factor}")
        self._initial = initial
        self._ceiling = ceiling
        self._factor = factor
        self._rng = rng or random.Random()  # noqa: S311  not for cryptography
        self._bound = initial

    def next(self) -> float:
        """Seconds to wait now: between half the current bound and the bound, which then grows."""
        bound = self._bound
        self._bound = min(self._ceiling, bound * self._factor)
        return bound / 2 + self._rng.random() * bound / 2

    def reset(self) -> None:
        """Restarts at `initial`, after a success."""
        self._bound = self._initial
