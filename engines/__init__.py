"""From a model file to detections on arrays; knows nothing of cameras, MQTT or configuration files."""

import os

# ONNX Runtime 1.29 and later reports to its maker, under a lasting id of the machine, unless told not to before it is
# imported: its own disable_telemetry_events() comes after both the id and a first report have been written.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
