"""Detects a frozen picture; in a quiet scene, noise still changes every frame. Pure."""

from __future__ import annotations

from engines.pictures import Picture

_CHECKS = 4  # in the time after which a picture counts as frozen
_LONGEST_INTERVAL = 1.0  # seconds between two checks


class FrozenPicture:
    """Compares whole pictures of a camera, a few a second at most, across its connections."""

    def __init__(self, frozen_after: float) -> None:
        """`frozen_after` is seconds."""
        self._limit = frozen_after
        self._every = min(_LONGEST_INTERVAL, frozen_after / _CHECKS)
        self._digest: int | None = None
        self._changed = self._checked = 0.0
        """when the picture had changed, and when it was last compared; time.monotonic(), seconds"""
        self._frozen = False
        self._passing_until = 0.0
        """time.monotonic() until which the pictures of a new connection say nothing, seconds"""

    def check(self, picture: Picture, now: float) -> bool:
        """Whether the picture has been the same for `frozen_after` seconds at `now`; once it has, until it changes."""
        if not self._frozen and now - self._checked < self._every:
            return False
        digest = picture.digest()
        self._checked = now
        if digest != self._digest:
            self._digest, self._changed = digest, now
        self._frozen = now - self._changed >= self._limit
        return self._frozen

    def interrupt(self, now: float) -> None:
        """A new connection began at `now`: the time without frames does not count; what was frozen remains so."""
        if self._frozen:
            self._passing_until = now + self._every
        else:
            self._changed = now

    def passes_over(self, now: float) -> bool:
        """Whether a picture that came at `now` is not to be used or compared, as the first ones after a freeze are.

        Many servers send each new connection their last picture first, until the camera has given them another.
        """
        return now < self._passing_until
