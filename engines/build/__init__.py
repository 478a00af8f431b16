"""What is built from a model before it can run: its specification, the calibration pictures, and the cache."""
