"""From frames to detections: batches, the thread that runs them, and the models that it runs."""
