"""The plain NumPy statement of every kernel: slow, short, and what the tests compare with.

Read these files to learn what the simulator computes; the kernels only compute it faster.
"""
