"""Engines for NVIDIA GPUs: the only place that imports TensorRT, PyCUDA or NVIDIA's CUDA bindings."""
