"""Numba kernels: random numbers, reads, pulsed updates, im2col and pooling.

Every kernel takes preallocated arrays, allocates nothing, releases the GIL and is compiled once
and cached on disk. Not for anything that knows of ONNX or of programs.
"""
