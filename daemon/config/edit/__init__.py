"""Targeted edits of a configuration file: what changes is written, every other line and comment stays."""

from daemon.config.edit.edit import EditError, Shapes, edit, locked, paste, read

__all__ = ["EditError", "Shapes", "edit", "locked", "paste", "read"]
