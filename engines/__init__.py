"""From a model file to detections on arrays; knows nothing of cameras, MQTT or configuration files."""
