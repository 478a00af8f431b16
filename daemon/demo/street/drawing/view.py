"""The camera of the street scene: from metres in the street to pixels of the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

WIDEST = 1.9
"""width / height up to which actors enter and leave out of sight at the same places"""


@dataclass(frozen=True, slots=True)
class View:
    """A pinhole camera that looks across the street.

    Street coordinates: `s` along the street (right is positive), `d` across it, away from the camera,
    `u` up from the ground, all in metres from the point under the camera.
    """

    width: int
    """pixels"""
    height: int
    """pixels"""
    yaw: float
    """radians; positive turns the camera towards positive s"""
    focal: float
    """focal length, picture heights"""
    horizon: float
    """of the picture height, from the top"""
    eye: float
    """metres above the ground"""

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """[N, 3] street points (s, d, u) to [N, 2] pixels, where (0, 0) is the picture's upper left corner."""
        s, d, u = np.asarray(points, np.float64).T
        across = s * math.cos(self.yaw) - d * math.sin(self.yaw)
        zoom = self.focal * self.height / (s * math.sin(self.yaw) + d * math.cos(self.yaw))
        pixels = np.empty((len(s), 2))
        pixels[:, 0] = self.width / 2 + zoom * across
        pixels[:, 1] = self.height * self.horizon + zoom * (self.eye - u)
        return pixels

    def column(self, s: float, d: float) -> float:
        """The pixel column of a street point, whatever its height."""
        across = s * math.cos(self.yaw) - d * math.sin(self.yaw)
        return self.width / 2 + self.scale(s, d) * across

    def scale(self, s: float, d: float) -> float:
        """Pixels a metre at a street point."""
        return self.focal * self.height / (s * math.sin(self.yaw) + d * math.cos(self.yaw))

    def reach(self, d: float, margin: float) -> tuple[float, float]:
        """The stretch of street in view at depth d, in metres of s, longer by `margin` metres at both ends."""
        half = max(WIDEST, self.width / self.height) / 2
        angle = math.atan(half / self.focal)
        return d * math.tan(self.yaw - angle) - margin, d * math.tan(self.yaw + angle) + margin
