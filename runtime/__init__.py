"""The runtime: a simulated machine of RPU arrays that runs and trains compiled programs.

`machine.py` holds the state, `executor.py` runs a program on it, `trainer.py` trains it.
`kernels/` are the hot loops, `scalars/` what they compute for one element, `devices/` the
crosspoint models, `digital/` the standard ONNX operators, `data/` the data sets and `reference/`
the plain NumPy statement of every kernel.
"""
