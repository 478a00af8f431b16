"""Building engines: the build specification, calibration images, and the cache."""
