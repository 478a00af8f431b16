"""From frames to detections: batching, the worker thread of a GPU, and its models."""
