"""Checks of the machine and the configuration, each problem with the command that fixes it."""
