"""The process around the engines: capture, batching, inference, MQTT."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("ospreyd")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"
