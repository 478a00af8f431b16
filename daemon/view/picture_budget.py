"""Bounds what all who look cost together: wishes for pictures are handed on to the cameras one after the other."""

from __future__ import annotations

import math

from daemon.capture.picture_wishes import PictureWishes, Wish

MOST = 40.0  # pictures a second, of all cameras and for all pages together


class PictureBudget:
    """For one thread.

    A picture counts as often as it is shown. Wishes wait in the order in which they came, and there is one of a kind
    and camera at most: so cameras take turns, however many pages look at one of them.
    """

    def __init__(self, wishes: PictureWishes) -> None:
        self._wishes = wishes
        self._waiting: dict[tuple[str, bool], tuple[Wish, int]] = {}
        """by camera, and by whether edited; with what it costs, pictures"""
        self._next = 0.0
        """when the next one may be handed on, time.monotonic()"""

    @property
    def due(self) -> float:
        """When to call `hand_on`, time.monotonic()."""
        return self._next if self._waiting else math.inf

    def ask(self, camera: str, wish: Wish, shown: int) -> None:
        """Takes a wish in place of an earlier one of its kind; on `shown` pages is the picture before it."""
        key = camera, wish.edited
        _, owed = self._waiting.get(key, (wish, 0))
        self._waiting[key] = wish, owed + max(1, shown)

    def hand_on(self, now: float) -> None:
        """Hands on what may be handed on now, time.monotonic()."""
        while self.due <= now:
            key = next(iter(self._waiting))
            wish, cost = self._waiting.pop(key)
            self._next = now + cost / MOST
            self._wishes.want(key[0], wish)

    def forget_all(self) -> None:
        """Nobody looks any more."""
        self._waiting.clear()
        self._wishes.forget_all()
