"""Cameras: from a source to frames."""
