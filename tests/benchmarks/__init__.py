"""Measurements too long for the test suite; each prints ratios of what it measured in the same run."""
