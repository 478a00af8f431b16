"""ONNX graph pieces, written once, run by every backend."""
